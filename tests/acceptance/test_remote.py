"""The commands against a platform elsewhere: the interpreter alone, no package, no home, only address and token."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.acceptance.embedded import ROOT, Platform
from tests.acceptance.services import Project

Remote = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def remote(shared: Platform) -> Remote:
    """Runs a command with an interpreter that has no packages; its exit status is checked."""
    token = shared.manage("token", "admin").stdout.strip()

    def command(
        *arguments: str, status: int = 0, given: str = "", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        told = {
            "FERRIS_URL": f"http://127.0.0.1:{shared.port}",
            "FERRIS_TOKEN": token,
            "PATH": "/usr/bin",
            **environ,
        }
        done = subprocess.run(
            [sys.executable, "-S", "manage.py", *arguments],
            cwd=ROOT,
            env=told,
            input=given,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return command


def _rows(done: subprocess.CompletedProcess[str]) -> list[Any]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_folder_becomes_services_that_run_and_tell(
    remote: Remote, project: Project, tmp_path: Path
) -> None:
    name = project("TAG_far")
    folder = tmp_path / name
    folder.mkdir()
    (folder / "manifest.json").write_text(
        json.dumps({"trigger_events": [{"event_type": project("TAG.far")}]})
    )
    (folder / "run.py").write_text("print('one')")
    put = ("sync", project("TAG_hand"), "--watch", str(tmp_path), "--once")
    first = remote(*put)
    assert f"{name}: version 1" in first.stdout
    assert "There is no project" in first.stderr
    (folder / "run.py").write_text("import sys\nprint('two')\nsys.exit(3)")
    second = remote(*put)
    assert f"{name}: version 2" in second.stdout
    assert "There is no project" not in second.stderr
    (folder / "manifest.json").write_text("{")
    assert "manifest.json" in remote(*put, status=2).stderr

    sent = json.loads(remote("emit", project("TAG.far"), "--data", "{}", "--wait", "--json", status=1).stdout)
    assert [row["status"] for row in sent["executions"]] == ["failed"]
    assert name in remote("flow", sent["correlation_id"], status=1).stdout
    assert "two" in remote("logs", name).stdout
    followed = remote("logs", "--follow", "--json", sent["executions"][0]["id"], status=1)
    assert [row["message"] for row in _rows(followed) if row["stream"] == "stdout"] == ["two"]
    assert _rows(remote("why", sent["id"], name, "--json"))[0]["verdict"] == "ran"
    assert "runs again as" in remote("retry", sent["executions"][0]["id"]).stdout
    assert {row["service"] for row in _rows(remote("executions", "--service", name, "--json"))} == {name}
    assert [row["name"] for row in _rows(remote("services", name, "--json"))] == [name]
    assert "two" in remote("run", name, "--follow", status=1).stdout


def test_changed_triggers_are_tried_on_the_past(remote: Remote, project: Project, tmp_path: Path) -> None:
    kind, name = project("TAG.past"), project("TAG_past")
    for amount in (1, 7):
        remote("emit", kind, "--data", json.dumps({"amount": amount}), "--wait")
    (tmp_path / name).mkdir()
    large = {"event_type": kind, "filter": {"data": {"amount": [{"numeric": [">", 5]}]}}}
    (tmp_path / name / "manifest.json").write_text(json.dumps({"trigger_events": [large]}))
    for folder in (tmp_path, tmp_path / name):
        found = json.loads(remote("backtest", str(folder), "--since", "1h", "--json").stdout)
        assert [(one["service"], one["gained"]) for one in found["services"]] == [(name, 1)]
    assert f"{name} (added): 0 before, 1 after" in remote("backtest", str(tmp_path)).stdout
    remote("backtest", "--type", kind, "--fail-on", "gained", status=1)
    remote("backtest", "--type", kind, "--fail-on", "lost")
    assert "give one of" in remote("backtest", status=2).stderr
    assert "--filter is no JSON" in remote("backtest", "--type", kind, "--filter", "{", status=2).stderr
    (tmp_path / name / "manifest.json").write_text('{"trigger_events": 7}')
    assert f"{name}: manifest.json" in remote("backtest", str(tmp_path), status=2).stderr


def test_a_token_makes_one_that_may_no_more(remote: Remote) -> None:
    made = remote("token", "--name", "for a laptop", "--scope", "read", "--days", "1").stdout
    assert made.startswith("ferris_")
    assert made.count("\n") == 1
    remote("services", FERRIS_TOKEN=made.strip())
    assert "scope" in remote("emit", "a.b", status=2, FERRIS_TOKEN=made.strip()).stderr
    assert remote("token", status=2, FERRIS_TOKEN=made.strip()).stdout == ""


def test_python_alone_writes_runs_and_tests_services(remote: Remote, tmp_path: Path) -> None:
    """Of a checkout without a virtual environment; one that has it is used (`remote` has no packages either)."""
    assert "run-local" in remote("new", "greeter", "--folder", str(tmp_path)).stdout
    assert "Hello, you" in remote("run-local", str(tmp_path / "greeter"), "--data", '{"who": "you"}').stderr
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("remote", "ferris", "ferris_web", "sdk"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "manage.py", checkout)

    def alone(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-S", "manage.py", *arguments],
            cwd=checkout,
            env={"PATH": "/usr/bin"},
            input='{"filter": {"type": ["a"]}, "event": {"type": "a"}}',
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    alone("new", "other")
    (checkout / "other" / "tests").mkdir()
    case = {"event": {"data": {"who": "you"}}, "expect": {"events": [{"data": {"greeted": "you"}}]}}
    (checkout / "other" / "tests" / "you.json").write_text(json.dumps(case))
    assert "1 passed, 0 failed" in alone("test", "other").stdout
    assert "Hello, world" in json.loads(alone("run-local", "other", "--json").stdout)["output"]
    assert json.loads(alone("match").stdout)["matched"] is True
    alone("new", "query", "--from", "sql")
    assert "list.sql needs more than Python" in alone("run-local", "query", status=2).stderr
    (checkout / "other" / "requirements.txt").write_text("requests\n")
    assert "requirements.txt needs more than Python" in alone("test", "other", status=2).stderr
    assert ".venv/installed" in alone("sync", "shop", status=1).stderr


def test_samples_are_sent_and_waited_for(remote: Remote, project: Project) -> None:
    """Nobody is at their addresses: the answer says so, and the exit status."""
    name, kind = project("TAG_told"), project("TAG.told")
    project.load({name: {"manifest.json": {"trigger_events": [kind]}, "run.py": "print('here')"}})
    url = "https://nobody.invalid/hooks"
    added = remote("subscription", "add", name, kind, "-", "--project", project("TAG"), given=url)
    assert "whsec_" in added.stdout
    tried = json.loads(remote("subscription", "test", name, "--json", status=1).stdout)
    assert (tried["status"], bool(tried["last_problem"])) == ("failed", True)
    told = ("notification", "add", name, "--project", project("TAG"), "--kind", "failures", "--targets", "-")
    remote(*told, given="json://nobody.invalid/x\n")
    assert "failed" in remote("notification", "test", name, status=1).stdout
    assert len(remote("webhook", "new", name, "--kind", "standard", "--type", kind).stdout.split()) == 1
    came = json.loads(remote("webhook", "test", name, "--json").stdout)
    assert came["type"] == kind
    begun = remote("replay", "start", "--service", name, "--since", "1h", "--yes", "--wait", "--json")
    ident = json.loads(begun.stdout)["id"]
    assert "completed" in remote("replay", "show", ident).stdout
    assert project("TAG") in remote("project", "list").stdout


def test_what_is_wrong_is_said_in_a_line(remote: Remote) -> None:
    assert "database" in remote("doctor").stdout
    assert "token USER" in remote("services", status=2, FERRIS_TOKEN="ferris_nothing").stderr
    assert "is not set" in remote("services", status=2, FERRIS_TOKEN="").stderr
    assert "does not answer" in remote("services", status=2, FERRIS_URL="http://127.0.0.1:1").stderr
    assert "platform's address" in remote("services", status=2, FERRIS_URL="ferris.example").stderr
    assert "own machine" in remote("gateway", status=2).stderr
    assert "expected open or pending" in remote("executions", "--status", "odd", status=2).stderr
    assert "no service of that name" in remote("logs", "nothing-of-that-name", status=2).stderr
    assert "no execution's id" in remote("retry", "nothing", status=2).stderr
    assert "there is no execution" in remote("cancel", str(UUID(int=7)), status=2).stderr
    assert "quotes included" in remote("emit", "a.b", "--data", "{", status=2).stderr


def test_the_same_on_the_platforms_own_machine(shared: Platform, project: Project) -> None:
    name = project("TAG_near")
    project.load({"TAG_near": {"manifest.json": {}, "run.py": "print('here')"}})
    assert "here" in shared.manage("run", name, "--follow").stdout
    assert "here" in shared.manage("logs", name).stdout
    assert name in shared.manage("executions", "--service", name).stdout
