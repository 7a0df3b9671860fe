"""Failing steps, timeouts, cancels, and retries that the manifest asks for."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import psutil

from tests.acceptance.client import until
from tests.acceptance.services import Project

GO = {"trigger_events": ["TAG.go"]}

STUBBORN = """
    import os, signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
    started = subprocess.Popen([sys.executable, "-c", child])
    with open({pids!r}, "w") as file:
        file.write(f"{{os.getpid()}} {{started.pid}}\\n")
    print("begun", flush=True)
    time.sleep(300)
"""


def pids(path: Path, timeout: float = 20) -> list[int]:
    """The process ids that a stubborn script has written down."""
    until(lambda: path.exists() and path.read_text().endswith("\n"), timeout, "the script has not begun")
    return [int(pid) for pid in path.read_text().split()]


def assert_gone(wanted: list[int], timeout: float = 3) -> None:
    def alive() -> list[int]:
        return [pid for pid in wanted if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]

    until(lambda: not alive(), timeout, lambda: f"still alive: {alive()}")


def seconds(row: dict[str, str], start: str, end: str) -> float:
    return (datetime.fromisoformat(row[end]) - datetime.fromisoformat(row[start])).total_seconds()


def test_a_failing_step_ends_the_execution(project: Project) -> None:
    project.load(
        {
            "TAG_s": {
                "manifest.json": {**GO, "execution_order": ["one.py", "two.py", "three.py"]},
                "one.py": "print('one')",
                "two.py": "import sys\nprint('two')\nprint('what went wrong', file=sys.stderr)\nsys.exit(3)",
                "three.py": "print('three')",
            }
        }
    )
    client = project.client
    row = client.flow(project.emit("TAG.go"), 1)[0]
    assert (row["status"], row["reason"], row["attempt"]) == ("failed", "script_failed", 1)
    steps = [(s["script"], s["status"], s["exit_code"]) for s in client.steps(row["id"])]
    assert steps == [("one.py", "completed", 0), ("two.py", "failed", 3)]
    lines = [(x["step"], x["message"]) for x in client.logs(row["id"]) if x["stream"] in ("stdout", "stderr")]
    assert lines == [("one.py", "one"), ("two.py", "two"), ("two.py", "what went wrong")]


def test_an_exception_and_a_signal_are_failures(project: Project) -> None:
    project.load(
        {
            "TAG_raises": {"manifest.json": GO, "s.py": "raise ValueError('no such thing')"},
            "TAG_dies": {
                "manifest.json": GO,
                "s.py": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
            },
        }
    )
    client = project.client
    rows = {row["service"]: row for row in client.flow(project.emit("TAG.go"), 2)}
    assert {(row["status"], row["reason"]) for row in rows.values()} == {("failed", "script_failed")}
    raised = rows[project("TAG_raises")]["id"]
    assert client.output(raised, "stderr")[-1] == "ValueError: no such thing"
    assert client.steps(raised)[0]["exit_code"] == 1
    assert "KILL" in str(client.steps(rows[project("TAG_dies")]["id"])[0])


def test_a_timeout_kills_the_script_and_its_children(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "pids"
    project.load(
        {"TAG_s": {"manifest.json": {**GO, "timeout": "1.5s"}, "s.py": STUBBORN.format(pids=str(path))}}
    )
    client = project.client
    row = client.flow(project.emit("TAG.go"), 1)[0]
    assert (row["status"], row["reason"]) == ("failed", "timeout")
    assert seconds(row, "started_at", "finished_at") > 1.4
    assert client.output(row["id"]) == ["begun"]
    assert_gone(pids(path))


def test_a_cancel_stops_a_script_that_ignores_sigterm(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "pids"
    project.load({"TAG_s": {"manifest.json": GO, "s.py": STUBBORN.format(pids=str(path))}})
    client = project.client
    flow = project.emit("TAG.go")
    running = pids(path)
    wanted = client.executions(correlation_id=flow)[0]["id"]
    client.post(f"/api/v1/executions/{wanted}/cancel/")
    row = client.finished(wanted, 60)
    assert row["status"] == "cancelled"
    assert_gone(running)
    assert client.output(wanted) == ["begun"]
    assert client.request("POST", f"/api/v1/executions/{wanted}/cancel/", {}).status == 409


def test_a_cancelled_script_may_clean_up(project: Project, tmp_path: Path) -> None:
    flag, ready = tmp_path / "cleaned up", tmp_path / "ready"
    project.load(
        {
            "TAG_s": {
                "manifest.json": GO,
                "s.py": f"""
                    import pathlib, signal, sys, time

                    def end(*_):
                        pathlib.Path({str(flag)!r}).touch()
                        sys.exit(0)

                    signal.signal(signal.SIGTERM, end)
                    pathlib.Path({str(ready)!r}).touch()
                    time.sleep(300)
                """,
            }
        }
    )
    client = project.client
    flow = project.emit("TAG.go")
    until(ready.exists, 20, "the script has not begun")
    wanted = client.executions(correlation_id=flow)[0]["id"]
    client.post(f"/api/v1/executions/{wanted}/cancel/")
    assert client.finished(wanted, 60)["status"] == "cancelled"
    assert flag.exists()


def test_what_waits_is_cancelled_at_once(project: Project) -> None:
    project.load(
        {
            "TAG_s": {
                "manifest.json": {**GO, "retry": {"attempts": 2, "delay": "10m"}},
                "s.py": "raise SystemExit(1)",
            }
        }
    )
    client = project.client
    flow = project.emit("TAG.go")
    waiting = until(
        lambda: client.executions(correlation_id=flow, status="pending"), 20, "no retry was planned"
    )[0]
    assert waiting["attempt"] == 2
    client.post(f"/api/v1/executions/{waiting['id']}/cancel/")
    assert client.finished(waiting["id"], 3)["status"] == "cancelled"


def test_the_manifests_retry_tries_again_with_backoff(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "attempts"
    script = f"""
        import sys, time
        with open({str(path)!r}, "a") as file:
            file.write(f"{{time.time()}}\\n")
        print("attempt")
        sys.exit(1)
    """
    retry = {"attempts": "3", "delay": 0.5, "backoff": 3}
    project.load({"TAG_s": {"manifest.json": {**GO, "retry": retry}, "s.py": script}})
    client = project.client
    row = client.flow(project.emit("TAG.go"), 1)[0]
    assert (row["status"], row["reason"], row["attempt"]) == ("failed", "script_failed", 3)
    times = [float(line) for line in path.read_text().split()]
    assert len(times) == 3
    first, second = times[1] - times[0], times[2] - times[1]
    assert 0.3 < first < 4
    assert second > first
    assert client.output(row["id"]) == ["attempt"] * 3
    assert len(client.steps(row["id"])) == 3


def test_a_retry_that_succeeds_sends_its_events_once(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "attempts"
    project.load(
        {
            "TAG_s": {
                "manifest.json": {**GO, "retry": {"attempts": 3, "delay": 0.2}},
                "s.py": f"""
                    import os, sys
                    from ferris_ef import context
                    context.events.send("TAG.sent", data={{"n": 1}})
                    context.events.send("TAG.sent", data={{"n": 1}})  # the same content twice is two events
                    file = {str(path)!r}
                    if not os.path.exists(file):
                        open(file, "w").close()
                        sys.exit(1)
                """,
            },
            "TAG_r": {"manifest.json": {"trigger_events": ["TAG.sent"]}, "r.py": "print()"},
        }
    )
    rows = project.client.flow(project.emit("TAG.go"), 3)
    assert [(row["status"], row["attempt"]) for row in rows if row["service"] == project("TAG_s")] == [
        ("completed", 2)
    ]
    assert [row["status"] for row in rows if row["service"] == project("TAG_r")] == ["completed", "completed"]
