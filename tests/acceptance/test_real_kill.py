"""The real stack under `kill -9`: each process, each server, in the middle of the work, back after ten seconds.

No event is lost, no service runs twice for one event, nothing is stuck, and nobody helps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance import real
from tests.acceptance.client import until
from tests.acceptance.servers import NAMES
from tests.acceptance.services import Project
from tests.acceptance.work import CONCURRENCY, check, noted, send_all, services, wait_for_notes

pytestmark = pytest.mark.real_stack

COUNT = 250  # two executions each
BEGUN = 60
AWAY = 10.0
PATIENCE = 150.0


@pytest.fixture(scope="module")
def platform(new_platform: Callable[..., real.Platform]) -> Iterator[real.Platform]:
    """One platform for these tests: each finds it as the one before left it, which must be well."""
    platform = new_platform()
    platform.start()
    yield platform
    assert platform.stop() == 0, platform.said()[-4000:]


@pytest.fixture
def project(platform: real.Platform, tmp_path: Path) -> Project:
    return Project(platform.client, tmp_path)


@pytest.fixture
def notes(project: Project, tmp_path: Path) -> Path:
    """Where the scripts write down what they do, once they are loaded and have work."""
    project.load(services(tmp_path / "notes"))
    send_all(project, COUNT)
    wait_for_notes(tmp_path / "notes", BEGUN)
    return tmp_path / "notes"


def all_ran(project: Project, notes: Path) -> None:
    """Nothing was lost at all: every execution completed."""
    assert check(project, notes, COUNT, PATIENCE) == []
    marks = noted(notes)
    assert all(marks[word, n] == 1 for word in ("end-first", "end-second") for n in range(COUNT))


@pytest.mark.parametrize("name", ["web", "gateway-1", "executor-1"])
def test_kill_of_a_process(platform: real.Platform, project: Project, notes: Path, name: str) -> None:
    platform.kill(name, away=AWAY)
    lost = check(project, notes, COUNT, PATIENCE)
    assert len(lost) <= (CONCURRENCY if name == "executor-1" else 0), lost
    platform.process(name)


@pytest.mark.parametrize("name", NAMES)
def test_kill_of_a_server(platform: real.Platform, project: Project, notes: Path, name: str) -> None:
    platform.servers.kill(name)
    time.sleep(AWAY)
    platform.servers.up(name)
    all_ran(project, notes)
    platform.wait_ready()


def test_work_goes_on_without_elasticsearch_and_its_records_come_later(
    platform: real.Platform, project: Project, notes: Path
) -> None:
    platform.servers.kill("elasticsearch")
    try:
        all_ran(project, notes)
    finally:
        platform.servers.up("elasticsearch")
    wanted = project.runs("TAG_first")[0]["id"]
    until(lambda: platform.client.stored_logs(wanted) or None, PATIENCE, "its log lines did not arrive")


def test_packages_that_cannot_be_fetched_yet_are_waited_for(
    platform: real.Platform, project: Project, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    project.load(services(notes))
    platform.servers.kill("minio")
    send_all(project, COUNT)
    time.sleep(AWAY)
    platform.servers.up("minio")
    all_ran(project, notes)


def test_gateways_that_come_and_go(platform: real.Platform, project: Project, notes: Path) -> None:
    """Each change is a rebalance of every consumer group."""
    platform.add("gateway-3")
    wait_for_notes(notes, 2 * BEGUN)
    platform.remove("gateway-1")
    wait_for_notes(notes, 3 * BEGUN)
    platform.add("gateway-1")
    platform.remove("gateway-3")
    all_ran(project, notes)


def test_an_executor_that_hears_nothing_any_more_is_replaced(
    platform: real.Platform, project: Project, tmp_path: Path
) -> None:
    deaf = platform.process("executor-1")
    platform.deafen("executor-1")
    until(lambda: platform.process("executor-1").pid != deaf.pid, 120, "the deaf executor still runs")
    platform.kill("executor-2", away=60.0)  # now only the new one can answer
    project.load(services(tmp_path / "notes"))
    send_all(project, 25)
    check(project, tmp_path / "notes", 25)
