"""The commands as a user runs them: what they print, where, and their exit status."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import CommandError

from ferris import environments
from ferris.config import EVENTS, ROOT
from ferris_web import wiring
from ferris_web.accounts.models import ApiToken, User
from ferris_web.accounts.services import token_create, token_user
from ferris_web.catalog import selectors
from ferris_web.catalog.models import Project, Service
from ferris_web.executions.models import Execution
from remote.__main__ import main as remotely
from remote.arguments import COMMANDS, parser_of
from tests.web.folders import NOW, SourceFolder
from tests.web.platform import dispatch, event, service
from tests.wheels import wheel

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


def run(*command: Any, **options: Any) -> tuple[int, str, str]:
    """Exit status, standard output, standard error of one command."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command(*map(str, command), stdout=out, stderr=err, **options)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except CommandError as error:
        status = error.returncode
        err.write(str(error))
    return status, out.getvalue(), err.getvalue()


def manage(*command: Any, **environment: str) -> subprocess.CompletedProcess[str]:
    """manage.py in a process of its own."""
    return subprocess.run(
        [sys.executable, "manage.py", *map(str, command)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --------------------------------------------------------------------------------------- project and sync


def test_adding_a_project_syncs_it(source: SourceFolder) -> None:
    source.service("orders", {"trigger_events": ["order.placed"]}, secrets_json={"KEY": "v4lue-of-it"})
    source.service("wrong", {"priority": "high"})
    source.service(".hidden")
    status, out, _ = run("project", "add", "shop", source.root)
    assert status == 1
    assert "  added     orders" in out
    assert "    secrets.json: KEY: added" in out
    assert "  refused   wrong" in out
    assert "    error: manifest.json: priority: " in out
    assert "  skipped   .hidden" in out
    assert "1 added, 0 changed, 0 removed, 0 unchanged, 1 refused" in out
    assert "v4lue-of-it" not in out
    source.service("wrong", {"priority": 1})
    status, out, _ = run("sync", "shop")
    assert (status, "  added     wrong" in out) == (0, True)
    source.remove("wrong")
    status, out, _ = run("sync", "shop")
    assert (status, "  removed   wrong" in out) == (0, True)
    status, _, err = run("project", "add", "shop", source.root)
    assert (status, "already" in err) == (0, True)
    assert Project.objects.count() == 1


def test_projects_are_listed_and_removed(source: SourceFolder) -> None:
    source.service("orders")
    run("project", "add", "shop", source.root)
    _, out, _ = run("project", "list")
    assert "shop  (1 services)" in out
    assert str(source.root) in out
    told = json.loads(run("project", "list", json=True)[1])
    assert (told["name"], told["services"], told["repositories"][0]["source"]) == (
        "shop",
        1,
        str(source.root),
    )
    status, out, _ = run("project", "remove", "shop")
    assert (status, "orders" in out) == (0, True)
    assert run("project", "remove", "gone")[0] == 2


def test_what_cannot_be_added_says_why(tmp_path: Path) -> None:
    status, _, err = run("project", "add", "shop", tmp_path / "gone")
    assert (status, "there is no folder" in err) == (2, True)
    status, _, err = run("project", "add", "no good", tmp_path)
    assert (status, err.startswith("name: ")) == (2, True)
    status, _, err = run("sync", "gone")
    assert (status, err) == (2, "there is no project 'gone'")


def test_a_repository_that_cannot_be_read_fails_the_sync(source: SourceFolder) -> None:
    status, out, _ = run("project", "add", "shop", f"file://{source.root}", branch="main")
    assert status == 1
    assert "  failed: git could not ls-remote" in out


def test_sync_in_a_process_of_its_own(source: SourceFolder) -> None:
    source.service("orders")
    added = manage("project", "add", "shop", source.root)
    assert (added.returncode, added.stderr) == (0, "")
    source.service("wrong", "{")
    again = manage("sync", "shop")
    assert (again.returncode, again.stderr) == (1, "")
    assert "  refused   wrong" in again.stdout
    assert Service.objects.get().name == "orders"


# ------------------------------------------------------------------------------------------ token and new


def test_all_commands_are_completed() -> None:
    status, script, _ = run("completion", "bash")
    assert status == 0
    for word in ("subscription", "redeliver", "run-local", "--deploy-key", "createsuperuser"):
        assert word in script
    assert "sqlmigrate" not in script


def test_a_token_stands_alone_on_standard_output() -> None:
    user = User.objects.create_user("ada")
    made = manage("token", "ada")
    assert (made.returncode, made.stderr) == (0, "")
    [token] = made.stdout.splitlines()
    assert token_user(token, NOW) == user
    status, out, _ = run("token", "ada", "--json")
    assert (status, token_user(json.loads(out)["token"], NOW)) == (0, user)
    status, out, err = run("token", "nobody")
    assert (status, out, "no user" in err) == (2, "", True)


def test_a_new_service_syncs_and_is_not_overwritten(tmp_path: Path) -> None:
    status, _, _ = run("new", "order_checked", folder=tmp_path / "shop")
    assert status == 0
    made = manage("new", "order_seen", "--json", "--folder", tmp_path / "drafts")
    assert "manifest.json" in json.loads(made.stdout)["files"]
    status, out, _ = run("project", "add", "shop", tmp_path / "shop")
    assert (status, "added     order_checked" in out, "warning" in out) == (0, True, False)
    version = selectors.service_get("order_checked").version
    assert version is not None
    assert version.manifest["scripts"] == ["run.py"]
    assert [t.event_type for t in selectors.triggers_all()] == ["order_checked.requested"]
    status, _, err = run("new", "order_checked", folder=tmp_path / "shop")
    assert (status, "there already" in err) == (2, True)
    status, _, err = run("new", "../x", folder=tmp_path)
    assert (status, "rename" in err) == (2, True)


# ----------------------------------------------------------------------------------------------- run-local

PRINTS = """
import json, os, sys
said = json.loads(sys.argv[1])
print(json.dumps({"argv": said, "cwd": os.listdir("."), "EF_ENV": os.environ.get("EF_ENV")}))
"""


def test_scripts_run_in_order_with_the_data(source: SourceFolder) -> None:
    folder = source.service(
        "orders", {"execution_order": ["second.py", "first.py"]}, secrets_json={"KEY": "v"}
    )
    (folder / "run.py").unlink()
    (folder / "second.py").write_text(PRINTS)
    (folder / "first.py").write_text("print('the end')")
    done = manage("run-local", folder, "--data", '{"total": 120, "package_name": "mine"}')
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    said = json.loads(first)
    assert last == "the end"
    assert said["EF_ENV"] == "local"
    assert "secrets.json" not in said["cwd"]
    argv = said["argv"]
    assert (argv["total"], argv["package_name"], argv["secrets"]) == (120, "orders", {"KEY": "v"})
    assert argv["origin_event_type"] == "local"
    assert {"_fxcid", "_fxexec", "_fxparentexec", "package_id"} <= argv.keys()
    assert sorted(p.name for p in folder.iterdir()) == [
        "first.py",
        "manifest.json",
        "second.py",
        "secrets.json",
    ]


def test_the_failing_scripts_status_is_the_commands(source: SourceFolder) -> None:
    folder = source.service(
        "orders", {"execution_order": ["a.py", "b.py"]}, a_py="raise SystemExit(7)", b_py="print(1)"
    )
    done = manage("run-local", folder)
    assert (done.returncode, done.stdout) == (7, "")
    assert "a.py failed with exit status 7" in done.stderr
    done = manage("run-local", folder, "--json")
    assert done.returncode == 7
    assert json.loads(done.stdout) == {"script": "a.py", "status": 7, "output": ""}
    source.service("orders", {"execution_order": ["a.py"]}, a_py="import os; os.kill(os.getpid(), 9)")
    assert manage("run-local", folder).returncode == 128 + 9
    source.service("orders", {"entrypoint": "a.py", "timeout": 0.2}, a_py="import time; time.sleep(30)")
    assert manage("run-local", folder).returncode == 124


def test_a_traceback_begins_with_the_script(source: SourceFolder) -> None:
    folder = source.service("orders", run_py="def go():\n    return 1 / 0\n\ngo()")
    done = manage("run-local", folder)
    assert done.returncode == 1
    assert "runpy" not in done.stderr
    files = [line.strip() for line in done.stderr.splitlines() if line.strip().startswith("File ")]
    assert files == ['File "run.py", line 4, in <module>', 'File "run.py", line 2, in go']


def test_data_of_any_size(source: SourceFolder, capfd: pytest.CaptureFixture[str]) -> None:
    folder = source.service("orders", run_py="import sys, json; print(len(json.loads(sys.argv[1])['a']))")
    assert run("run-local", folder, data=json.dumps({"a": "x" * 3_000_000}))[0] == 0
    assert capfd.readouterr().out == "3000000\n"


def test_a_folder_with_a_mistake_does_not_run(source: SourceFolder) -> None:
    folder = source.service("orders", {"priority": 12})
    done = manage("run-local", folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: manifest.json: priority" in done.stderr
    assert manage("run-local", source.root / "gone").returncode == 2
    assert manage("run-local", folder, "--data", "{").returncode == 2


def test_the_helper_library_works_locally(source: SourceFolder) -> None:
    script = """
from ferris_ef import context
count = (context.state.get("count") or 0) + 1
context.state.put("count", count)
print(context.params.get("total"), context.config.get("limit"), context.secrets.get("KEY"), context.package.name, count)
context.events.send("order.seen", data={"count": count})
context.objects.put("reports", f"{count}.txt", "text")
"""
    folder = source.service("orders", run_py=script, secrets_json={"KEY": "v"}, config_json={"limit": 5})
    for count in (1, 2):
        done = manage("run-local", folder, "--data", '{"total": 120}')
        assert done.returncode == 0, done.stderr
        assert f"120 5 v orders {count}" in done.stdout
        assert "order.seen" in done.stdout
    assert (folder / "ef_package_state.json").is_file()
    assert not (folder / "ef_env.json").exists()
    assert sorted(p.name for p in (folder / "ef_objects" / "reports").iterdir()) == ["1.txt", "2.txt"]
    (folder / "ef_env.json").write_text(json.dumps({"secrets": {"KEY": "local"}, "params": {"total": 1}}))
    assert "1 5 local orders 3" in manage("run-local", folder).stdout
    run("project", "add", "shop", source.root)
    paths = {file["path"] for file in selectors.service_get("orders").version.files}  # type: ignore[union-attr]
    assert paths == {"run.py", "config.json"}


def test_a_services_own_tests(source: SourceFolder) -> None:
    script = """
from ferris_ef import context
context.state.update("count", lambda seen: (seen or 0) + 1)
context.artifacts.put("a.txt", context.config.get("limit"))
context.events.send("order.seen", data={"total": context.params.get("total")}, reference_id="7")
"""
    trigger = {"event_type": "order.placed", "filter": {"data": {"total": [{"numeric": [">", 5]}]}}}
    folder = source.service("orders", {"trigger_events": [trigger]}, run_py=script)
    assert manage("test", folder).returncode == 5
    (folder / "tests").mkdir()
    event = {"type": "order.placed", "data": {"total": 9}}
    expect = {"events": [{"subject": "7"}], "state": {"count": 5}, "artifacts": ["a.txt"]}
    case = {"event": event, "state": {"count": 4}, "config": {"limit": "5"}, "expect": expect}
    (folder / "tests" / "large.json").write_text(json.dumps(case))
    small = {"event": {"type": "order.placed", "data": {"total": 5}}, "expect": {"runs": False}}
    (folder / "tests" / "small.json").write_text(json.dumps(small))
    done = manage("test", source.root)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "2 passed, 0 failed"), (
        done.stdout + done.stderr
    )
    assert not (folder / "ef_package_state.json").exists()
    (folder / "tests" / "small.json").write_text(json.dumps({**small, "expect": {}}))
    (folder / "tests" / "wrong.json").write_text("{")
    done = manage("test", folder, "--json")
    said = {one["test"]: one["wrong"] for one in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1
    assert said["large"] == []
    assert "does not trigger" in said["small"][0]
    assert "is no JSON" in said["wrong"][0]
    (folder / "manifest.json").write_text("{")
    assert manage("test", folder).returncode == 2


def test_sql_and_requirements_locally(
    source: SourceFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "tiny_local", "1.0", {"tiny_local.py": "VALUE = 'from the wheel'\n"})
    for name, value in (("UV_NO_INDEX", "1"), ("UV_FIND_LINKS", str(wheels)), ("UV_NO_CACHE", "1")):
        monkeypatch.setenv(name, value)
    sqlite3.connect(tmp_path / "d.db").executescript("CREATE TABLE t (n INT)").close()
    folder = source.service(
        "orders",
        {"connection": "data", "sql": {"result_event": "order.counted"}},
        a_sql="INSERT INTO t VALUES ({{ n }});\nSELECT n, NULL AS nothing_ FROM t",
        run_py="import tiny_local, importlib.util as u; print(tiny_local.VALUE, u.find_spec('django'))",
        requirements_txt="tiny_local\n",
        ef_env_json={"connections": {"data": f"sqlite:///{tmp_path}/d.db"}},
    )
    done = manage("run-local", folder, "--data", '{"n": 7}')
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[:4] == [
        "line 1: INSERT: 1 row",
        "line 2: SELECT: 1 row, in a.csv",
        "  n | nothing_",
        "  7 | NULL",
    ]
    assert said[4].startswith("event order.counted {")
    assert said[5] == "from the wheel None"
    assert (folder / "ef_artifacts" / "a.csv").read_text() == "n,nothing_\n7,\n"
    (folder / "a.sql").write_text("SELECT nope FROM t")
    done = manage("run-local", folder)
    assert (done.returncode, "line 1: no such column: nope" in done.stderr) == (1, True)


# ---------------------------------------------------------------------------------------------- environments


def test_environments_are_listed_and_removed(ferris_home: Path) -> None:
    folder = ferris_home / "cache" / "environments"
    for name, wanted in (("py3.11-a", []), ("py3.11-b", ["pandas==3"])):
        python = environments.python_of(folder / name)
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
        (folder / name / "content").write_bytes(b"x" * 2 * 1024 * 1024)
        environments.write_about(folder / name, wanted)
        environments.lock_of(folder / name).touch()
    try:
        out = run("environments")[1]
        assert "py3.11-b      2.0 MiB" in out
        assert "pandas==3" in out
        out = run("environments", prune=0)[1]
        assert "removed py3.11-b (2.0 MiB)" in out
        assert "no packages" in out, "these are always needed"
        assert not (folder / "py3.11-b").exists()
    finally:
        shutil.rmtree(folder)


# --------------------------------------------------------------------------------------- emit, not waiting


def test_an_event_is_on_the_log(tmp_path: Path) -> None:
    status, out, err = run("emit", "order.placed", data='{"total": 120}', subject="o1", correlation_id="MINE")
    assert status == 0
    assert "flow MINE" in out
    assert "not running" in err
    [record] = wiring.event_log().browse(EVENTS)
    event = json.loads(record.value)
    assert (record.key, event["type"], event["data"], event["subject"]) == (
        "MINE",
        "order.placed",
        {"total": 120},
        "o1",
    )
    (tmp_path / "data.json").write_text("[1]")
    status, out, _ = run("emit", "a", data=f"@{tmp_path}/data.json", json=True)
    said = json.loads(out)
    assert json.loads(wiring.event_log().browse(EVENTS)[-1].value)["id"] == said["id"]
    assert len(said["correlation_id"]) == 10
    piped = subprocess.run(
        [sys.executable, "manage.py", "emit", "piped", "--data", "-"],
        cwd=ROOT,
        input='{"from": "pipe"}',
        text=True,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert piped.stdout.startswith("Sent piped")
    assert json.loads(wiring.event_log().browse(EVENTS)[-1].value)["data"] == {"from": "pipe"}


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("a", {"data": "{"}, "no JSON"),
        ("a", {"data": "@/gone"}, "No such file"),
        ("", {}, "type"),
        ("ferris.execution.started", {}, "reserved"),
        ("a", {"source": ""}, "source"),
        ("a", {"data": '"\\ud800"'}, "data"),
    ],
)
def test_bad_input_is_2(kind: str, options: dict[str, str], says: str) -> None:
    status, _, err = run("emit", kind, **options)
    assert (status, says in err) == (2, True), err
    assert wiring.event_log().browse(EVENTS) == []


def test_a_platform_that_is_down_is_3_when_the_time_is_up() -> None:
    status, _, err = run("emit", "a", wait=True, timeout=0.3)
    assert status == 3
    assert "not running" in err
    assert "not settled after 0.3 s" in err


# ------------------------------------------------------------------------------------------ the page of commands

# They run until they are ended and write logs, or print what is for one kind of program whatever is asked.
_NO_JSON = {
    "ferris": "a process", "web": "a process", "gateway": "a process",
    "createsuperuser": "Django's, asks", "changepassword": "Django's, asks",
    "match": "JSON in each line, always", "completion": "a script for a shell",
}  # fmt: skip


def _last_words(name: str, parser: ArgumentParser) -> Iterator[tuple[str, ArgumentParser]]:
    """The command, or each of its second words, with what it takes."""
    below = [one for one in parser._actions if isinstance(one, _SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        for word, inner in action.choices.items():
            yield from _last_words(f"{name} {word}", inner)


def test_the_page_of_commands_is_what_there_is() -> None:
    """Each command stands in docs/commands.md, *also* where a platform elsewhere takes it, with the same words."""
    rows = [
        line.split("|")[1:-1]
        for line in (ROOT / "docs/commands.md").read_text().splitlines()
        if line[:3] == "| `"
    ]
    told = {name: remote.strip() for names, _, remote in rows for name in re.findall(r"`([\w-]+)`", names)}
    ours = {name: app for name, app in get_commands().items() if app.startswith(("ferris_web.", "embedded"))}
    assert told.keys() == ours.keys() - {"seed_large"}  # fills a platform for measurements
    assert {
        name for name, remote in told.items() if remote == "also" or f"`{name}` also" in remote
    } == COMMANDS.keys()
    here = {
        name: load_command_class(app, name).create_parser("manage.py", name) for name, app in ours.items()
    }
    for name, parser in here.items():
        for words, last in _last_words(name, parser):
            wanted = name not in _NO_JSON and name != "seed_large"
            assert ("--json" in last.format_usage()) == wanted, words
    for name in COMMANDS.keys() - {"completion"}:
        afar = dict(_last_words(name, parser_of(name)))
        assert all("--json" in last.format_usage() for last in afar.values()), name
        assert afar.keys() == dict(_last_words(name, here[name])).keys()


def test_the_end_of_a_log(live_server: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    service("told", "a.happened")
    (bell,) = dispatch(event())
    Execution.objects.update(status="completed", finished_at=datetime.now(UTC))
    line = {
        "execution": str(bell.execution_id), "attempt": 1, "time": datetime.now(UTC).isoformat(), "step": "run.py",
        "stream": "stdout", "level": "info", "service": "told", "flow": "F",
    }  # fmt: skip
    wiring.ops_store().write("logs", [{**line, "seq": n, "message": f"line {n}"} for n in range(300)])
    settings = replace(wiring.config(), control_url=f"{live_server.url}/control")
    monkeypatch.setattr(wiring, "config", lambda: settings)
    root = User.objects.create_superuser("root")
    environ = {"FERRIS_URL": live_server.url, "FERRIS_TOKEN": token_create(root)}
    for how in ((), ("--follow",)):
        assert run("logs", "told", "--tail", "2", "--json", *how)[0] == 0
        assert remotely(["logs", "told", "--tail", "2", "--json", *how], environ) == 0
        found = [json.loads(row)["message"] for row in capsys.readouterr().out.splitlines()]
        assert found == ["line 298", "line 299"] * 2, how


def test_search_here_and_from_afar(live_server: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    now, lines = datetime.now(UTC).isoformat(), []
    for n, (level, message) in enumerate((("error", "the till is empty"), ("info", "all is well"))):
        lines.append(
            {
                "execution": str(uuid4()), "attempt": 1, "seq": 1, "time": now, "step": "run.py", "stream": "stdout",
                "level": level, "message": message, "service": f"s{n}", "flow": "F",
            }
        )  # fmt: skip
    wiring.ops_store().write("logs", lines)
    root = User.objects.create_superuser("root")
    settings = replace(wiring.config(), control_url=f"{live_server.url}/control")
    monkeypatch.setattr(wiring, "config", lambda: settings)

    def here(*arguments: str) -> int:
        return run("search", *arguments)[0]

    def afar(*arguments: str) -> int:
        environ = {"FERRIS_URL": live_server.url, "FERRIS_TOKEN": token_create(root)}
        return remotely(["search", *arguments], environ)

    for search in (here, afar):
        assert search("level:error", "--since", "24h", "--json") == 0
        [found] = map(json.loads, capsys.readouterr().out.splitlines())
        assert (found["service"], found["message"]) == ("s0", "the till is empty")
        assert search("till OR well", "--by", "level", "--json") == 0
        counts = map(json.loads, capsys.readouterr().out.splitlines())
        assert {row["value"]: row["count"] for row in counts} == {"error": 1, "info": 1}
        assert search("till") == 0
        assert "s0  run.py  the till is empty" in capsys.readouterr().out
        assert search("nothing-of-that") == 1
        assert search("level:(") == 2
    assert not ApiToken.objects.filter(name="manage.py search").exists()


def test_a_new_service_says_commands_that_a_shell_takes_and_where_tests_go(tmp_path: Path) -> None:
    made = manage("new", "order_checked", "--folder", tmp_path / "my services")
    folder = str(tmp_path / "my services" / "order_checked")
    words = next(line for line in made.stdout.splitlines() if line.startswith("Try it:"))
    assert shlex.split(words)[4] == folder
    none = manage("test", folder)
    assert (none.returncode, none.stdout) == (5, "0 passed, 0 failed\n")
    assert "tests/NAME.json" in none.stderr
