"""Limits and pauses: who may run, who waits and why, whatever gateways do at the same time."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from django.db import connection

from ferris import events
from ferris.config import LIFECYCLE
from ferris.errors import Conflict
from ferris.limits import Concurrency, Limits, Rate
from ferris.retry import Retry
from ferris_web import wiring
from ferris_web.executions.models import Execution, Gate
from ferris_web.executions.services import (
    execution_cancel,
    execution_claim,
    executions_due,
    reports_apply,
)
from ferris_web.executions.services.admission import executions_admit, gates_next, gates_waiting
from ferris_web.executions.services.pauses import service_pause, service_resume
from ferris_web.executions.waiting import execution_waiting, executions_waiting
from tests.web.platform import NOW, dispatch, dispatched, event, report, service

pytestmark = pytest.mark.django_db(transaction=True)

BY_CUSTOMER = Limits(Concurrency(1, "data.customer"))


def of(customer: str, n: int = 0):
    return event(data={"customer": customer, "n": n})


def admit_all(now: datetime = NOW):
    return executions_admit(dict.fromkeys(gates_waiting()), now)


def statuses() -> Counter:
    return Counter(Execution.objects.values_list("status", flat=True))


def claim(row: Execution, now: datetime = NOW) -> Execution:
    assert not isinstance(execution_claim(row.pk, "w", now), str)
    row.refresh_from_db()
    return row


def end(row: Execution, now: datetime = NOW, kind: str = "execution.completed", **said):
    done = reports_apply([report(row, kind, row.attempt, now=now, **said)], now)
    return executions_admit(done.held, now)


# --- concurrency ---------------------------------------------------------------------------------------


def test_what_has_limits_waits_to_be_admitted_and_rings_no_doorbell():
    service("one", "a.happened", limits=BY_CUSTOMER)
    assert dispatch(of("acme"), of("acme"), of("bolt")) == []
    assert statuses() == {"pending": 3}
    assert sorted(Execution.objects.values_list("slot", flat=True)) == ["acme", "acme", "bolt"]


def test_of_each_key_as_many_run_as_may_and_the_next_comes_when_one_ends():
    made = service("one", "a.happened", limits=BY_CUSTOMER)
    dispatch(of("acme", 1), of("acme", 2), of("bolt", 3))
    done = executions_admit({made.pk: {"acme", "bolt"}}, NOW)
    assert (done.lanes, len(done.changes)) == ({"default"}, 2)
    queued = list(Execution.objects.filter(status="queued").order_by("created_at"))
    assert [row.event.data["n"] for row in queued] == [1, 3]
    assert executions_admit({made.pk: {"acme", "bolt"}}, NOW).lanes == set()
    first = claim(queued[0])
    assert end(first).lanes == {"default"}
    assert statuses() == {"completed": 1, "queued": 2}


@pytest.mark.parametrize("how", ["failed", "cancelled", "retry_scheduled"])
def test_every_way_to_end_makes_room(how):
    service("one", "a.happened", limits=Limits(Concurrency(1)), retry=Retry(attempts=2))
    dispatch(event(), event())
    admit_all()
    first = claim(Execution.objects.get(status="queued"))
    later = (NOW + timedelta(minutes=1)).isoformat()
    end(first, kind=f"execution.{how}", reason="script_failed", not_before=later)
    assert Execution.objects.exclude(pk=first.pk).get().status == "queued"


def test_a_retry_whose_time_has_come_asks_to_be_admitted_again_and_keeps_its_place():
    service("one", "a.happened", limits=Limits(Concurrency(1)), retry=Retry(attempts=2))
    dispatch(event(), event(), event())
    admit_all()
    first = claim(Execution.objects.get(status="queued"))
    end(first, kind="execution.retry_scheduled", not_before=NOW.isoformat())
    second = Execution.objects.get(status="queued")
    due = executions_due(NOW + timedelta(seconds=1))
    assert (due.lanes, due.held) == (set(), {first.service_id: {""}})
    assert executions_admit(due.held, NOW).lanes == set()
    end(claim(second))
    assert Execution.objects.get(status="queued").pk == first.pk  # it came before the third


def test_one_that_is_cancelled_before_it_was_claimed_makes_room_when_that_is_recorded():
    service("one", "a.happened", limits=Limits(Concurrency(1)))
    dispatch(event(), event())
    admit_all()
    first = Execution.objects.get(status="queued")
    execution_cancel(first.pk, actor="x", now=NOW)
    done = reports_apply([report(first, "execution.cancelled")], NOW)
    executions_admit(done.held, NOW)
    assert statuses() == {"cancelled": 1, "queued": 1}


def test_what_nobody_admitted_is_found_by_the_rescuer():
    made = service("one", "a.happened", limits=Limits(Concurrency(2)))
    dispatch(event(), event(), event())
    assert gates_waiting() == [made.pk]
    admit_all()
    assert statuses() == {"queued": 2, "pending": 1}


def test_a_replay_of_the_event_asks_for_admission_again():
    made = service("one", "a.happened", limits=Limits(Concurrency(1)))
    first = event()
    dispatch(first)
    assert dispatched(first).held == {made.pk: {""}}


def test_limits_of_a_new_version_hold_for_what_waits():
    made = service("one", "a.happened", limits=BY_CUSTOMER)
    dispatch(of("acme"), of("acme"), of("acme"))
    made.limits = Limits(Concurrency(2)).to_json()
    made.save()
    admit_all()
    assert statuses() == {"queued": 2, "pending": 1}
    made.limits = {}
    made.save()
    admit_all()
    assert statuses() == {"queued": 3}


def test_who_is_more_urgent_goes_first():
    made = service("one", "a.happened", limits=Limits(Concurrency(1)))
    dispatch(event(), event())
    last = Execution.objects.order_by("created_at").last()
    Execution.objects.filter(pk=last.pk).update(priority=2)
    executions_admit({made.pk: {""}}, NOW)
    assert Execution.objects.get(status="queued").pk == last.pk


def test_what_finds_the_limit_reached_is_skipped_if_the_manifest_says_so():
    service("one", "a.happened", limits=Limits(Concurrency(1, "data.customer", "skip")))
    dispatch(of("acme"), of("acme"), of("bolt"), of("acme"))
    done = admit_all()
    assert statuses() == {"queued": 2, "skipped": 2}
    assert {why for *_, why in done.skipped} == {"concurrency"}
    gone = Execution.objects.filter(status="skipped").first()
    assert gone.finished_at
    assert "data.customer" in gone.error


def test_admission_takes_no_query_for_each_row(django_assert_max_num_queries):
    made = service("one", "a.happened", limits=BY_CUSTOMER)
    dispatch(*(of(f"c{n % 40}", n) for n in range(400)))
    with django_assert_max_num_queries(15):
        executions_admit({made.pk: {f"c{n}" for n in range(40)}}, NOW)
    assert statuses() == {"queued": 40, "pending": 360}


def test_a_service_without_limits_pays_no_query(django_assert_num_queries):
    def count(*batch) -> int:
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as queries:
            dispatch(*batch)
        return len(queries)

    service("free", "b.happened")
    dispatch(event("b.happened"))
    free = count(event("b.happened"))
    service("bound", "c.happened", limits=BY_CUSTOMER)
    dispatch(event("b.happened"))
    assert count(event("b.happened")) == free
    with django_assert_num_queries(0):
        executions_admit({}, NOW)


def test_several_gateways_at_once_never_exceed_a_limit():
    made = service("one", "a.happened", limits=Limits(Concurrency(3, "data.customer")))
    dispatch(*(of(f"c{n % 4}", n) for n in range(120)))
    worst: Counter = Counter()
    lock = threading.Lock()

    def gateway(seed: int) -> None:
        chance = Random(seed)
        try:
            while True:
                executions_admit({made.pk: {f"c{chance.randrange(4)}" for _ in range(2)}}, datetime.now(UTC))
                with lock:
                    running = Counter(
                        Execution.objects.filter(status__in=("queued", "in_progress")).values_list(
                            "slot", flat=True
                        )
                    )
                    for slot, count in running.items():
                        worst[slot] = max(worst[slot], count)
                row = Execution.objects.filter(status="queued").order_by("?").first()
                if row is None:
                    if not Execution.objects.filter(status__in=("pending", "in_progress")).exists():
                        return
                    continue
                if not isinstance(execution_claim(row.pk, f"w{seed}", datetime.now(UTC)), str):
                    row.refresh_from_db()
                    end(row, now=datetime.now(UTC))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(gateway, n) for n in range(4)]:
            each.result(timeout=100)
    assert statuses() == {"completed": 120}
    assert max(worst.values()) <= 3


# --- rate ----------------------------------------------------------------------------------------------


def test_no_more_start_within_a_period_than_may_and_the_others_have_a_time():
    made = service("one", "a.happened", limits=Limits(rate=Rate(2, 60.0)))
    dispatch(*(event() for _ in range(5)))
    admit_all()
    assert statuses() == {"queued": 2, "pending": 3}
    assert gates_next() is None  # nobody knows when these two will begin
    for seconds, row in enumerate(Execution.objects.filter(status="queued").order_by("created_at")):
        at = NOW + timedelta(seconds=10 * seconds)
        claim(row, at)
        done = reports_apply([report(row, "execution.started", now=at)], at)
        executions_admit(done.held, at)
    assert gates_next() == NOW + timedelta(seconds=60)
    waits = execution_waiting(Execution.objects.filter(status="pending").first())
    assert (waits.reason, waits.until, waits.limit) == ("rate", NOW + timedelta(seconds=60), 2)
    at = NOW + timedelta(seconds=61)
    executions_admit({made.pk: None}, at)
    assert statuses() == {"in_progress": 2, "queued": 1, "pending": 2}


def test_a_start_between_two_looks_is_not_missed():
    """On PostgreSQL a claim may be committed while it is counted what has begun, and what may begin at any moment."""
    service("one", "a.happened", limits=Limits(rate=Rate(2, 60.0)))
    for _ in range(4):
        dispatch(event("a.happened"))
    admit_all()
    admitted = list(Execution.objects.filter(status="queued"))

    def meanwhile(execute, sql, params, many, context):
        found = execute(sql, params, many, context)
        if admitted and "GROUP BY" in sql and "rate_key" in sql:
            for row in (admitted.pop(), admitted.pop()):
                claim(row, NOW + timedelta(seconds=1))
        return found

    with connection.execute_wrapper(meanwhile):
        admit_all(NOW + timedelta(seconds=2))
    assert not admitted
    assert statuses() == {"in_progress": 2, "pending": 2}


def test_each_key_has_its_own_rate():
    service("one", "a.happened", limits=Limits(rate=Rate(1, 60.0, "data.customer")))
    dispatch(of("acme"), of("acme"), of("bolt"))
    admit_all()
    queued = Execution.objects.filter(status="queued")
    assert sorted(queued.values_list("rate_key", flat=True)) == ["acme", "bolt"]


def test_a_clock_that_was_set_back_starves_no_service_with_a_rate():
    service("one", "a.happened", limits=Limits(rate=Rate(1, 60.0)))
    dispatch(event(), event())
    admit_all()
    [first] = Execution.objects.filter(status="queued")
    claim(first)
    earlier = NOW - timedelta(hours=1)
    admit_all(earlier)
    assert statuses() == {"in_progress": 1, "queued": 1}


def test_whatever_happens_when_no_window_holds_more_starts_than_may():
    made = service("one", "a.happened", limits=Limits(Concurrency(4), Rate(3, 10.0)))
    dispatch(*(event() for _ in range(40)))
    chance, now, starts = Random(7), NOW, []
    while statuses()["completed"] < 40:
        now += timedelta(seconds=chance.choice((0, 0.1, 1, 5)))
        executions_admit({made.pk: None}, now)
        for row in Execution.objects.filter(status="queued").order_by("?")[: chance.randrange(4)]:
            claim(row, now)
            starts.append(now)
        for row in Execution.objects.filter(status="in_progress").order_by("?")[: chance.randrange(4)]:
            end(row, now)
    for begin in starts:
        assert sum(begin <= start < begin + timedelta(seconds=10) for start in starts) <= 3


# --- pauses --------------------------------------------------------------------------------------------


def test_what_was_queued_and_what_comes_waits_while_its_service_is_paused():
    made = service("one", "a.happened")
    [bell] = dispatch(event())
    assert service_pause(made, actor="ann", now=NOW) == 1
    assert execution_claim(bell.execution_id, "w", NOW) == "it is pending"
    assert dispatch(event()) == []
    admit_all()
    assert statuses() == {"pending": 2}
    waits = execution_waiting(Execution.objects.first())
    assert (waits.reason, waits.by, waits.since) == ("service_paused", "ann", NOW)


def test_a_service_that_goes_on_runs_what_has_waited():
    made = service("one", "a.happened")
    dispatch(event(), event())
    service_pause(made, actor="ann", now=NOW)
    dispatch(event())
    assert service_resume(made, skip=False, actor="ann", now=NOW) == 3
    assert admit_all().lanes == {"default"}
    assert statuses() == {"queued": 3}
    assert dispatch(event()) != []


def test_or_leaves_it_out():
    made = service("one", "a.happened")
    service_pause(made, actor="ann", now=NOW)
    dispatch(event(), event())
    follower = wiring.event_log().subscribe("test", [LIFECYCLE])
    follower.commit(follower.poll(1000, timeout=0))
    assert service_resume(made, skip=True, actor="ann", now=NOW) == 2
    assert statuses() == {"skipped": 2}
    assert {row.reason for row in Execution.objects.all()} == {"paused"}
    told = [events.from_record(r.value, r.headers, now=NOW) for r in follower.poll(1000, timeout=60)]
    follower.close()
    assert [event.type for event in told] == ["ferris.execution.skipped"] * 2


def test_a_doorbell_answered_between_a_router_and_a_pause_does_not_start_anything():
    made = service("one", "a.happened")
    [bell] = dispatch(event())
    made.paused_at, made.paused_by = NOW, "ann"
    made.save()  # the pause was committed before the router, who did not know of it, wrote the row
    assert execution_claim(bell.execution_id, "w", NOW) == "its service is paused"
    row = Execution.objects.get()
    assert (row.status, row.worker, row.started_at) == ("pending", "", None)


def test_pausing_twice_and_going_on_without_a_pause_are_conflicts():
    made = service("one")
    with pytest.raises(Conflict):
        service_resume(made, skip=False, actor="ann", now=NOW)
    service_pause(made, actor="ann", now=NOW)
    with pytest.raises(Conflict):
        service_pause(made, actor="ben", now=NOW)


def test_a_paused_gate_is_not_looked_at_again_and_again():
    made = service("one", "a.happened", limits=Limits(rate=Rate(1, 60.0)))
    dispatch(event())
    Gate.objects.filter(pk=made.pk).update(opens_at=NOW)
    service_pause(made, actor="ann", now=NOW)
    executions_admit({made.pk: None}, NOW)
    assert gates_next() is None


# --- why -----------------------------------------------------------------------------------------------


def test_who_waits_for_a_key_is_told_for_whom(django_assert_max_num_queries):
    service("one", "a.happened", limits=BY_CUSTOMER)
    dispatch(of("acme"), of("acme"), of("bolt"))
    admit_all()
    rows = list(Execution.objects.order_by("created_at"))
    with django_assert_max_num_queries(5):
        found = executions_waiting(rows)
    waits = found[rows[1].pk]
    assert (waits.reason, waits.key, waits.behind) == ("concurrency", "acme", (rows[0].pk,))
    assert waits.to_json()["behind"] == [str(rows[0].pk)]
    assert found[rows[0].pk].reason == "lane_full"  # not rung yet
    assert "data.customer = 'acme'" in execution_waiting(rows[1]).text


def test_what_waits_for_nothing_says_nothing():
    service("one", "a.happened")
    dispatch(event())
    row = claim(Execution.objects.get())
    assert execution_waiting(row) is None
