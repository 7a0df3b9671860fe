"""Past events again: exactly once each and in order, whatever is killed; and services that start in the past."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

from tests.acceptance.client import event, until
from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project

EVENTS = 120
FLOWS = 8


def send(project: Project, count: int, flows: int) -> None:
    """Events that nobody wants so far, each with its number as subject; returns when all are in the journal."""
    sent = [
        event(project("TAG.placed"), {"n": n}, subject=str(n), correlationid=project(f"TAGFLOW{n % flows}"))
        for n in range(count)
    ]
    assert project.client.send_batch(sent).status == 202
    until(lambda: len(journal(project)) == count, 30, "not all are in the journal")


def journal(project: Project, **query: Any) -> list[dict[str, Any]]:
    return project.client.all("/api/v1/events/", type=project("TAG.placed"), limit=500, **query)


def listener(**more: Any) -> dict[str, Any]:
    return {
        "manifest.json": {"trigger_events": ["TAG.placed"], **more},
        "s.py": "from ferris_ef import context; print(context.params.get('n'))",
    }


def test_kill_in_the_middle_of_a_replay(own: Platform, tmp_path: Path) -> None:
    project = Project(own.client, tmp_path)
    client = project.client
    send(project, EVENTS, FLOWS)
    project.load({"TAG_late": listener(), "TAG_other": listener()})
    wanted = {"service": project("TAG_late"), "event_type": project("TAG.*"), "since": "2026-01-01T00:00:00Z"}
    assert client.post("/api/v1/replays/preview/", wanted)["events"] == EVENTS
    path = f"/api/v1/replays/{client.post('/api/v1/replays/', wanted | {'rate': 30})['id']}/"
    for part in (EVENTS // 6, EVENTS // 2):
        until(lambda part=part: client.get(path)["sent"] >= part, 30, "it does not go on")
        assert client.get(path)["status"] == "running"
        own.engine().kill()
    ended = until(
        lambda: (row := client.get(path))["status"] == "completed" and _over(row["outcome"]) and row,
        90,
        lambda: f"not all have run: {client.get(path)}",
    )
    assert (ended["sent"], ended["outcome"]["routed"]) == (EVENTS, EVENTS)
    runs = project.runs("TAG_late", limit=500)
    assert len(runs) == len({run["event_id"] for run in runs}) == EVENTS
    assert project.runs("TAG_other") == []
    # What was in user code when the engine was killed is not run again: its manifest does not allow it.
    assert {run["reason"] for run in runs if run["status"] == "failed"} <= {"executor_lost"}
    printed = collections.Counter(
        line for run in runs if run["status"] == "completed" for line in client.output(run["id"])
    )
    assert set(printed.values()) == {1}
    assert len(printed) == len(project.runs("TAG_late", status="completed", limit=500)) > EVENTS / 2
    # In the order of the originals, within each flow; and each flow is a new one.
    flows = collections.defaultdict(list)
    for row in reversed(journal(project)):
        flows[row["flow_id"]].append(int(row["subject"]))
    assert len(flows) == 2 * FLOWS
    assert all(numbers == sorted(numbers) and len(numbers) == EVENTS // FLOWS for numbers in flows.values())


def _over(outcome: dict[str, Any]) -> bool:
    return sum(outcome["executions"].get(status, 0) for status in ("completed", "failed")) == EVENTS


def test_a_service_that_starts_in_the_past(project: Project) -> None:
    send(project, 5, 5)
    project.load({"TAG_late": listener(start_from="1d"), "TAG_new": listener()})
    project.emit("TAG.placed", {"n": 5})
    until(lambda: len(project.runs("TAG_late", status="completed")) == 6, 60, "it did not get them all")
    assert len(project.runs("TAG_new")) == 1


def test_stop_and_go_on_by_command(own: Platform, tmp_path: Path) -> None:
    project = Project(own.client, tmp_path)
    send(project, 20, 4)
    project.load({"TAG_late": listener()})
    began = own.manage("replay", "start", "--type", project("TAG.*"), "--since", "1d", "--rate", "2", "--yes")
    wanted = began.stdout.strip()
    until(lambda: project.client.get(f"/api/v1/replays/{wanted}/")["sent"] > 0, 30, "it has not begun")
    assert "stopped" in own.manage("replay", "stop", wanted).stdout
    assert project.client.get(f"/api/v1/replays/{wanted}/")["sent"] < 20
    own.manage("replay", "resume", wanted)
    until(lambda: len(project.runs("TAG_late", status="completed")) == 20, 60, "not all have run")
