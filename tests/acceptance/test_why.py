"""Why, what if, and once more: the commands beside a running platform, with the exit statuses that scripts rely on."""

from __future__ import annotations

import json
import signal
import subprocess

from tests.acceptance.client import until
from tests.acceptance.embedded import PYTHON, ROOT, Platform
from tests.acceptance.services import Project

SCRIPT = "print('hello')\n"


def strong(least: int) -> dict[str, object]:
    return {"event_type": "TAG.seen", "filter": {"data": {"mag": [{"numeric": [">=", least]}]}}}


def test_why_tells_of_the_time_of_the_event_also_after_a_sync(shared: Platform, project: Project) -> None:
    project.load({"TAG_alert": {"manifest.json": {"trigger_events": [strong(5)]}, "run.py": SCRIPT}})
    client, alert = project.client, project("TAG_alert")
    event = f"{project.tag}-weak"
    project.emit("TAG.seen", {"mag": 4}, id=event)
    project.emit("TAG.seen", {"mag": 6}, id=f"{project.tag}-strong")
    until(
        lambda: client.request("GET", f"/api/v1/events/{event}/").status == 200, 30, "the event is not routed"
    )
    done = shared.manage("why", event, alert, check=False)
    assert done.returncode == 1
    assert 'data.mag is 4; expected [{"numeric": [">=", 5]}]' in done.stdout
    ran = shared.manage("why", f"{project.tag}-strong", alert, "--json")
    assert json.loads(ran.stdout)["verdict"] in ("ran", "waiting")

    project.write({"TAG_alert": {"manifest.json": {"trigger_events": [strong(3)]}}})
    project.sync()
    done = shared.manage("why", event)
    assert "data.mag is 4" in done.stdout
    assert "today it would match" in done.stdout
    assert client.get(f"/api/v1/events/{event}/why/", service=alert)["today"]["matches"] is True
    assert shared.manage("why", f"{project.tag}-none", check=False).returncode == 2


def test_a_backtest_in_ci(shared: Platform, project: Project) -> None:
    project.load(
        {
            "TAG_alert": {"manifest.json": {"trigger_events": [strong(5)]}, "run.py": SCRIPT},
            "TAG_rest": {"manifest.json": {"trigger_events": ["TAG.*"]}, "run.py": SCRIPT},
        }
    )
    for mag in range(10):
        project.emit("TAG.seen", {"mag": mag})
    until(lambda: len(project.runs("TAG_rest")) == 10, 30, "not all events are routed")

    def status(*arguments: str) -> tuple[int, str]:
        done = shared.manage(
            "backtest",
            str(project.folder),
            "--project",
            project.tag,
            "--since",
            "1h",
            *arguments,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    assert status("--fail-on", "any")[0] == 0
    project.write({"TAG_alert": {"manifest.json": {"trigger_events": [strong(8)]}}})
    assert status()[0] == 0
    assert status("--fail-on", "gained")[0] == 0
    code, said = status("--fail-on", "lost")
    assert code == 1
    assert f"{project('TAG_alert')} (changed): 5 before, 2 after, 0 gained, 3 lost" in said
    project.write({"TAG_alert": {"manifest.json": {"trigger_events": [{"event_type": 3}]}}})
    code, said = status("--fail-on", "lost")
    assert code == 2
    assert "trigger_events[0].event_type" in said


def test_failures_are_retried_once_each_also_by_two_and_after_a_kill(
    shared: Platform, project: Project
) -> None:
    failing = {
        "manifest.json": {"trigger_events": ["TAG.go"]},
        "run.py": "raise SystemExit('no row ' + str(id(0)))",
    }
    project.load({"TAG_work": failing})
    for _ in range(12):
        project.emit("TAG.go")
    until(lambda: len(project.runs("TAG_work", status="failed")) == 12, 60, "not all have failed")
    project.write({"TAG_work": {"run.py": SCRIPT}})  # the cause is mended
    project.sync()
    command = [PYTHON, "manage.py", "retry", "--service", project("TAG_work"), "--yes"]
    both = [
        subprocess.Popen(command, cwd=ROOT, env=shared.environment, stdin=subprocess.DEVNULL)
        for _ in range(2)
    ]
    until(
        lambda: both[0].poll() is not None or project.runs("TAG_work", trigger_type="retried"), 60, "no retry"
    )
    both[1].send_signal(signal.SIGKILL)
    assert both[0].wait(60) == 0
    both[1].wait(60)
    shared.manage("retry", "--service", project("TAG_work"), "--yes")
    found = until(
        lambda: (
            len(runs := project.runs("TAG_work", trigger_type="retried", status="completed")) >= 12 and runs
        ),
        60,
        "not all were retried",
    )
    assert len({run["parent_execution_id"] for run in found}) == len(found) == 12
    assert len(project.runs("TAG_work", trigger_type="retried")) == 12
    assert "0 retried" in shared.manage("retry", "--service", project("TAG_work"), "--yes").stdout
