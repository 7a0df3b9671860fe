"""Lanes: why an execution is in one, slow services, pauses, and what goes first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ferris import events
from ferris.errors import Conflict, NotFound
from ferris_web.catalog.models import Service
from ferris_web.executions.crews import lane_list
from ferris_web.executions.models import Execution, Pace
from ferris_web.executions.services import execution_claim, reports_apply
from ferris_web.executions.services.paces import paces_note
from ferris_web.executions.services.ringing import executions_ring
from ferris_web.executions.services.urgency import execution_prioritise, lane_pause, lane_resume
from ferris_web.executions.waiting import execution_waiting
from gateway import doorbell
from gateway.doorbell import Room, ring_waiting
from tests.web.platform import NOW, dispatch, event, report, service

pytestmark = pytest.mark.django_db


def run(row: Execution, seconds: float) -> None:
    execution_claim(row.pk, "w", NOW)
    end = NOW + timedelta(seconds=seconds)
    done = reports_apply([report(row, "execution.completed", now=end)], end)
    paces_note(done.runs, end)


def runs(name: str, *seconds: float) -> Service:
    for each in seconds:
        dispatch(event(f"{name}.happened"))
        run(Execution.objects.filter(status="queued", service__name=name).first(), each)
    return Service.objects.get(name=name)


def test_an_execution_says_why_it_is_in_its_lane():
    service("one", "a.happened", priority=9)
    dispatch(event())
    row = Execution.objects.get()
    assert (row.lane, row.lane_reason) == ("slow", "patient")


def test_a_service_whose_runs_take_long_moves_to_the_slow_lane_and_back():
    service("one", "one.happened")
    assert runs("one", 1, 400, 400).slow_since is None
    assert runs("one", 400).slow_since is not None
    dispatch(event("one.happened"))
    row = Execution.objects.get(status="queued")
    assert (row.lane, row.lane_reason) == ("slow", "slow_service")
    row.delete()
    assert runs("one", 1, 1, 1).slow_since is None
    dispatch(event("one.happened"))
    assert Execution.objects.get(status="queued").lane == "default"


def test_what_waits_of_it_moves_along():
    service("one", "one.happened")
    runs("one", 400, 400)
    for _ in range(3):
        dispatch(event("one.happened"))
    first, *rest = Execution.objects.filter(status="queued").order_by("created_at")
    Execution.objects.filter(pk__in=[row.pk for row in rest]).update(rung_at=None)
    run(first, 400)
    assert set(Execution.objects.filter(status="queued").values_list("lane", flat=True)) == {"slow"}
    Execution.objects.filter(status="queued").update(rung_at=NOW)
    third, fourth = Execution.objects.filter(status="queued").order_by("created_at")
    run(third, 1)
    Execution.objects.filter(pk=fourth.pk).update(rung_at=None)
    runs_left = [Pace.objects.get().last_seconds]
    assert runs_left == [[400, 400, 400, 1]]


def test_urgent_services_stay_where_they_are():
    service("one", "one.happened", priority=2)
    assert runs("one", 400, 400, 400).slow_since is not None
    dispatch(event("one.happened"))
    assert Execution.objects.get(status="queued").lane == "priority"


def test_services_that_are_fast_cost_nothing_and_leave_nothing():
    service("one", "one.happened")
    runs("one", 1, 1, 1)
    assert not Pace.objects.exists()
    runs("one", 400, 1, 1, 1, 1, 1)
    assert not Pace.objects.exists()


def test_a_run_may_have_a_priority_of_its_own():
    made = service("one")
    dispatch(
        event(
            events.RUN_REQUESTED,
            service=str(made.pk),
            trigger="manual",
            extensions={"ferrispriority": 1},
        )
    )
    row = Execution.objects.get()
    assert (row.priority, row.lane) == (1, "priority")


def test_from_outside_no_event_brings_a_priority():
    service("one", "a.happened")
    dispatch(event(extensions={"ferrispriority": 1}))
    assert Execution.objects.get().priority == 5


def test_what_waits_is_made_more_urgent_and_is_rung_before_older_ones():
    service("one", "a.happened", priority=7)
    dispatch(*(event() for _ in range(3)))
    Execution.objects.update(rung_at=None)
    last = Execution.objects.order_by("created_at").last()
    assert execution_prioritise(last.pk, 5, now=NOW).lane == "default"
    assert executions_ring("default", 1, NOW)[0].execution_id == last.pk
    row = execution_prioritise(last.pk, 1, now=NOW)
    assert (row.lane, row.lane_reason, row.rung_at) == ("priority", "urgent", None)
    execution_claim(last.pk, "w", NOW)  # by the doorbell that rang in the lane it was in
    with pytest.raises(Conflict):
        execution_prioritise(last.pk, 1, now=NOW)


def test_nothing_rings_or_starts_in_a_paused_lane(settings):
    settings.FERRIS = replace(settings.FERRIS, lane_limit=20)
    service("one", "a.happened")
    [bell] = dispatch(event())
    lane_pause("default", actor="ann", now=NOW)
    row = Execution.objects.get()
    waits = execution_waiting(row)
    assert (waits.reason, waits.by, waits.lane) == ("lane_paused", "ann", "default")
    assert execution_claim(bell.execution_id, "w", NOW) == "its lane is paused"
    assert not Room().take("default")
    ring_waiting(["default"])
    row.refresh_from_db()
    assert (row.status, row.rung_at, row.worker) == ("queued", None, "")
    [state] = [lane for lane in lane_list() if lane.name == "default"]
    assert (state.paused_by, state.waiting, state.unrung, state.running) == ("ann", 1, 1, 0)
    lane_resume("default", now=NOW)
    ring_waiting(["default"])
    row.refresh_from_db()
    assert row.rung_at is not None
    assert not isinstance(execution_claim(bell.execution_id, "w", NOW), str)


def test_the_broker_is_asked_for_room_when_half_of_what_was_seen_is_used(settings, monkeypatch):
    settings.FERRIS = replace(settings.FERRIS, lane_limit=4)
    asked, counts = [], iter((0, 3))
    monkeypatch.setattr(doorbell, "_LOOK_LASTS", 0.0)
    monkeypatch.setattr(doorbell, "waiting", lambda lane: asked.append(lane) or next(counts))
    room, looks = Room(), []
    for _ in range(3):
        assert room.take("default")
        looks.append(len(asked))
    assert looks == [1, 1, 2]
    service("one", "a.happened")
    dispatch(event())
    Execution.objects.update(rung_at=None)  # another gateway found it full
    assert not room.take("default")


def test_only_lanes_that_there_are_can_be_paused_once():
    with pytest.raises(NotFound):
        lane_pause("fast", actor="ann", now=NOW)
    with pytest.raises(Conflict):
        lane_resume("slow", now=NOW)
    lane_pause("slow", actor="ann", now=NOW)
    with pytest.raises(Conflict):
        lane_pause("slow", actor="ben", now=NOW)


def test_lanes_and_priorities_over_rest(api):
    service("one", "a.happened")
    dispatch(event())
    row = Execution.objects.get()
    answer = api.post(f"/api/v1/executions/{row.pk}/priority/", {"priority": 1})
    assert (answer.json()["lane"], answer.json()["lane_reason"]) == ("priority", "urgent")
    assert api.post(f"/api/v1/executions/{row.pk}/priority/", {"priority": 11}).status_code == 400
    assert api.post("/api/v1/lanes/priority/pause/").json()["results"][0]["paused_at"]
    assert api.post("/api/v1/lanes/priority/pause/").status_code == 409
    assert api.get(f"/api/v1/executions/{row.pk}/").json()["waiting"]["reason"] == "lane_paused"
    assert api.post("/api/v1/lanes/none/pause/").status_code == 404
    assert api.post("/api/v1/lanes/priority/resume/").status_code == 200
    assert [lane["waiting"] for lane in api.get("/api/v1/lanes/").json()["results"]] == [1, 0, 0, 0]
