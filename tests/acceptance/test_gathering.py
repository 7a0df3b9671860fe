"""Events gathered by a running platform, through `kill -9` at any moment: nothing lost, nothing twice, exact counts."""

from __future__ import annotations

import collections
import json
import time
from pathlib import Path
from typing import Any

from tests.acceptance.client import OPEN, Refused, Unreachable, event, until
from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project

# One line per run: what it was for, and the numbers it was handed.
NOTE = """
    import json, os
    from ferris_ef import context

    handed = context.params.get("events") or [{{"data": context.params.all()}}]
    line = json.dumps([context.params.get("_fxexec"), [one["data"].get("n") for one in handed]])
    file = os.open({notes!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, (line + "\\n").encode())
"""


def script(notes: Path) -> str:
    return NOTE.format(notes=str(notes))


def handed(notes: Path) -> list[list[int]]:
    """What each run was handed; no run may stand there twice."""
    lines = [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
    assert len({run for run, _ in lines}) == len(lines), "an execution has run twice"
    return [numbers for _, numbers in lines]


def send(project: Project, events: list[dict[str, Any]]) -> None:
    """Until each was accepted: again when no answer came."""
    for start in range(0, len(events), 250):
        batch = events[start : start + 250]
        until(lambda batch=batch: accepted(project, batch), 60, "events were not accepted")


def accepted(project: Project, batch: list[dict[str, Any]]) -> bool:
    try:
        return project.client.send_batch(batch).status == 202
    except Unreachable:
        return False


def made(project: Project, kind: str, count: int, **data: Any) -> list[dict[str, Any]]:
    return [
        event(project(kind), {"n": n, **data}, id=f"{kind}-{n}", source=project("/TAG")) for n in range(count)
    ]


def gatherings(project: Project, service: str, **query: Any) -> list[dict[str, Any]]:
    return project.client.all("/api/v1/gatherings/", service=project(service), **query)


def at_rest(project: Project, *services: str) -> None:
    """Nothing is open, neither a gathering nor an execution."""

    def look() -> bool:
        try:
            waiting = sum(len(gatherings(project, name, state="open")) for name in services)
            rows = [row for name in services for row in project.runs(name, status=",".join(OPEN))]
        except (Unreachable, Refused):
            return False
        return not waiting and not rows

    until(look, 90, "something is still open")


def test_a_burst_through_filter_and_batch_is_counted_exactly(own: Platform, tmp_path: Path) -> None:
    project, notes = Project(own.client, tmp_path), tmp_path / "notes"
    odd = {"event_type": "TAG.burst", "filter": {"data": {"odd": [True]}}}
    project.load(
        {
            "TAG_batch": {
                "manifest.json": {"trigger_events": [odd], "batch": {"size": 100, "wait": "3s"}},
                "s.py": script(notes),
            },
            "TAG_once": {
                "manifest.json": {
                    "trigger_events": ["TAG.burst"],
                    "deduplicate": {"key": "data.part", "window": "1h"},
                },
                "s.py": "print(1)",
            },
        }
    )
    total = 4000
    burst = [
        event(
            project("TAG.burst"),
            {"n": n, "odd": n % 2 == 1, "part": n % 7},
            id=str(n),
            source=project("/TAG"),
        )
        for n in range(total)
    ]
    send(project, burst)
    until(
        lambda: sum(map(len, handed(notes))) >= total // 2,
        120,
        lambda: f"{sum(map(len, handed(notes)))} events",
    )
    at_rest(project, "TAG_batch")
    found = handed(notes)
    assert sorted(n for numbers in found for n in numbers) == list(range(1, total, 2))
    assert max(map(len, found)) == 100
    boxes = gatherings(project, "TAG_batch")
    assert sum(box["size"] for box in boxes) == total // 2
    assert len(project.runs("TAG_batch")) == len(boxes) == len(found)
    assert len(project.runs("TAG_once")) == 7
    assert sum(box["size"] for box in gatherings(project, "TAG_once")) == total - 7


def test_kills_during_debounce_lose_and_repeat_nothing(own: Platform, tmp_path: Path) -> None:
    project, notes = Project(own.client, tmp_path), tmp_path / "notes"
    project.load(
        {
            "TAG_calm": {
                "manifest.json": {
                    "trigger_events": ["TAG.said"],
                    "retry": {"attempts": 5, "delay": 0},
                    "debounce": {"wait": "1s", "max_wait": "4s", "key": "data.key", "events": "all"},
                },
                "s.py": script(notes),
            }
        }
    )
    for turn, pause in enumerate((0.0, 0.7, 1.5)):
        send(
            project,
            [
                event(
                    project("TAG.said"),
                    {"n": turn * 100 + n, "key": n % 4},
                    id=f"{turn}-{n}",
                    source=project("/TAG"),
                )
                for n in range(100)
            ],
        )
        time.sleep(pause)
        own.kill_all()
        own.start()

    def gathered() -> int:
        return sum(box["size"] for box in gatherings(project, "TAG_calm"))

    # Who takes over from gateways that were killed waits until the log gives up on them: what rests may not have begun.
    until(lambda: gathered() >= 300, 150, lambda: f"{gathered()} events")
    at_rest(project, "TAG_calm")
    boxes = gatherings(project, "TAG_calm")
    assert sum(box["size"] for box in boxes) == 300
    assert {box["state"] for box in boxes} == {"ran"}
    runs = project.runs("TAG_calm")
    assert sorted(run["id"] for run in runs) == sorted(box["execution_id"] for box in boxes)
    shown = [one["id"] for run in runs for one in members(project, run["gathering_id"])]
    assert len(shown) == len(set(shown)) == 300
    # A script that was killed may have written its line or not; whatever was written was written once.
    numbers = collections.Counter(n for handed_to in handed(notes) for n in handed_to)
    completed = sum(box["size"] for box in boxes if state_of(runs, box) == "completed")
    assert set(numbers.values()) == {1}
    assert len(numbers) >= completed


def members(project: Project, box: str) -> list[dict[str, Any]]:
    return list(project.client.get(f"/api/v1/gatherings/{box}/")["events"])


def state_of(runs: list[dict[str, Any]], box: dict[str, Any]) -> str:
    return next(run["status"] for run in runs if run["id"] == box["execution_id"])


def test_kills_during_joins_complete_each_once_and_tell_each_absence_once(
    own: Platform, tmp_path: Path
) -> None:
    project = Project(own.client, tmp_path)
    project.load(
        {
            "TAG_both": {
                "manifest.json": {"join": {"all_of": ["TAG.a", "TAG.b"], "by": "data.n", "within": "10m"}},
                "s.py": "print(1)",
            },
            "TAG_late": {
                "manifest.json": {
                    "join": {
                        "absence": {"of": "TAG.b", "after": "TAG.a"},
                        "by": "data.n",
                        "within": "40s",
                        "event": "TAG.missed",
                    }
                },
                "s.py": "print(1)",
            },
            "TAG_ear": {"manifest.json": {"trigger_events": ["TAG.missed"]}, "s.py": "print(1)"},
        }
    )
    count, answered = 60, 40
    send(project, made(project, "TAG.a", count))
    own.engine().kill()
    send(project, made(project, "TAG.b", answered)[:20])
    own.kill_all()
    own.start()
    send(project, made(project, "TAG.b", answered)[10:])  # ten of them for the second time
    own.engine().kill()
    missing = count - answered
    until(lambda: _count(project, "TAG_both") >= answered, 60, lambda: f"{_count(project, 'TAG_both')} joins")
    half = gatherings(project, "TAG_both", state="open")
    assert len(half) == missing
    shown = project.client.get(f"/api/v1/gatherings/{half[0]['id']}/")
    assert [part["came"] is not None for part in shown["parts"]] == [True, False]
    until(lambda: _count(project, "TAG_ear") >= missing, 90, lambda: f"{_count(project, 'TAG_ear')} told")
    own.kill_all()
    own.start()
    at_rest(project, "TAG_late", "TAG_ear")
    counts = {name: _count(project, name) for name in ("TAG_both", "TAG_late", "TAG_ear")}
    assert counts == {"TAG_both": answered, "TAG_late": missing, "TAG_ear": missing}
    states = collections.Counter(box["state"] for box in gatherings(project, "TAG_late"))
    assert states == {"met": answered, "told": missing}


def _count(project: Project, service: str) -> int:
    try:
        return len(project.runs(service))
    except (Unreachable, Refused):
        return 0
