"""The gateway's roles on a real log and database: what a crash between any two of their lines leaves behind."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from ferris import lanes
from ferris.config import CONTROL, EVENTS, LIFECYCLE, LOGS
from ferris.errors import BackendError
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.catalog.models import Schedule
from ferris_web.catalog.services import schedule_add
from ferris_web.executions.models import DeadLetter, Event, Execution
from ferris_web.executions.services import execution_claim, run_request
from gateway import doorbell, router
from gateway.indexer import Indexer
from gateway.recorder import Recorder
from gateway.rescuer import Rescuer
from gateway.router import Router
from gateway.scheduler import GROUP, Scheduler
from tests.web.platform import NOW, append, dispatch, event, report, service

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def role():
    """Makes roles that read what this test appends, and closes them."""
    made = []

    def make(kind, *args, **kwargs):
        log = wiring.event_log()
        if kind is not Rescuer:  # skip what earlier tests left on the log
            past = log.subscribe(*((GROUP, [CONTROL]) if kind is Scheduler else (kind.group, kind.topics)))
            while found := past.poll(1000, timeout=0):
                past.commit(found)
            past.close()
        made.append(kind(log, *args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        if not isinstance(one, Rescuer):
            one.close()


@pytest.fixture(autouse=True)
def _silence():
    """No doorbells left over from other tests."""
    from celery_app import app

    with app.connection_for_write() as connection, connection.channel() as channel:
        for lane in lanes.LANES:
            channel.queue_declare(queue=lane)
            channel.queue_purge(queue=lane)


def test_what_is_on_the_log_runs(role):
    service("one", "a.happened")
    routing = role(Router, 100)
    append(EVENTS, event(), event())
    routing.turn()
    assert Execution.objects.filter(status="queued").count() == 2
    assert doorbell.waiting("default") == 2


@pytest.mark.skipif(connection.vendor != "sqlite", reason="elsewhere each commit is durable")
def test_the_offset_moves_only_when_the_rows_are_durable(role, monkeypatch):
    service("one", "a.happened")
    routing, done = role(Router, 100), []
    ring, commit, sync = router.ring, routing._consumer.commit, os.fdatasync

    def ringing(bells):
        done.append(f"ring {_synchronous()}")  # 1: it committed without waiting for the disk
        ring(bells)

    def syncing(handle):
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")).rpartition("-")[2])
        sync(handle)

    monkeypatch.setattr(router, "ring", ringing)
    monkeypatch.setattr(os, "fdatasync", syncing)
    monkeypatch.setattr(routing._consumer, "commit", lambda records: (done.append("offset"), commit(records)))
    try:
        append(EVENTS, event())
        routing.turn()
    finally:
        connection.close()  # other tests are to have their commits durable
    assert done == ["ring 1", "wal", "offset"]


def test_turns_that_follow_each_other_share_a_commit_and_none_is_left_out(role, monkeypatch):
    monkeypatch.setattr(Recorder, "commit_within", 60.0)
    service("one", "a.happened")
    dispatch(event(), event(), event())
    recording, done = role(Recorder), []
    commit = recording._consumer.commit
    monkeypatch.setattr(
        recording._consumer, "commit", lambda records: (done.append(len(records)), commit(records))
    )
    first, *others = Execution.objects.all()
    for some in ([first], others):
        for row in some:
            execution_claim(row.pk, "w1", NOW)
        append(LIFECYCLE, *(report(row, "execution.started") for row in some))
        recording.turn()
    assert done == []
    recording.close()
    assert done == [3]
    later = Recorder(wiring.event_log())
    found = later._consumer.poll(10, timeout=0)
    later.close()
    assert found == []


def test_what_waits_for_company_is_handled_with_it(role, monkeypatch):
    monkeypatch.setattr(Recorder, "company", 60.0)
    service("one", "a.happened")
    dispatch(event(), event())
    recording = role(Recorder)
    first, second = Execution.objects.all()
    append(LIFECYCLE, _ended(first))

    def waiting(seconds: float) -> bool:
        append(LIFECYCLE, _ended(second))
        return False

    monkeypatch.setattr(recording.stopping, "wait", waiting)
    recording.turn()
    assert Execution.objects.filter(status="completed").count() == 2


def test_what_waits_for_company_is_not_lost_when_the_log_goes_away_meanwhile(role, monkeypatch):
    service("one", "a.happened")
    dispatch(event())
    recording = role(Recorder)
    append(LIFECYCLE, _ended(Execution.objects.get()))
    poll = recording._consumer.poll

    def polling(most: int, timeout: float | None = None):
        if timeout == 0:
            raise BackendError("event log", "is away", "start it")
        return poll(most, timeout)

    monkeypatch.setattr(recording._consumer, "poll", polling)
    with pytest.raises(BackendError):
        recording.turn()
    recording.turn()
    assert Execution.objects.filter(status="completed").exists()


def _ended(row: Execution):
    execution_claim(row.pk, "w1", NOW)
    return report(row, "execution.completed")


def _synchronous() -> int:
    with connection.cursor() as cursor:
        return cursor.execute("PRAGMA synchronous").fetchone()[0]


def test_a_router_that_died_before_its_offset_repeats_without_effect(role):
    service("one", "a.happened")
    first = role(Router, 100)
    append(EVENTS, event())
    records = first._consumer.poll(10)
    batch, _ = first._parse(records, NOW)
    first._dispatch(batch, [], NOW)  # the rows are written; then: kill -9
    first.close()
    second = Router(wiring.event_log(), 100)
    second.turn()
    second.close()
    assert Execution.objects.count() == 1
    assert doorbell.waiting("default") == 1


@pytest.mark.parametrize(
    "poison", [b"{", b"[]", b'"x"', b"\xff\xfe", b"{}", b'{"specversion":"0.1"}', b'{"a":' * 5000, b""]
)
def test_poison_goes_to_the_dead_letters_and_the_partition_moves_on(role, poison):
    service("one", "a.happened")
    routing, recording = role(Router, 100), role(Recorder)
    wiring.event_log().append(EVENTS, [Record(poison, key="k")])
    append(EVENTS, event())
    routing.turn()
    recording.turn()
    assert Execution.objects.count() == 1
    letter = DeadLetter.objects.get()
    assert (letter.reason, bytes(letter.value), letter.topic) == ("unreadable", poison, EVENTS)


def test_a_circle_of_services_ends_at_the_hop_limit(role):
    service("one", "a.happened")
    routing, recording = role(Router, 3), role(Recorder)
    append(EVENTS, event(hops=3), event(hops=4))
    routing.turn()
    recording.turn()
    assert Execution.objects.count() == 1
    assert DeadLetter.objects.get().reason == "hop_limit"


def test_what_a_published_client_sends_stays_in_its_flow_and_counts_its_hops(role):
    service("one", "a.happened")
    service("two", "b.happened")
    dispatch(event(correlation_id="order-17", hops=2))
    parent = Execution.objects.get()
    data = {"n": 1, "_fxcid": parent.correlation_id, "_fxparentexec": str(parent.pk)}
    body = {"specversion": "1.0", "id": "1", "source": "one", "type": "b.happened", "data": json.dumps(data)}
    routing = role(Router, 100)
    wiring.event_log().append(EVENTS, [Record(json.dumps(body).encode())])
    routing.turn()
    child = Execution.objects.select_related("event").get(service__name="two")
    assert (child.flow_id, child.parent_id, child.event.hops) == ("order-17", parent.pk, 3)


def test_one_event_that_cannot_be_written_does_not_hold_up_the_others(role):
    service("one", "a.happened")
    routing, recording = role(Router, 100), role(Recorder)
    lone = b'{"specversion":"1.0","id":"1","source":"/t","type":"a.happened","data":{"half":"\\ud800"}}'
    append(EVENTS, event())
    wiring.event_log().append(EVENTS, [Record(lone, key="k")])
    append(EVENTS, event())
    routing.turn()
    recording.turn()
    assert Execution.objects.count() == 2
    assert DeadLetter.objects.get().reason in ("unreadable", "not_dispatched")


def test_reports_on_the_log_become_rows_and_notices(role):
    service("one", "a.happened")
    (bell,) = dispatch(event())
    execution_claim(bell.execution_id, "w", NOW)
    recording = role(Recorder)
    notices = wiring.event_log().tail(["ferris.changes"])
    append(LIFECYCLE, report(bell.execution_id, "execution.completed"))
    recording.turn()
    assert Execution.objects.get().status == "completed"
    assert b'"completed"' in notices.poll(10, timeout=60)[0].value
    notices.close()


def test_the_rescuer_reports_and_the_recorder_decides(role):
    service("one", "a.happened")
    (bell,) = dispatch(event())
    execution_claim(bell.execution_id, "w", NOW - timedelta(hours=1))
    recording, rescuing = role(Recorder), role(Rescuer, 15.0)
    rescuing.end_leases(datetime.now(UTC))
    recording.turn()
    row = Execution.objects.get()
    assert (row.status, row.attempt) == ("queued", 2)


def test_leases_that_nobody_could_renew_are_not_held_for_lost(role, monkeypatch):
    service("one", "a.happened")
    (bell,) = dispatch(event())
    execution_claim(bell.execution_id, "w", NOW - timedelta(hours=1))
    recording = role(Recorder)

    def status_after(failures: int) -> str:
        rescuing = role(Rescuer, 3600.0)
        rescuing.failures = failures  # in a row, as the loop of every role counts them: the database was away
        rescuing.stopping.set()
        rescuing.turn()
        append(
            LIFECYCLE, report(bell.execution_id, "execution.started")
        )  # so that there is something to read
        recording.turn()
        return Execution.objects.get().status

    assert status_after(3) == "in_progress"
    assert status_after(0) == "queued"


def test_a_lost_doorbell_is_rung_again_when_its_queue_is_empty(role):
    service("one", "a.happened")
    (bell,) = dispatch(event(), now=datetime.now(UTC) - timedelta(seconds=30))
    rescuing = role(Rescuer, 15.0)
    rescuing.ring_again(datetime.now(UTC))
    rescuing.ring_again(datetime.now(UTC))
    assert doorbell.waiting(bell.lane) == 1


def test_a_restarted_engine_rings_for_all_that_is_queued_and_ends_all_claims(role):
    service("one", "a.happened")
    bells = dispatch(event(), event())
    execution_claim(bells[0].execution_id, "w", datetime.now(UTC))
    recording, rescuing = role(Recorder), role(Rescuer, 15.0, engine_began=datetime.now(UTC))
    rescuing.end_leases(datetime.now(UTC))
    rescuing.ring_again(datetime.now(UTC))
    recording.turn()
    assert doorbell.waiting("default") == 2
    assert set(Execution.objects.values_list("status", flat=True)) == {"queued"}


def test_what_a_restarted_engine_has_claimed_itself_is_its_own(role):
    """The rescuer's first look may come after the router and a worker have set to work."""
    service("one", "a.happened")
    (bell,) = dispatch(event())
    began = datetime.now(UTC)
    execution_claim(bell.execution_id, "w", datetime.now(UTC))
    rescuing, reports = role(Rescuer, 15.0, engine_began=began), wiring.event_log().tail([LIFECYCLE])
    rescuing.end_leases(datetime.now(UTC))
    rescuing.ring_again(datetime.now(UTC))
    assert reports.poll(10, timeout=0) == []
    assert doorbell.waiting(bell.lane) == 0
    reports.close()


def due(target, **extra) -> Schedule:
    made = schedule_add(target, origin="person", cron="0 * * * *", now=NOW, **extra)
    made.next_due_at = datetime.now(UTC) - timedelta(hours=5)
    made.save()
    return made


def tick(scheduling: Scheduler) -> None:
    append(CONTROL, event())  # so that the turn does not wait
    scheduling.turn()


def test_a_due_schedule_fires_once_and_missed_runs_are_one_run(role):
    target = service("one")
    schedule = due(target, parameters={"n": 1}, name="shop.nightly")
    scheduling, routing = role(Scheduler), role(Router, 100)
    tick(scheduling)
    tick(scheduling)
    routing.turn()
    row = Execution.objects.select_related("event").get()
    assert (row.trigger_type, row.event.data) == ("scheduled", {"n": 1})
    assert row.lane == "scheduled"
    schedule.refresh_from_db()
    assert schedule.next_due_at > datetime.now(UTC)
    assert execution_claim(row.pk, "w", NOW).event_type == "shop.nightly"


def test_a_scheduler_that_died_between_event_and_row_fires_once(role):
    schedule = due(service("one"))
    before = schedule.next_due_at
    scheduling, routing = role(Scheduler), role(Router, 100)
    tick(scheduling)
    Schedule.objects.update(next_due_at=before)  # as if the row had not been written
    tick(scheduling)
    routing.turn()
    assert Execution.objects.count() == Event.objects.count() == 1


def test_a_schedule_that_runs_once_is_over_then(role):
    target = service("one")
    schedule = due(target)
    Schedule.objects.update(once=True)
    scheduling = role(Scheduler)
    tick(scheduling)
    schedule.refresh_from_db()
    assert schedule.next_due_at is None


def test_a_run_by_hand_is_an_event_like_any_other(role):
    target = service("one")
    routing = role(Router, 100)
    asked = run_request(target, {"n": 1}, actor="ann", now=datetime.now(UTC))
    routing.turn()
    row = Execution.objects.select_related("event").get()
    assert (row.pk, row.trigger_type, row.flow_id) == (asked.execution_id, "manual", asked.flow_id)
    assert row.event.data == {"n": 1}


def test_a_trigger_that_no_sync_would_have_let_in_does_not_stop_the_others(role):
    service("one", "a.happened")
    service("broken", {"event_type": "a.happened", "filter": {"data": {"n": [{"numeric": ["~", 1]}]}}})
    routing = role(Router, 100)
    append(EVENTS, event())
    routing.turn()
    assert Execution.objects.get().service.name == "one"


def test_what_cannot_be_indexed_does_not_hold_up_the_rest(role):
    indexing, recording = role(Indexer, wiring.ops_store()), role(Recorder)
    line = {
        "execution": "e1", "attempt": 1, "seq": 1, "time": NOW.isoformat(), "step": "run.py", "stream": "stdout",
        "level": "info", "message": "hello", "service": "one", "flow": "F",
    }  # fmt: skip
    bad = {**line, "message": 7}
    wiring.event_log().append(LOGS, [Record(json.dumps(r).encode(), key="e1") for r in (bad, line)])
    append(EVENTS, event("a.indexed"))
    indexing.turn()
    recording.turn()
    assert [found.message for found in wiring.ops_store().logs("e1")] == ["hello"]
    assert len(wiring.ops_store().search("events", "type:a.indexed").records) == 1
    assert DeadLetter.objects.get().reason == "not_indexed"


def test_lines_of_a_published_clients_logger_can_be_searched_for(role):
    indexing, recording = role(Indexer, wiring.ops_store()), role(Recorder)
    line = {
        "@timestamp": "2026-03-01T12:00:00.271Z", "@version": 1, "source_host": "vm", "name": "one",
        "levelname": "WARNING", "levelno": 30, "message": "stock is low",
    }  # fmt: skip
    said = [line, {**line, "@timestamp": "yesterday", "message": "again"}, {"execution": 7}, ["no line"]]
    wiring.event_log().append(LOGS, [Record(json.dumps(r).encode()) for r in said])
    indexing.turn()
    recording.turn()
    found = wiring.ops_store().search("logs", "stock service:one level:warning").records
    assert [record["message"] for record in found] == ["stock is low"]
    assert found[0]["time"].startswith("2026-03-01T12:00:00.271")
    assert len(wiring.ops_store().search("logs", "again").records) == 1
    assert [letter.reason for letter in DeadLetter.objects.all()] == ["not_indexed"] * 2
