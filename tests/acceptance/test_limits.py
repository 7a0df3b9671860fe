"""Limits, pauses and lanes from outside: nothing runs that should wait, and nothing that waits is forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.acceptance.client import OPEN, event, until
from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project

SCRIPT = """
    import os, time
    from ferris_ef import context

    def note(word):
        file = os.open({notes!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        customer, n = context.params.get("customer"), context.params.get("n")
        os.write(file, f"{{word}} {{customer}} {{n}}\\n".encode())

    note("begin")
    time.sleep({seconds})
    note("end")
"""


def work(notes: Path, seconds: float = 0.02, **manifest: Any) -> dict[str, Any]:
    return {
        "TAG_work": {
            "manifest.json": {"trigger_events": ["TAG.asked"], **manifest},
            "run.py": SCRIPT.format(notes=str(notes), seconds=seconds),
        }
    }


def send(project: Project, count: int, customers: int = 1) -> None:
    """A burst of events, of so many customers in turn; those of one are of one flow, whose order the log keeps."""
    for start in range(0, count, 50):
        batch = [
            event(
                project("TAG.asked"),
                {"customer": f"c{n % customers}", "n": n},
                correlationid=project(f"TAG-c{n % customers}"),
            )
            for n in range(start, min(start + 50, count))
        ]
        assert project.client.send_batch(batch).status == 202


def noted(notes: Path) -> list[list[str]]:
    return [line.split() for line in notes.read_text().splitlines()] if notes.exists() else []


def all_ended(project: Project, count: int, timeout: float = 180) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]] | None:
        rows = project.runs("TAG_work")
        ended = len(rows) == count and not any(row["status"] in OPEN for row in rows)
        return rows if ended else None

    return until(look, timeout, lambda: Counter(row["status"] for row in project.runs("TAG_work")))


def most_at_once(notes: Path) -> Counter[str]:
    """By customer, how many scripts ran at the same time at most: lines of one file are in their order."""
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for word, customer, _ in noted(notes):
        now[customer] += 1 if word == "begin" else -1
        most[customer] = max(most[customer], now[customer])
    return most


def ran_once(notes: Path, count: int) -> None:
    begun = Counter(n for word, _, n in noted(notes) if word == "begin")
    assert begun == Counter(str(n) for n in range(count))


def test_a_burst_never_exceeds_a_limit_by_key_and_all_of_it_runs(shared: Platform, tmp_path: Path) -> None:
    project, notes = Project(shared.client, tmp_path), tmp_path / "notes"
    project.load(work(notes, concurrency={"limit": 1, "key": "data.customer"}))
    send(project, 200, customers=5)
    rows = all_ended(project, 200)
    assert {row["status"] for row in rows} == {"completed"}
    ran_once(notes, 200)
    assert set(most_at_once(notes).values()) == {1}
    begun = [(customer, int(n)) for word, customer, n in noted(notes) if word == "begin"]
    for _, of_one in groupby(sorted(begun, key=lambda pair: pair[0]), key=lambda pair: pair[0]):
        order = [n for _, n in of_one]
        assert order == sorted(order)  # one at a time, and in the order of the events


def test_a_rate_is_kept_and_all_of_it_runs(shared: Platform, tmp_path: Path) -> None:
    project, notes = Project(shared.client, tmp_path), tmp_path / "notes"
    project.load(work(notes, rate={"limit": 4, "per": "2s"}))
    send(project, 10)

    def waits() -> dict[str, Any] | None:
        found = [row["waiting"] for row in project.runs("TAG_work", status="pending")]
        return next((wait for wait in found if wait and wait.get("until")), None)

    assert until(waits, 30, lambda: project.runs("TAG_work"))["reason"] == "rate"
    rows = all_ended(project, 10, 60)
    ran_once(notes, 10)
    starts = sorted(datetime.fromisoformat(row["started_at"]) for row in rows)
    for first, fifth in zip(starts, starts[4:], strict=False):
        assert fifth - first >= timedelta(seconds=2)


def test_who_waits_says_for_whom_and_a_pause_loses_nothing(shared: Platform, tmp_path: Path) -> None:
    project, notes = Project(shared.client, tmp_path), tmp_path / "notes"
    project.load(work(notes, seconds=0.3, singleton=True))
    address = f"/api/v1/services/{project('TAG_work')}"
    send(project, 6)

    def behind() -> dict[str, Any] | None:
        rows = project.runs("TAG_work")
        running = {row["id"] for row in rows if row["status"] in ("queued", "in_progress")}
        told = [row["waiting"] for row in rows if row["status"] == "pending"]
        return next((wait for wait in told if wait and set(wait.get("behind", ())) & running), None)

    assert until(behind, 30, lambda: project.runs("TAG_work"))["reason"] == "concurrency"
    shared.client.post(f"{address}/pause/")
    send(project, 2, customers=1)
    quiet = until(
        lambda: (
            len(rows := project.runs("TAG_work")) == 8
            and not any(row["status"] in ("queued", "in_progress") for row in rows)
            and rows
        ),
        30,
        lambda: project.runs("TAG_work"),
    )
    assert {row["waiting"]["reason"] for row in quiet if row["status"] == "pending"} == {"service_paused"}
    shared.client.post(f"{address}/resume/", {"waiting": "run"})
    assert {row["status"] for row in all_ended(project, 8, 60)} == {"completed"}
    assert most_at_once(notes) == {"c0": 1}


def test_a_kill_of_the_engine_forgets_nobody_who_waits(own: Platform, tmp_path: Path) -> None:
    project, notes = Project(own.client, tmp_path), tmp_path / "notes"
    limit, again = {"limit": 2, "key": "data.customer"}, {"attempts": 3, "on_lost": True, "delay": 0}
    project.load(work(notes, seconds=0.05, concurrency=limit, retry=again))
    send(project, 120, customers=2)
    until(lambda: len(noted(notes)) > 40, 60, lambda: len(noted(notes)))
    own.engine().kill()
    until(lambda: len(noted(notes)) > 120, 90, lambda: len(noted(notes)))
    own.engine().kill()
    rows = all_ended(project, 120)
    assert {row["status"] for row in rows} == {"completed"}
    assert {n for word, _, n in noted(notes) if word == "end"} == {str(n) for n in range(120)}


def test_a_service_moves_to_the_slow_lane_and_back(
    make_platform: Callable[..., Platform], tmp_path: Path
) -> None:
    platform = make_platform(FERRIS_SLOW_AFTER="1")
    platform.start()
    project = Project(platform.client, tmp_path)
    project.load(
        {
            "TAG_work": {
                "manifest.json": {},
                "run.py": "import sys, json, time; time.sleep(json.loads(sys.argv[1])['s'])",
            }
        }
    )
    name = project("TAG_work")

    def run(seconds: float) -> dict[str, Any]:
        return platform.client.finished(platform.client.run(name, s=seconds))

    def slow() -> Any:
        return platform.client.get(f"/api/v1/services/{name}/")["slow_since"]

    assert [run(1.2)["lane"] for _ in range(3)] == ["default"] * 3
    until(slow, 10, lambda: "it is not slow")
    row = run(0)
    assert (row["lane"], row["lane_reason"]) == ("slow", "slow_service")
    run(0)
    run(0)
    until(lambda: slow() is None, 10, lambda: "it is still slow")
    assert run(0)["lane"] == "default"
    assert platform.stop() == 0


def test_a_drained_worker_finishes_what_it_runs_and_takes_nothing_until_it_may(
    make_platform: Callable[..., Platform], tmp_path: Path
) -> None:
    """On a platform of its own: a worker that another test has killed counts as there for a while."""
    own = make_platform()
    own.start()
    client, project = own.client, Project(own.client, tmp_path)
    project.load(
        {
            "TAG_long": {"run.py": "import time; time.sleep(4)"},
            "TAG_work": {"run.py": "print('done')"},
        }
    )
    executors = sum(name.startswith("executor") for name in getattr(own, "kept", {})) or 1

    def known() -> list[dict[str, Any]] | None:
        found = client.get("/api/v1/workers/")["results"]
        return found if len(found) == executors else None

    workers = until(known, 30, lambda: client.get("/api/v1/workers/"))
    for worker in workers:
        assert (worker["state"], worker["lanes"]) == ("active", ["priority", "default", "slow", "scheduled"])
    running = client.run(project("TAG_long"))
    client.started(running)
    addresses = [f"/api/v1/workers/{worker['name']}" for worker in workers]
    states = [client.post(f"{address}/drain/") for address in addresses]
    assert [run["id"] for state in states for run in state["running"]] == [running]
    assert all(state["state"] == ("draining" if state["running"] else "drained") for state in states)
    waiting = client.run(project("TAG_work"))
    assert client.finished(running)["status"] == "completed"
    row = client.execution(waiting)
    assert (row["status"], row["started_at"]) == ("queued", None)
    until(
        lambda: (client.execution(waiting)["waiting"] or {}).get("reason") == "no_worker",
        30,
        lambda: client.execution(waiting),
    )
    assert {worker["state"] for worker in client.get("/api/v1/workers/")["results"]} == {"drained"}
    for address in addresses:
        client.post(f"{address}/resume/")
    assert client.finished(waiting, 60)["status"] == "completed"
