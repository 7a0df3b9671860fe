"""`kill -9` in the middle of five hundred executions: each event runs exactly once, nothing is stuck."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.client import OPEN, Unreachable, event, until
from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project

EVENTS = 250  # two executions each

WORK = """
    import os, time
    from ferris_ef import context

    def note(word):
        # O_APPEND: one line is one write, so that lines of scripts running at once don't mix.
        file = os.open({notes!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{{word}} {{context.params.get('n')}} {{context.params.get('_fxexec')}}\\n".encode())

    note("begin-{name}")
    {send}
    time.sleep(0.02)
    note("end-{name}")
"""


def services(notes: Path) -> dict[str, Any]:
    send = "context.events.send('TAG.second', data={'n': context.params.get('n')})"
    return {
        "TAG_first": {
            "manifest.json": {"trigger_events": ["TAG.first"]},
            "s.py": WORK.format(notes=str(notes), name="first", send=send),
        },
        "TAG_second": {
            "manifest.json": {"trigger_events": ["TAG.second"]},
            "s.py": WORK.format(notes=str(notes), name="second", send="pass"),
        },
    }


def send_all(project: Project) -> None:
    """Post the events until each was accepted, as a careful originator would: again when no answer came."""
    for start in range(0, EVENTS, 25):
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


def settled(project: Project, timeout: float = 90) -> list[dict[str, Any]]:
    """All executions, once none is open and none has been added for a while."""
    seen: list[int] = []

    def look() -> list[dict[str, Any]] | None:
        try:
            rows = project.runs("TAG_first") + project.runs("TAG_second")
        except Unreachable:
            return None
        seen.append(len(rows))
        first = [row for row in rows if row["service"] == project("TAG_first")]
        quiet = len(seen) > 3 and seen[-1] == seen[-4]
        return (
            rows
            if quiet and len(first) == EVENTS and not any(row["status"] in OPEN for row in rows)
            else None
        )

    def problem() -> str:
        rows = project.runs("TAG_first") + project.runs("TAG_second")
        return str(collections.Counter((row["service"], row["status"], row["reason"]) for row in rows))

    return until(look, timeout, problem)


def check(project: Project, notes: Path) -> list[dict[str, Any]]:
    """Exactly one execution for each event, completed or executor_lost, and no side effect twice."""
    rows = settled(project)
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
    for number in range(EVENTS):
        first = outcome["first", number]
        if first["status"] == "completed":
            assert ("second", number) in outcome, f"the event that {first} sent was lost"
    lost = [row for row in rows if row["reason"] == "executor_lost"]
    assert len(lost) <= 40, f"{len(lost)} executions were lost with their executor"
    return lost


@pytest.fixture
def started(own: Platform, tmp_path: Path) -> tuple[Platform, Project, Path]:
    """A platform in the middle of its work."""
    project, notes = Project(own.client, tmp_path), tmp_path / "notes"
    project.load(services(notes))
    send_all(project)
    wait_for_notes(notes, 120)
    return own, project, notes


def test_kill_of_the_engine(started: tuple[Platform, Project, Path]) -> None:
    platform, project, notes = started
    first = platform.engine()
    first.kill()
    wait_for_notes(notes, 400)
    assert platform.engine().pid != first.pid
    platform.engine().kill()
    assert check(project, notes)


def test_kill_of_the_web_process(started: tuple[Platform, Project, Path]) -> None:
    platform, project, notes = started
    first = platform.web()
    first.kill()
    platform.wait_ready()
    assert platform.web().pid != first.pid
    wait_for_notes(notes, 400)
    platform.web().kill()
    platform.wait_ready()
    check(project, notes)
    marks = noted(notes)
    assert all(marks[word, n] == 1 for word in ("begin-first", "end-first") for n in range(EVENTS))


def test_kill_of_the_web_process_while_events_come(own: Platform, tmp_path: Path) -> None:
    project, notes = Project(own.client, tmp_path), tmp_path / "notes"
    project.load(services(notes))
    own.web().kill()
    send_all(project)
    own.web().kill()
    check(project, notes)


def test_kill_of_everything(started: tuple[Platform, Project, Path]) -> None:
    platform, project, notes = started
    platform.kill_all()
    assert platform.left_behind(project.folder) == []
    before = noted(notes)
    time.sleep(0.5)
    assert noted(notes) == before
    platform.start()
    assert check(project, notes)


def test_kill_of_the_supervisor_ends_all_it_started(started: tuple[Platform, Project, Path]) -> None:
    platform, project, notes = started
    platform.kill_main()
    assert platform.left_behind(project.folder) == []
    platform.start()
    check(project, notes)


def test_what_may_be_run_again_is_run_again(own: Platform, tmp_path: Path) -> None:
    """`retry.on_lost`: the manifest allows another try after the executor was lost in user code."""
    project, begun = Project(own.client, tmp_path), tmp_path / "begun"
    retry = {"attempts": 2, "delay": 0, "on_lost": True}
    project.load(
        {
            "TAG_s": {
                "manifest.json": {"trigger_events": ["TAG.go"], "retry": retry},
                "s.py": f"""
                    import os, time
                    from ferris_ef import context
                    context.events.send("TAG.sent")
                    again = os.path.exists({str(begun)!r})
                    open({str(begun)!r}, "w").close()
                    if not again:
                        time.sleep(300)
                """,
            },
            # It may be running when the engine is killed.
            "TAG_r": {"manifest.json": {"trigger_events": ["TAG.sent"], "retry": retry}, "s.py": "print()"},
        }
    )
    flow = project.emit("TAG.go")
    until(begun.exists, 20, "the script has not begun")
    own.engine().kill()
    rows = project.client.flow(flow, 2, timeout=40)
    assert [(row["service"], row["status"]) for row in rows] == [
        (project("TAG_s"), "completed"),
        (project("TAG_r"), "completed"),
    ]
    assert rows[0]["attempt"] == 2


def test_many_kills_at_any_moment(make_platform: Callable[..., Platform], tmp_path: Path) -> None:
    """Everything dies again and again, also while it starts; at the end the count is right all the same."""
    platform = make_platform()
    platform.start()
    project, notes = Project(platform.client, tmp_path), tmp_path / "notes"
    project.load(services(notes))
    send_all(project)
    for pause in (0.0, 0.4, 0.9, 1.7):
        time.sleep(pause)
        platform.kill_all()
        platform.start()
    check(project, notes)
