"""How many doorbells a backlog rings: as many as the lanes hold, in order, and the others when there is room."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import connection

from celery_app import app
from ferris import lanes
from ferris.config import EVENTS, LIFECYCLE
from ferris_web import wiring
from ferris_web.executions.models import Execution
from ferris_web.executions.services import execution_cancel, execution_claim
from ferris_web.executions.services.ringing import executions_ring
from gateway import doorbell
from gateway.recorder import Recorder
from gateway.rescuer import Rescuer
from gateway.router import Router
from gateway.scheduler import Scheduler
from tests.web.platform import append, event, report, service

pytestmark = pytest.mark.django_db(transaction=True)
LIMIT = 20


@pytest.fixture(autouse=True)
def _small(settings):
    """Few doorbells at a time, none left over from other tests, and nothing unread on the log."""
    settings.FERRIS = replace(settings.FERRIS, lane_limit=LIMIT)
    with app.connection_for_write() as broker, broker.channel() as channel:
        for lane in lanes.LANES:
            channel.queue_declare(queue=lane)
            channel.queue_purge(queue=lane)
    for role in (Router, Recorder):
        past = wiring.event_log().subscribe(role.group, role.topics)
        while found := past.poll(1000, timeout=0):
            past.commit(found)
        past.close()


def turn(role) -> None:
    role.turn()
    role.close()


def answer(count: int, lane: str = "default") -> list[UUID]:
    """Take messages from a lane as an executor does."""
    taken = []
    with app.connection_for_read() as broker, broker.channel() as channel:
        while len(taken) < count and (message := channel.basic_get(lane, no_ack=True)):
            taken.append(UUID(json.loads(message.body)[0][0]))
    return taken


def backlog(count: int) -> list[UUID]:
    """So many events of one service, routed; the executions in their order."""
    service("one", "a.happened")
    append(EVENTS, *(event() for _ in range(count)))
    turn(Router(wiring.event_log(), 100))
    return list(Execution.objects.order_by("created_at").values_list("id", flat=True))


def test_a_backlog_rings_no_more_doorbells_than_the_lane_holds():
    ids = backlog(100)
    assert doorbell.waiting("default") == LIMIT
    assert answer(100) == ids[:LIMIT]
    assert Execution.objects.filter(status="queued", rung_at=None).count() == 100 - LIMIT


def test_what_executors_report_rings_for_the_next_in_their_order_until_none_is_left():
    ids = backlog(100)
    rung = []
    while taken := answer(LIMIT // 2):
        for pk in taken:
            execution_claim(pk, "w", datetime.now(UTC))
        rung += taken
        append(LIFECYCLE, *(report(pk, "execution.completed") for pk in taken))
        turn(Recorder(wiring.event_log()))
        assert doorbell.waiting("default") <= LIMIT
    assert rung == ids
    assert not Execution.objects.exclude(status="completed").exists()


def test_a_full_lane_does_not_keep_others_waiting():
    backlog(100)
    service("urgent", "b.happened", priority=1)
    append(EVENTS, event("b.happened"))
    turn(Router(wiring.event_log(), 100))
    assert answer(1, "priority") == [Execution.objects.get(service__name="urgent").pk]


def test_new_executions_do_not_overtake_those_that_wait():
    ids = backlog(100)
    answer(LIMIT // 2)  # room for a new one, were it not that others have waited longer
    append(EVENTS, event())
    turn(Router(wiring.event_log(), 100))
    assert answer(LIMIT) == ids[LIMIT // 2 : LIMIT // 2 + LIMIT]


def test_the_rescuer_rings_for_those_that_wait_when_nothing_is_reported():
    ids = backlog(LIMIT + 5)
    answer(LIMIT)  # cancelled ones, say: executors leave them alone and report nothing
    for pk in ids[:LIMIT]:
        execution_cancel(pk, actor="x", now=datetime.now(UTC))
    Rescuer(wiring.event_log(), 15.0).ring_again(datetime.now(UTC))
    assert answer(LIMIT) == ids[LIMIT:]


def test_a_restarted_engine_rings_no_more_than_the_lane_holds():
    ids = backlog(100)
    answer(100)  # the queue was in its memory
    rescuer = Rescuer(wiring.event_log(), 15.0, engine_began=datetime.now(UTC))
    rescuer.ring_again(datetime.now(UTC))
    assert answer(100) == ids[:LIMIT]


def test_executions_that_become_due_together_wait_for_room():
    ids = backlog(100)
    answer(100)
    Execution.objects.update(status="pending", rung_at=None, not_before=datetime.now(UTC))
    append("ferris.control", event())  # so that the turn does not wait
    turn(Scheduler(wiring.event_log()))
    assert answer(100) == ids[:LIMIT]


def test_an_event_that_comes_again_rings_only_what_was_rung():
    service("one", "a.happened")
    sent = [event() for _ in range(100)]
    for _ in range(2):
        append(EVENTS, *sent)
        turn(Router(wiring.event_log(), 100))
    assert doorbell.waiting("default") == 2 * LIMIT
    assert len(set(answer(100))) == LIMIT


def test_several_gateways_ring_for_different_executions():
    ids = backlog(100)
    Execution.objects.update(rung_at=None)

    def one(_: int) -> list[UUID]:
        try:
            return [bell.execution_id for bell in executions_ring("default", 10, datetime.now(UTC))]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        rung = [pk for found in pool.map(one, range(10)) for pk in found]
    assert len(rung) == len(set(rung))
    assert set(rung) <= set(ids)
    assert len(rung) + Execution.objects.filter(rung_at=None).count() == 100
