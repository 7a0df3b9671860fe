"""`kill -9` in the middle of five hundred executions: each event runs exactly once, nothing is stuck."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.acceptance.client import until
from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project
from tests.acceptance.work import EVENTS, check, noted, send_all, services, wait_for_notes


def at_work(platform: Platform, folder: Path, pause: float = 0.1) -> tuple[Platform, Project, Path]:
    """The platform in the middle of its work."""
    project, notes = Project(platform.client, folder), folder / "notes"
    project.load(services(notes, pause))
    send_all(project)
    wait_for_notes(notes, 120)
    return platform, project, notes


@pytest.fixture
def started(own: Platform, tmp_path: Path) -> tuple[Platform, Project, Path]:
    """A platform in the middle of its work."""
    return at_work(own, tmp_path)


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


def test_kill_of_everything(own: Platform, tmp_path: Path) -> None:
    # Longer than a busy machine takes between two scripts, so that some are at work when all is killed.
    platform, project, notes = at_work(own, tmp_path, pause=0.5)
    platform.kill_all()
    assert platform.left_behind(project.folder) == []
    before = noted(notes)
    time.sleep(0.5)
    assert noted(notes) == before
    platform.start()
    assert check(project, notes)


@pytest.mark.embedded
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


def test_many_kills_at_any_moment(own: Platform, tmp_path: Path) -> None:
    """Everything dies again and again, also while it starts; at the end the count is right all the same."""
    project, notes = Project(own.client, tmp_path), tmp_path / "notes"
    project.load(services(notes))
    send_all(project)
    pauses = (0.0, 0.4, 0.9, 1.7)
    for pause in pauses:
        time.sleep(pause)
        own.kill_all()
        own.start()
    check(project, notes, kills=len(pauses))
