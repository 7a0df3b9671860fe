"""Workers: known by what they say, drained on request, lanes that spill into idle ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from celery_app import app
from ferris.execution import DRAINING
from ferris.lanes import LANES
from ferris_web.executions.crews import worker_get, worker_list
from ferris_web.executions.models import Execution, Worker
from ferris_web.executions.services import execution_claim
from ferris_web.executions.services.workers import About, worker_drain, worker_resume, worker_seen
from ferris_web.executions.waiting import execution_waiting
from gateway import doorbell
from gateway.spill import spilled
from tests.web.calling import problem_of
from tests.web.console_pages import page
from tests.web.console_rows import Rows
from tests.web.platform import NOW, dispatch, event, service

pytestmark = pytest.mark.django_db
ABOUT = About(LANES, 4, NOW)


@pytest.fixture(autouse=True)
def _empty_queues():
    with app.connection_for_write() as broker, broker.channel() as channel:
        for lane in LANES:
            channel.queue_declare(queue=lane)
            channel.queue_purge(queue=lane)


def claimed(worker: str) -> Execution:
    [bell] = dispatch(event())
    execution_claim(bell.execution_id, worker, NOW)
    return Execution.objects.get(pk=bell.execution_id)


def test_a_worker_is_what_its_heartbeats_say_and_runs_what_names_it():
    service("one", "a.happened")
    assert worker_seen("w:1", ABOUT, NOW) is False
    row = claimed("w:1")
    [state] = worker_list(NOW)
    assert (state.name, state.state, state.slots, state.lanes) == ("w:1", "active", 4, list(LANES))
    assert [(run.id, run.service) for run in state.running] == [(row.pk, "one")]
    assert worker_get("w:1", NOW + timedelta(minutes=2)).state == "gone"


def test_beats_that_say_nothing_new_are_not_written_each_time(django_assert_num_queries):
    worker_seen("w:1", ABOUT, NOW)
    with django_assert_num_queries(1):
        worker_seen("w:1", ABOUT, NOW + timedelta(seconds=5))
    worker_seen("w:1", ABOUT, NOW + timedelta(seconds=15))
    assert Worker.objects.get().seen_at == NOW + timedelta(seconds=15)


def test_one_that_drains_takes_nothing_new_and_is_drained_when_nothing_runs():
    service("one", "a.happened")
    worker_seen("w:1", ABOUT, NOW)
    row = claimed("w:1")
    worker_drain("w:1", actor="ann", now=NOW)
    assert worker_seen("w:1", ABOUT, NOW) is True
    assert (worker_get("w:1", NOW).state, worker_get("w:1", NOW).drain_by) == ("draining", "ann")
    [bell] = dispatch(event())
    assert execution_claim(bell.execution_id, "w:1", NOW) == DRAINING
    waits = Execution.objects.get(pk=bell.execution_id)
    assert (waits.status, waits.rung_at, waits.worker) == ("queued", None, "")
    Execution.objects.filter(pk=row.pk).update(status="completed")
    assert worker_get("w:1", NOW).state == "drained"
    assert not isinstance(execution_claim(bell.execution_id, "w:2", NOW), str)
    worker_resume("w:1")
    assert worker_seen("w:1", ABOUT, NOW) is False


def test_one_that_stops_says_so_and_one_that_leaves_is_gone():
    worker_seen("w:1", About(LANES, 4, NOW, stops=True), NOW)
    assert worker_get("w:1", NOW).state == "stopping"
    worker_seen("w:1", About(LANES, 4, NOW, leaves=True), NOW)
    assert worker_list(NOW) == []


def test_what_waits_for_a_worker_that_is_not_there_says_so():
    service("one", "a.happened")
    dispatch(event())
    row = Execution.objects.get()
    assert execution_waiting(row).reason == "executor"
    now = datetime.now(UTC)
    worker_seen("w:1", About(("slow",), 4, NOW), now)
    assert execution_waiting(row).reason == "no_worker"
    worker_seen("w:2", ABOUT, now)
    assert execution_waiting(row).reason == "executor"
    worker_drain("w:2", actor="ann", now=now)
    assert execution_waiting(row).reason == "no_worker"


def test_an_overloaded_lane_spills_into_an_idle_one():
    service("one", "a.happened")
    worker_seen("busy:1", About(("priority", "default"), 1, NOW), NOW)
    worker_seen("idle:1", About(("slow",), 2, NOW), NOW)
    doorbell.ring(dispatch(*(event() for _ in range(8))))
    bells = list(spilled(NOW))
    assert [bell.lane for bell in bells] == ["slow", "slow"]
    moved = Execution.objects.filter(lane="slow")
    assert {row.lane_reason for row in moved} == {"spilled"}
    assert {row.pk for row in moved} == {bell.execution_id for bell in bells}


def test_nothing_spills_where_all_serve_the_same(django_assert_num_queries):
    worker_seen("w:1", ABOUT, NOW)
    worker_seen("w:2", ABOUT, NOW)
    with django_assert_num_queries(1):
        assert list(spilled(NOW)) == []


def test_heartbeats_over_the_control_api(executor):
    about = {"lanes": ["slow"], "slots": 3, "started_at": "2026-03-01T12:00:00.000+00:00"}
    body = {"worker": "w:1", "executions": [], "about": about}
    assert executor.post("/control/heartbeat", body).json()["drain"] is False
    worker_drain("w:1", actor="ann", now=NOW)
    assert executor.post("/control/heartbeat", body).json()["drain"] is True
    older = {"level": "basic", "layers": ["limits"], "lacking": {"rules": "no Landlock"}}
    executor.post("/control/heartbeat", {**body, "about": {**about, "isolation": older}})
    assert Worker.objects.get().isolation == {**older, "builds": []}
    found = {**older, "builds": ["limits"]}
    assert (
        executor.post("/control/heartbeat", {**body, "about": {**about, "isolation": found}}).status_code
        == 200
    )
    assert Worker.objects.get().isolation == found
    for wrong in (
        *({"lanes": ["fast"]}, {"slots": -1}, {"started_at": "x"}),
        *(
            {"isolation": 5},
            {"isolation": {**found, "level": "x"}},
            {"isolation": {**found, "lacking": {"a": 1}}},
            {"isolation": {**found, "builds": "limits"}},
            {"isolation": {**found, "builds": [1]}},
        ),
    ):
        problem_of(executor.post("/control/heartbeat", {**body, "about": {**about, **wrong}}), 400)
    problem_of(executor.post("/control/heartbeat", {**body, "about": 5}), 400)


def test_workers_over_rest(api):
    worker_seen("w:1", ABOUT, datetime.now(UTC))
    assert [w["state"] for w in api.get("/api/v1/workers/").json()["results"]] == ["active"]
    assert api.post("/api/v1/workers/w:1/drain/").json()["state"] == "drained"
    assert api.post("/api/v1/workers/w:1/drain/").status_code == 409
    assert api.post("/api/v1/workers/w:1/resume/").json()["state"] == "active"
    assert api.post("/api/v1/workers/w:1/resume/").status_code == 409
    assert api.post("/api/v1/workers/w:9/drain/").status_code == 404


def test_workers_and_lanes_in_the_console(rows: Rows, person: Client) -> None:
    lacking = {"rules": "no Landlock"}
    confined = {"level": "basic", "layers": ["limits"], "lacking": lacking, "builds": ["limits", "user"]}
    worker_seen("w:1", replace(ABOUT, isolation=confined), datetime.now(UTC))
    shown = page(person, "/workers/").text
    assert "w:1" in shown
    assert "without rules: no Landlock" in shown
    assert "builds of packages: limits, user" in shown
    person.post("/workers/w:1/", {"what": "drain"})
    person.post("/lanes/slow/", {"what": "pause"})
    shown = page(person, "/workers/").text
    assert "drained" in shown
    assert "paused by ada" in shown
    person.post("/workers/w:1/", {"what": "resume"})
    person.post("/lanes/slow/", {"what": "resume"})
    shown = page(person, "/workers/").text
    assert "drained" not in shown
    assert "paused by" not in shown
    assert person.post("/lanes/none/", {"what": "pause"}).status_code == 404


def test_a_clock_that_was_set_back_tells_who_lives_from_who_is_gone():
    worker_seen("lives", ABOUT, NOW)
    worker_seen("gone", ABOUT, NOW)
    earlier = NOW - timedelta(hours=1)
    worker_seen("lives", ABOUT, earlier)
    states = {one.name: one.state for one in worker_list(earlier + timedelta(seconds=1))}
    assert (states["lives"], states["gone"]) == ("active", "gone")
