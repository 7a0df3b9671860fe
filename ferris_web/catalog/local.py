"""Runs a service's folder on this machine without a platform: `EF_ENV=local`, as the helper library knows it.

Python alone is enough for it, but for `.sql` scripts and a requirements.txt.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final

from ferris import events
from ferris.config import ROOT
from ferris.errors import FerrisError
from ferris.execution import ExecutionOrder, params_of, script_argument
from ferris.manifest import Message, Parsed, parse_service
from ferris.variables import Variables
from ferris_web.catalog.archive import is_packed
from ferris_web.catalog.source import Folder, read_folder

ENVIRONMENT: Final = "ef_env.json"
STATE: Final = "ef_package_state.json"
OBJECTS: Final = "ef_objects"
ARTIFACTS: Final = "ef_artifacts"
SQL_ARGUMENT: Final = "sql.json"
_PARTS: Final = ("params", "secrets", "config", "connections")
_SQL: Final = ROOT / "tasks" / "sql" / "__main__.py"
TIMED_OUT: Final = 124  # as timeout(1) has it

# The argument comes from a file: it has no limit there, and the list of processes does not show it.
# A traceback begins with the script's own first line: how it was started is of no interest.
_START = """\
import os, runpy, sys
script = sys.argv[1]
sys.argv, sys.path[0] = [script, open(sys.argv[2]).read()], os.getcwd()
def told(kind, error, trace):
    while trace and trace.tb_frame.f_code.co_filename != script:
        trace = trace.tb_next
    sys.__excepthook__(kind, error.with_traceback(trace), trace)
sys.excepthook = told
runpy.run_path(script, run_name="__main__")
"""


@dataclass
class Trial:
    """A run of its own: with this configuration, these secrets and this state, whatever the folder keeps, and no more.

    `output` takes what the scripts print. What they leave is in `state_after` and `artifacts` (paths) then, and the
    folder stays as it was.
    """

    output: IO[bytes]
    config: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    state_after: Mapping[str, Any] = field(default_factory=dict)
    artifacts: tuple[str, ...] = ()

    def put(self, copy: Path) -> None:
        """Lay its state where the scripts find theirs."""
        (copy / STATE).write_text(json.dumps(self.state))

    def take(self, copy: Path) -> None:
        """Remember what the scripts left."""
        self.state_after = json.loads((copy / STATE).read_text())
        left = (copy / ARTIFACTS).rglob("*")
        self.artifacts = tuple(
            sorted(path.relative_to(copy / ARTIFACTS).as_posix() for path in left if path.is_file())
        )


class Refused(FerrisError):
    """The folder has a mistake that would keep it from being synced."""


def run_local(
    folder: Path,
    data: Any,
    tell: Callable[[Message], None],
    say: Callable[[str], None],
    trial: Trial | None = None,
    output: IO[bytes] | None = None,
    ended: Callable[[str, int], None] = lambda script, status: None,
) -> int:
    """Run the folder's scripts in order with an event's data; the exit status of the first that failed, or 0.

    They run in a copy that holds what the platform's package would, and an `ef_env.json` made of config.json,
    secrets.json and the folder's own `ef_env.json`, which wins. State and objects are kept in the folder, as
    `ef_package_state.json` and `ef_objects`, unless it is a `trial`. `tell` gets the messages that a
    sync would have, `say` what is run, `output` what the scripts print (left out: it goes where ours goes), `ended`
    each script with its exit status. `Refused` when there are errors among the messages.
    """
    read = read_folder(folder)
    ceiling = Variables(os.environ).ceiling()
    parsed = parse_service({path: file.content for path, file in read.files.items()}, ceiling)
    for message in (*read.messages, *parsed.messages):
        tell(message)
    if read.refused or parsed.manifest is None:
        raise Refused("the folder has mistakes that must be mended first")
    _needed(parsed)
    with tempfile.TemporaryDirectory(prefix="ferris-local-") as temporary:
        copy, argument = Path(temporary) / "package", Path(temporary) / "argument.json"
        _unpack(read, copy)
        local = (
            _environment_file(folder) if trial is None else {"config": trial.config, "secrets": trial.secrets}
        )
        order = _order(read.name, data, parsed, local)
        argument.write_text(script_argument(order))
        argument.with_name(SQL_ARGUMENT).touch(mode=0o600)
        (copy / ENVIRONMENT).write_text(_local_environment(order))
        if trial is not None:
            trial.put(copy)
            status = _run_all(order, copy, argument, parsed.manifest.timeout, say, ended, trial.output)
            trial.take(copy)
            return status
        _carry(folder, copy)
        try:
            return _run_all(order, copy, argument, parsed.manifest.timeout, say, ended, output)
        finally:
            _carry(copy, folder)


def _needed(parsed: Parsed) -> None:
    """Refused where Python alone is not enough for what the service has, and there is no more."""
    scripts = parsed.manifest.scripts if parsed.manifest else ()
    sql = next((script for script in scripts if script.endswith(".sql")), None)
    for what, package in ((sql, "jinja2"), (parsed.requirements and "requirements.txt", "uv")):
        if what and find_spec(package) is None:
            raise Refused(
                f"{what} needs more than Python here: `make -C {ROOT} .venv/installed` installs what, once"
            )


def _carry(here: Path, there: Path) -> None:
    """What the helper library keeps from run to run."""
    if (here / STATE).is_file():
        shutil.copyfile(here / STATE, there / STATE)
    for kept in (OBJECTS, ARTIFACTS):
        if (here / kept).is_dir():
            shutil.copytree(here / kept, there / kept, dirs_exist_ok=True)


def _unpack(read: Folder, copy: Path) -> None:
    copy.mkdir(mode=0o700)
    for path, file in read.files.items():
        if is_packed(path):
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_bytes(file.content)
            if file.executable:
                (copy / path).chmod(0o755)


def _environment_file(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / ENVIRONMENT).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Refused(f"{ENVIRONMENT} cannot be read: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(found.get(name, {}), dict) for name in _PARTS):
        raise Refused(f"{ENVIRONMENT} must hold an object, and in it objects: {', '.join(_PARTS)}")
    return found


def _order(name: str, data: Any, parsed: Parsed, local: Mapping[str, Any]) -> ExecutionOrder:
    event = events.new_flow_id()
    return ExecutionOrder(
        execution_id=f"local-{event}",
        attempt=1,
        lease_seconds=0,
        token="",
        service=name,
        service_id=str(local.get("params", {}).get("package_id", f"local-{name}")),
        project="local",
        digest="",
        scripts=parsed.manifest.scripts if parsed.manifest else (),
        event_id=event,
        event_type="local",
        flow_id=event,
        correlation_id=events.correlation_id(event, 1),
        trigger_type="manual",
        params={**local.get("params", {}), **params_of(data)},
        secrets={**(parsed.secrets or {}), **local.get("secrets", {})},
        config={**(parsed.config or {}), **local.get("config", {})},
        requirements=parsed.requirements,
        connections={name: {"url": str(url)} for name, url in local.get("connections", {}).items()},
        sql=parsed.manifest.sql.to_json() if parsed.manifest else {},
    )


def _local_environment(order: ExecutionOrder) -> str:
    params = json.loads(script_argument(order))
    secrets = params.pop("secrets")
    return json.dumps({"params": params, "secrets": secrets, "config": order.config})


def _run_all(
    order: ExecutionOrder,
    copy: Path,
    argument: Path,
    timeout: float | None,
    say: Callable[[str], None],
    ended: Callable[[str, int], None],
    output: IO[bytes] | None,
) -> int:
    if not order.scripts:
        say("There is no script to run: add one, or name one in manifest.json (entrypoint).")
        return 1
    for script in order.scripts:
        say(f"--- {script}")
        if script.endswith(".sql"):
            status = _run_sql(order, script, copy, argument.with_name(SQL_ARGUMENT), timeout, output)
        else:
            status = _run(_python(order, copy), script, copy, argument, timeout, output)
        ended(script, status)
        if status:
            say(f"--- {script} failed with exit status {status}")
            return status
    return 0


def _run_sql(
    order: ExecutionOrder,
    script: str,
    copy: Path,
    argument: Path,
    timeout: float | None,
    output: IO[bytes] | None,
) -> int:
    """As an executor does, on the connections of ef_env.json."""
    params = json.loads(script_argument(order))
    del params["secrets"]
    template, problem = "", ""
    try:
        template = (copy / script).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{script} cannot be run: {error}"
    said = {
        "script": script,
        "template": template,
        "problem": problem,
        "params": params,
        "connections": dict(order.connections),
        "options": dict(order.sql),
    }
    argument.write_text(json.dumps(said))
    (copy / ARTIFACTS).mkdir(exist_ok=True)
    return _run([sys.executable], str(_SQL), copy, argument, timeout, output)


def _python(order: ExecutionOrder, copy: Path) -> list[str]:
    """The interpreter for the scripts: with the packages of requirements.txt, if there is one, and no others."""
    if not order.requirements:
        return [sys.executable]
    from uv import find_uv_bin

    base = getattr(sys, "_base_executable", sys.executable)
    wanted = ("--with-requirements", str(copy / "requirements.txt"))
    return [
        find_uv_bin(),
        "run",
        "--quiet",
        "--no-project",
        "--isolated",
        "--python",
        base,
        *wanted,
        "python",
    ]


def _run(
    python: Sequence[str],
    script: str,
    copy: Path,
    argument: Path,
    timeout: float | None,
    output: IO[bytes] | None,
) -> int:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FERRIS_", "DJANGO_"))}
    path = os.pathsep.join(filter(None, (str(ROOT / "sdk"), kept.get("PYTHONPATH"))))
    process = subprocess.Popen(
        (*python, "-c", _START, script, str(argument)),
        cwd=copy,
        env={
            **kept,
            "EF_ENV": "local",
            "PYTHONPATH": path,
            "PYTHONUNBUFFERED": "1",
            "FERRIS_ARTIFACTS": str(copy / ARTIFACTS),
        },
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output and subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        return TIMED_OUT
    finally:
        _end(process)
    return status if status >= 0 else 128 - status


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing that the script started outlives it, on the platform as here."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
