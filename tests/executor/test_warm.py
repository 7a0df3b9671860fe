"""Fork servers: what they share with scripts and what not, when they stand back, and how they end."""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tasks import runner as runners
from tasks import warm
from tasks.command import inherited
from tasks.runner import ColdProcess, ColdRunner, Command, Process
from tasks.warm import WarmProcess, WarmRunner
from tests.executor.control_server import lives, platform
from tests.executor.test_parity import built, outcome, the_end, wait_until_gone, wait_until_warm


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    return environment(tmp_path_factory.mktemp("environments"))


@pytest.fixture
def runner() -> Iterator[WarmRunner]:
    made = WarmRunner()
    yield made
    made.close()


def environment(folder: Path) -> str:
    return built(folder)


def packages(python: str) -> Path:
    [found] = Path(python).parent.parent.glob("lib/python*/site-packages")
    return found


def command(python: str, folder: Path, script: str, name: str = "main.py", argument: str = "{}") -> Command:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(script)
    return Command(python, name, folder, inherited(), argument.encode())


def forked(runner: WarmRunner, wanted: Command) -> WarmProcess:
    wait_until_warm(runner, wanted)
    process = runner.start(wanted)
    assert isinstance(process, WarmProcess)
    return process


def line(process: Process) -> str:
    assert select.select([process.stdout], [], [], 20)[0]
    return os.read(process.stdout, 1000).decode().strip()


def servers(python: str) -> list[psutil.Process]:
    """The fork servers of this interpreter that live."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[:2] == [python, "ferris-warm"] and lives(process.pid):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_two_scripts_share_no_random_numbers_and_no_time(
    runner: WarmRunner, python: str, tmp_path: Path
) -> None:
    code = "import random, uuid, tempfile\nprint(random.random(), uuid.uuid4(), tempfile.mktemp())"
    said = [outcome(forked(runner, command(python, tmp_path / "a", code)))[0].split() for _ in range(3)]
    for kind in zip(*said, strict=True):
        assert len(set(kind)) == 3


def test_modules_do_not_remember_the_server(runner: WarmRunner, python: str, tmp_path: Path) -> None:
    code = (
        "import logging, threading, os, sys, time\n"
        "record = logging.makeLogRecord({})\n"
        "began = float(open('/proc/self/stat').read().rpartition(')')[2].split()[19]) / os.sysconf('SC_CLK_TCK')\n"
        "age = float(open('/proc/uptime').read().split()[0]) - began\n"
        "made = logging.LogRecord('a', 20, '', 1, '', (), None)\n"
        "print(threading.main_thread().native_id == os.getpid(), threading.active_count(),\n"
        "      made.relativeCreated / 1000 <= age + 0.1, made.process == os.getpid(),\n"
        "      [n for n in sys.modules if 'warm' in n], [v for v in os.environ if v.startswith('FERRIS')])"
    )
    wanted = command(python, tmp_path / "a", code)
    wait_until_warm(runner, wanted)
    time.sleep(0.5)  # the server is older than the script by this
    assert outcome(forked(runner, wanted))[:2] == (b"True 1 True True [] []\n", b"")


def test_no_descriptor_of_the_server_or_of_another_script_is_inherited(
    runner: WarmRunner, python: str, tmp_path: Path
) -> None:
    other = forked(runner, command(python, tmp_path / "a", "import time; time.sleep(60)"))
    other.release()
    code = (
        "import os\nprint([os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
        " if os.path.lexists(f'/proc/self/fd/{n}')])"
    )
    out, _, _ = outcome(forked(runner, command(python, tmp_path / "b", code)))
    found = eval(out)
    assert found[0] == "/dev/null"
    assert len(found) == 4, found  # standard streams and the lifeline
    assert all(one.startswith("pipe:") for one in found[1:])
    assert len(set(found[1:])) == 3
    other.close()


def test_no_secret_enters_the_server(runner: WarmRunner, python: str, tmp_path: Path) -> None:
    wanted = command(
        python, tmp_path / "a", "import sys; print(len(sys.argv[1]))", argument='"open sesame 7"'
    )
    outcome(forked(runner, wanted))
    [server] = servers(python)
    for entry in Path(f"/proc/{server.pid}/maps").read_text().splitlines():
        span, rights, *_ = entry.split()
        if rights.startswith("rw"):
            start, end = (int(number, 16) for number in span.split("-"))
            with open(f"/proc/{server.pid}/mem", "rb", 0) as memory:
                memory.seek(start)
                assert b"open sesame 7" not in memory.read(end - start)


def test_the_process_list_shows_the_scripts_environment(
    runner: WarmRunner, python: str, tmp_path: Path
) -> None:
    wanted = command(python, tmp_path / "a", "print('up', flush=True); import time; time.sleep(60)")
    wanted = Command(
        python, "main.py", wanted.folder, {**wanted.environment, "FERRIS_CHANNEL": "/a/b"}, b"{}"
    )
    process = forked(runner, wanted)
    process.release()
    assert line(process) == "up"
    shown = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    assert b"FERRIS_CHANNEL=/a/b" in shown
    assert psutil.Process(process.pid).cmdline() == [python, "main.py"]
    process.close()


@pytest.mark.parametrize("name", ["json.py", "logging", "ferris_ef.py"])
def test_a_file_with_a_modules_name_is_imported_in_its_place(
    name: str, runner: WarmRunner, python: str, tmp_path: Path
) -> None:
    module = name.removesuffix(".py")
    wanted = command(python, tmp_path / "a", f"import {module}; print({module}.MINE)")
    beside = wanted.folder / (name if name.endswith(".py") else f"{name}/__init__.py")
    beside.parent.mkdir(exist_ok=True)
    beside.write_text("MINE = 'mine'")
    wait_until_warm(runner, wanted)
    process = runner.start(wanted)
    assert isinstance(process, ColdProcess)
    assert outcome(process)[0] == b"mine\n"


def test_something_else_is_done_while_a_script_comes_up(
    runner: WarmRunner, python: str, tmp_path: Path
) -> None:
    wanted = command(python, tmp_path / "a", "print('ran', flush=True)")
    done: list[str] = []
    cold = ColdRunner().start(wanted, lambda: done.append("cold"))
    wait_until_warm(runner, wanted)
    warm = runner.start(wanted, lambda: done.append("warm"))
    assert isinstance(warm, WarmProcess)
    assert done == ["cold", "warm"]
    assert not select.select([cold.stdout, warm.stdout], [], [], 0.1)[0]
    assert [outcome(process)[0] for process in (cold, warm)] == [b"ran\n", b"ran\n"]


def test_what_cannot_be_done_meanwhile_leaves_no_process(
    runner: WarmRunner, python: str, tmp_path: Path
) -> None:
    wanted = command(python, tmp_path / "a", f"open({str(tmp_path / 'ran')!r}, 'w')")
    wait_until_warm(runner, wanted)

    def fails() -> None:
        raise RuntimeError("x")

    for way in (ColdRunner(), runner):
        with pytest.raises(RuntimeError):
            way.start(wanted, fails)
    assert outcome(runner.start(command(python, tmp_path / "b", "print(1)"))) == (b"1\n", b"", 0)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("length", [100, 250])
def test_scripts_in_deep_folders(length: int, runner: WarmRunner, python: str, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * length) / ("y" * length)
    wanted = command(python, folder, "print(__file__)")
    wait_until_warm(runner, wanted)
    assert outcome(runner.start(wanted)) == (f"{folder}/main.py\n".encode(), b"", 0)


MISBEHAVIOUR = {
    "threads": "import threading, time; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
    "files": "import os; os.open('/etc/hostname', os.O_RDONLY)",
    "variables": "import os; os.environ['X'] = '1'",
    "processes": "import os, time; os.fork() or (time.sleep(1), os._exit(0))",
    "prints": "import sys; print('hello')",
    "folder": "import os; os.chdir('/tmp')",
    "ended": "import os; os._exit(3) if 'FERRIS_ROOM' in os.environ else None",
}


@pytest.mark.parametrize("name", MISBEHAVIOUR)
def test_where_forking_is_unsafe_scripts_start_freshly_and_the_log_says_so_once(
    name: str, runner: WarmRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    python = environment(tmp_path / "e")
    (packages(python) / "bad.pth").write_text(MISBEHAVIOUR[name] + "\n")
    wanted = command(python, tmp_path / "a", "print('ran')")
    with caplog.at_level(logging.WARNING):
        deadline = time.monotonic() + 60
        while not caplog.messages:
            assert time.monotonic() < deadline
            assert not runner.warm(wanted)
            time.sleep(0.02)
        for _ in range(2):
            process = runner.start(wanted)
            assert isinstance(process, ColdProcess)
            assert b"ran\n" in outcome(process)[0]
    [said] = caplog.messages
    assert python in said
    assert name in said or name == "variables"
    assert servers(python) == []


def test_a_version_that_is_not_supported(
    runner: WarmRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = next(Path.home().glob(".pyenv/versions/3.10.*/bin/python3.10"), None)
    if base is None:
        pytest.skip("no Python 3.10 here")
    python = built(tmp_path / "e", str(base))
    wanted = command(python, tmp_path / "a", "import sys; print(sys.version_info[:2])")
    deadline = time.monotonic() + 60
    while not caplog.messages:
        assert time.monotonic() < deadline
        assert not runner.warm(wanted)
        time.sleep(0.02)
    assert outcome(runner.start(wanted)) == (b"(3, 10)\n", b"", 0)
    assert "version of Python" in caplog.messages[0]


def test_a_changed_environment_gets_another_server(runner: WarmRunner, tmp_path: Path) -> None:
    python = environment(tmp_path / "e")
    code = "import importlib.util; print(importlib.util.find_spec('added') is not None)"
    wanted = command(python, tmp_path / "a", code)
    assert outcome(forked(runner, wanted))[0] == b"False\n"
    [first] = servers(python)
    (packages(python) / "added.py").touch()
    assert isinstance(process := runner.start(wanted), ColdProcess)
    assert outcome(process)[0] == b"True\n"
    assert outcome(forked(runner, wanted))[0] == b"True\n"
    wait_until_gone(first.pid)
    assert len(servers(python)) == 1


def test_a_changed_helper_library_gets_another_server(
    runner: WarmRunner, python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk = tmp_path / "sdk"
    shutil.copytree(runners.SDK, sdk)
    monkeypatch.setattr(runners, "SDK", sdk)
    monkeypatch.setattr(warm, "SDK", sdk)
    wanted = command(python, tmp_path / "a", "from ferris_ef import wire; print(getattr(wire, 'NEW', 0))")
    assert outcome(forked(runner, wanted))[0] == b"0\n"
    with (sdk / "ferris_ef" / "wire.py").open("a") as file:
        file.write("NEW = 7\n")
    assert outcome(runner.start(wanted))[0] == b"7\n"
    assert outcome(forked(runner, wanted))[0] == b"7\n"


def test_after_many_scripts_another_server_takes_over(
    runner: WarmRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "MOST_FORKS", 2)
    python = environment(tmp_path / "e")
    wanted = command(python, tmp_path / "a", "import os; print(os.getppid())")
    parents = {outcome(forked(runner, wanted))[0] for _ in range(4)}
    assert len(parents) == 2


def test_a_server_ends_when_nobody_asks(
    runner: WarmRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "IDLE", 1)
    python = environment(tmp_path / "e")
    wanted = command(python, tmp_path / "a", "print('ran')")
    wait_until_warm(runner, wanted)
    [server] = servers(python)
    wait_until_gone(server.pid)
    assert outcome(runner.start(wanted))[0] == b"ran\n"
    assert outcome(forked(runner, wanted))[0] == b"ran\n"


def test_only_so_many_servers_at_once(
    runner: WarmRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "MOST_SERVERS", 1)
    first, second = environment(tmp_path / "e"), environment(tmp_path / "f")
    outcome(forked(runner, command(first, tmp_path / "a", "")))
    [server] = servers(first)
    outcome(forked(runner, command(second, tmp_path / "a", "")))
    wait_until_gone(server.pid)
    assert len(servers(second)) == 1


def test_the_server_is_killed_while_a_script_runs(runner: WarmRunner, tmp_path: Path) -> None:
    python = environment(tmp_path / "e")
    code = "import time\nprint('up', flush=True)\ntime.sleep(1)\nprint('done')"
    process = forked(runner, command(python, tmp_path / "a", code))
    process.release()
    assert line(process) == "up"
    [server] = servers(python)
    server.kill()
    server.wait()
    out, _, status = the_end(process)
    assert out == b"done\n"  # it runs to its end; how it ended, nobody can say
    assert status is None
    wanted = command(python, tmp_path / "b", "print('next')")
    assert outcome(runner.start(wanted)) == (b"next\n", b"", 0)
    assert outcome(forked(runner, wanted)) == (b"next\n", b"", 0)


def test_a_script_of_a_killed_server_can_be_ended(runner: WarmRunner, tmp_path: Path) -> None:
    python = environment(tmp_path / "e")
    code = "import os, time\nprint(os.getpid(), os.fork(), flush=True)\ntime.sleep(600)"
    process = forked(runner, command(python, tmp_path / "a", code))
    process.release()
    pids = [int(word) for word in line(process).split()]
    [server] = servers(python)
    server.kill()
    server.wait()
    process.close()
    for pid in pids:
        if pid:
            wait_until_gone(pid)


def test_a_server_that_hangs_is_left_for_a_fresh_start(
    runner: WarmRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "_PATIENCE", 0.5)
    python = environment(tmp_path / "e")
    wanted = command(python, tmp_path / "a", "print('ran')")
    outcome(forked(runner, wanted))
    [server] = servers(python)
    server.send_signal(signal.SIGSTOP)
    process = runner.start(wanted)
    assert isinstance(process, ColdProcess)
    assert outcome(process) == (b"ran\n", b"", 0)
    assert outcome(forked(runner, wanted)) == (b"ran\n", b"", 0)
    runner.close()
    assert servers(python) == []


def test_a_script_that_is_stopped_at_once_never_ran(runner: WarmRunner, python: str, tmp_path: Path) -> None:
    for _ in range(20):
        wanted = command(python, tmp_path / "a", "open('ran', 'w')")
        process = forked(runner, wanted)
        process.signal(signal.SIGTERM)
        assert process.reap() in (-signal.SIGTERM, -signal.SIGKILL)
        process.close()
        assert not (wanted.folder / "ran").exists()


def test_the_server_dies_with_its_executor(python: str, tmp_path: Path) -> None:
    wanted = command(python, tmp_path / "a", "")
    executor = (
        "import os, pathlib, time\nfrom tasks.command import inherited\nfrom tasks.runner import *\n"
        "from tasks.warm import *\n"
        f"c = Command({python!r}, 'main.py', pathlib.Path({str(wanted.folder)!r}), inherited(), b'')\n"
        "r = WarmRunner()\nr.prepare(c.python, c.environment)\nwhile not r.warm(c): time.sleep(0.01)\n"
        "p = r.start(c)\n"
        "print(*(one._process.pid for one in r._servers.values()), p.pid, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", executor], capture_output=True, cwd=root)
    assert done.returncode == -9, done.stderr
    for pid in map(int, done.stdout.split()):
        wait_until_gone(pid)


def test_an_execution_whose_server_is_killed_fails_honestly(tmp_path: Path) -> None:
    ferris = platform(tmp_path / "home", FERRIS_RUNNER="warm")
    try:
        ferris.run({"main.py": ""})
        python = environment(tmp_path / "home" / "cache" / "environments")
        wanted = Command(python, "main.py", tmp_path, ferris.executor.environ, b"")
        assert isinstance(ferris.executor.runner, WarmRunner)
        wait_until_warm(ferris.executor.runner, wanted)
        order = ferris.order(
            {"main.py": "import time\nprint('up', flush=True)\ntime.sleep(1)\nprint('done')"}
        )
        thread = ferris.start(order)
        ferris.wait_line(order.execution_id, "up")
        [server] = servers(python)
        server.kill()
        thread.join(60)
        result = ferris.result(order.execution_id)
        assert result.text("stdout") == "up\ndone\n"
        assert result.types[-2:] == ["step.failed", "execution.failed"]
        assert "exit status is lost" in result.last.data["error"]
        assert ferris.run({"main.py": "print(1)"}).types[-1] == "execution.completed"
    finally:
        ferris.executor.close()
        ferris.control.close()
    assert servers(python) == []


def test_each_script_can_be_started_freshly(tmp_path: Path) -> None:
    ferris = platform(tmp_path / "home", FERRIS_RUNNER="cold")
    try:
        assert ferris.run({"main.py": ""}).types[-1] == "execution.completed"
        assert servers(environment(tmp_path / "home" / "cache" / "environments")) == []
    finally:
        ferris.executor.close()
        ferris.control.close()
