"""Work to be disturbed: events that run a service each, which sends another event; every script notes what it does.

A service's side effect stands in the notes, so that running it twice shows, whatever the platform says.
"""

from __future__ import annotations

import collections
import os
from pathlib import Path
from typing import Any

from tests.acceptance.client import OPEN, Refused, Unreachable, event, until
from tests.acceptance.services import Project

EVENTS = 250  # two executions each
CONCURRENCY = max(16, 4 * (os.cpu_count() or 2))  # of one executor, by default (docs/settings.md)
EXECUTORS = 2  # on the real stack; embedded there is one

WORK = """
    import os, time
    from ferris_ef import context

    def note(word):
        # O_APPEND: one line is one write, so that lines of scripts running at once don't mix.
        file = os.open({notes!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        print(word)
        os.write(file, f"{{word}} {{context.params.get('n')}} {{context.params.get('_fxexec')}}\\n".encode())

    note("begin-{name}")
    {send}
    time.sleep({pause})  # so that a kill at any moment finds some scripts at work
    note("end-{name}")
"""


def services(notes: Path, pause: float = 0.1) -> dict[str, Any]:
    """Two services, each of whose scripts takes that many seconds at least."""
    send = "context.events.send('TAG.second', data={'n': context.params.get('n')})"
    return {
        "TAG_first": {
            "manifest.json": {"trigger_events": ["TAG.first"]},
            "s.py": WORK.format(notes=str(notes), name="first", send=send, pause=pause),
        },
        "TAG_second": {
            "manifest.json": {"trigger_events": ["TAG.second"]},
            "s.py": WORK.format(notes=str(notes), name="second", send="pass", pause=pause),
        },
    }


def send_all(project: Project, count: int = EVENTS) -> None:
    """Post the events until each was accepted, as a careful originator would: again when no answer came."""
    for start in range(0, count, 25):
        batch = [
            event(
                project("TAG.first"),
                {"n": n},
                id=f"n{n}",
                source=project("/TAG"),
                correlationid=project(f"TAG-{n}"),
            )
            for n in range(start, start + 25)
        ]
        until(lambda batch=batch: _accepted(project, batch), 60, "events were not accepted")


def _accepted(project: Project, batch: list[dict[str, Any]]) -> bool:
    try:
        return project.client.send_batch(batch).status == 202
    except Unreachable:
        return False


def noted(notes: Path) -> collections.Counter[tuple[str, int]]:
    """How often each word was noted for each number."""
    lines = [line.split() for line in notes.read_text().splitlines()] if notes.exists() else []
    return collections.Counter((word, int(n)) for word, n, _ in lines)


def wait_for_notes(notes: Path, count: int) -> None:
    until(
        lambda: notes.exists() and len(notes.read_bytes().splitlines()) >= count,
        60,
        "too few scripts have run",
    )


def settled(project: Project, count: int = EVENTS, timeout: float = 90) -> list[dict[str, Any]]:
    """All executions, once none is open and none has been added for a while."""
    seen: list[int] = []

    def look() -> list[dict[str, Any]] | None:
        try:
            rows = project.runs("TAG_first") + project.runs("TAG_second")
        except (Unreachable, Refused):  # the web process or its database is away
            return None
        seen.append(len(rows))
        first = [row for row in rows if row["service"] == project("TAG_first")]
        expected = count + sum(row["status"] == "completed" for row in first)  # each of them sent an event
        quiet = len(seen) > 3 and seen[-1] == seen[-4]
        return (
            rows
            if quiet
            and len(first) == count
            and len(rows) >= expected
            and not any(row["status"] in OPEN for row in rows)
            else None
        )

    def problem() -> str:
        rows = project.runs("TAG_first") + project.runs("TAG_second")
        return str(collections.Counter((row["service"], row["status"], row["reason"]) for row in rows))

    return until(look, timeout, problem)


def check(
    project: Project, notes: Path, count: int = EVENTS, timeout: float = 90, kills: int = 2
) -> list[dict[str, Any]]:
    """Exactly one execution for each event, completed or executor_lost, and no side effect twice.

    Each of the ``kills`` may take what ran in the slots at that moment, and no more.
    """
    rows = settled(project, count, timeout)
    marks = noted(notes)
    outcome: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        stage = row["service"].rpartition("_")[2]
        number = int(row["flow_id"].rpartition("-")[2])
        assert (stage, number) not in outcome, f"two executions of {stage} for event {number}"
        outcome[stage, number] = row
        assert row["status"] == "completed" or (row["status"], row["reason"]) == (
            "failed",
            "executor_lost",
        ), row
    for (stage, number), row in outcome.items():
        begun, ended = marks[f"begin-{stage}", number], marks[f"end-{stage}", number]
        if row["status"] == "completed":
            assert (begun, ended) == (1, 1), f"{row} ran {begun} times and ended {ended} times"
        else:
            assert max(begun, ended) <= 1, f"{row} ran {begun} times"
    for number in range(count):
        first = outcome["first", number]
        if first["status"] == "completed":
            assert ("second", number) in outcome, f"the event that {first} sent was lost"
    lost = [row for row in rows if row["reason"] == "executor_lost"]
    assert len(lost) <= kills * EXECUTORS * CONCURRENCY, (
        f"{len(lost)} executions were lost with their executor"
    )
    return lost
