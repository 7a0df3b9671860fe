"""Events in, scripts' first lines out: latency, throughput, and events that nobody wants."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

from tests.acceptance.client import OPEN, event, until
from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project
from tests.bench import bare

NOTE = """
file = os.open({notes!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(file, f"{{now!r}}\\n".encode())
"""
BATCH = 100
REPOSITORY = 4_000  # services in one; a repository has a limit


def latency(platform: Platform, folder: Path, count: int) -> dict[str, Any]:
    """First line of the user's script, one event at a time, in turn with bare Python. Milliseconds."""
    notes = folder / "latency"
    project = Project(platform.client, folder)
    script = bare.FIRST_LINE + NOTE.format(notes=str(notes))
    project.load({"TAG_s": {"manifest.json": {"trigger_events": ["TAG.go"]}, "s.py": script}})
    sent, accepted, alone = [], [], []
    for number in range(count + 5):
        before = time.time()
        project.emit("TAG.go")
        after = time.time()
        began = until(lambda number=number: _line(notes, number), 30, "the script has not run")
        time.sleep(0.05)  # the report of this one is not the delay of the next
        spawned = bare.first_line(folder)
        if number >= 5:  # the first ones warm up
            sent.append(began - before)
            accepted.append(began - after)
            alone.append(spawned)
    return {
        "n": count,
        "sent": _percentiles(sent),
        "accepted": _percentiles(accepted),
        "bare": _percentiles(alone),
    }


def _line(notes: Path, number: int) -> float | None:
    lines = notes.read_text().split() if notes.exists() else []
    return float(lines[number]) if len(lines) > number else None


def _percentiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cuts[49] * 1000, "p99": cuts[98] * 1000}


def throughput(platform: Platform, folder: Path, count: int) -> dict[str, float]:
    """Trivial executions per second: from before the first event is sent until the last one is completed."""
    return {
        name: _burst(platform, folder, count, script)
        for name, script in (
            ("trivial", "pass"),
            ("with_library", "from ferris_ef import context; context.params"),
        )
    }


def _burst(platform: Platform, folder: Path, count: int, script: str) -> float:
    project = Project(platform.client, folder)
    manifest = {"trigger_events": ["TAG.go"], "entrypoint": "s.py"}
    project.load({"TAG_s": {"manifest.json": manifest, "s.py": script}})
    events = [event(project("TAG.go"), {"n": n}) for n in range(count)]
    began = time.monotonic()
    _send(project, events)
    ended = until(lambda: _completed(project, count), 300, "not all were completed", longest_pause=0.2)
    return count / (ended - began)


def _completed(project: Project, count: int) -> float | None:
    """When all were seen to have ended. Looks for an open one: the list of all would cost what is measured, and to look
    more often, too."""
    waiting = {"service": project("TAG_s"), "status": ",".join(OPEN), "limit": 1}
    if project.client.get("/api/v1/executions/", **waiting)["results"]:
        return None
    seen = time.monotonic()
    return seen if len(project.runs("TAG_s", status="completed")) == count else None


def many_services(platform: Platform, folder: Path, count: int) -> float:
    """Give the platform so many services more, some thousands a repository; the seconds that it takes to sync."""
    name = f"many{count}"
    for number in range(count):
        service = folder / name / str(number // REPOSITORY) / f"{name}_{number}"
        service.mkdir(parents=True)
        wanted = {"customer": [number], "total": [{"numeric": [">=", 50]}]}
        trigger = {"event_type": f"shop.order.{number % 100}", "filter": {"data": wanted}}
        (service / "manifest.json").write_text(json.dumps({"trigger_events": [trigger]}))
        (service / "run.py").write_text("print()\n")
    began = time.monotonic()
    for source in sorted((folder / name).iterdir()):
        platform.manage("project", "add", name, str(source), timeout=900)
    return time.monotonic() - began


def journal(platform: Platform, folder: Path, count: int) -> dict[str, float]:
    """Events that run nothing, per second: accepted by the API, and taken to the journal by the router.

    With `many_services` each is of a type that a hundredth of them listens to, and no filter lets it through.
    """
    project = Project(platform.client, folder)
    project.load({"TAG_s": {"manifest.json": {"trigger_events": ["TAG.last"]}, "s.py": "print()"}})
    events = [
        event(f"shop.order.{n % 100}", {"customer": -1 - n, "total": 50, "text": "x" * 100})
        for n in range(count)
    ]
    began = time.monotonic()
    _send(project, events)
    accepted = time.monotonic() - began
    flow = project.emit("TAG.last")  # the log is in order: when this one runs, all others have been routed
    until(lambda: platform.client.executions(correlation_id=flow), 300, "not routed")
    return {"accepted": count / accepted, "routed": count / (time.monotonic() - began)}


def replay(platform: Platform) -> float:
    """Events of `journal` that a replay sends again and the router takes in, per second."""
    began = time.monotonic()
    path = "/api/v1/replays/"
    wanted = {"event_type": "shop.order.*", "since": "2020-01-01T00:00:00Z"}
    path += platform.client.post(path, wanted)["id"] + "/"

    def done() -> int:
        row = platform.client.get(path)
        time.sleep(0.1)
        return row["status"] == "completed" and row["outcome"]["routed"] == row["sent"] and row["sent"]

    return until(done, 600, "the replay did not end") / (time.monotonic() - began)


def _send(project: Project, events: list[dict[str, Any]]) -> None:
    for start in range(0, len(events), BATCH):
        answer = project.client.send_batch(events[start : start + BATCH])
        assert answer.status == 202, answer.text
