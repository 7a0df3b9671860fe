"""Deduplicate, throttle, debounce, batch as rows: one event, one decision, whatever comes twice or in between."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from ferris import events
from ferris.events import Event
from ferris.intake import Batch, Debounce, Deduplicate, Intake, Throttle
from ferris_web.executions import gathered
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.models import Execution, GatheredEvent, Gathering
from ferris_web.executions.services import execution_claim, retry_request
from ferris_web.executions.services.gathering_due import Closed, gatherings_close, gatherings_next
from ferris_web.executions.settling import flow_settled
from tests.web.at_once import at_once
from tests.web.platform import NOW, dispatch, dispatch_at, event, service

pytestmark = pytest.mark.django_db


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


def numbered(count: int, key: str = "x", **attributes: Any) -> list[Event]:
    return [event(data={"k": key, "n": n}, **attributes) for n in range(count)]


def clock(second: float) -> Closed:
    return gatherings_close(at(second), at(second))


def decision(happened: Event) -> str:
    found = gathered.decisions_of(happened.key)
    assert len(found) == 1
    return str(next(iter(found.values())))


DEBOUNCE = Intake(debounce=Debounce(10, 60, "data.k"))
BATCH = Intake(batch=Batch(3, 5))


# --- debounce --------------------------------------------------------------------------------------


def test_what_comes_close_together_runs_once_for_the_last_and_all_of_it_is_kept():
    service("one", "a.*", intake=DEBOUNCE)
    first, second, third = numbered(3)
    assert dispatch_at((first, at(0)), (second, at(5)), (third, at(9))).wakes
    assert not Execution.objects.exists()
    assert decision(first).startswith("debounced for x: runs at 2026-03-01 12:00:19")
    assert gatherings_next() == at(19)
    clock(18)
    assert not Execution.objects.exists()
    done = clock(19)
    row = Execution.objects.get()
    assert (row.event_id, row.flow_id, row.status, done.lanes) == (
        third.key, third.flow_id, "queued", {"default"},
    )  # fmt: skip
    assert {decision(one) for one in (first, second, third)} == {f"debounced into {row.id}"}
    assert execution_claim(row.id, "w", NOW).params == {"k": "x", "n": 2}
    clock(1000)
    assert Execution.objects.count() == 1


def test_asked_for_all_the_script_gets_the_list_and_again_when_it_is_retried():
    service("one", "a.*", intake=Intake(debounce=Debounce(10, 60, events="all")))
    batch = numbered(3)
    dispatch(*batch)
    clock(10)
    row = Execution.objects.get()
    handed = execution_claim(row.id, "w", NOW).params
    assert [one["data"]["n"] for one in handed["events"]] == [0, 1, 2]
    assert handed["events"][0] == {
        "id": batch[0].id,
        "source": "/tests",
        "type": "a.happened",
        "subject": None,
        "time": "2026-03-01T12:00:00Z",
        "correlation_id": batch[0].flow_id,
        "data": {"k": "x", "n": 0},
    }
    Execution.objects.update(status="failed")
    for _ in range(2):  # a retry, and a retry of that
        Execution.objects.update(status="failed")
        row = Execution.objects.select_related("event", "service").latest("created_at", "sequence")
        asked = retry_request(row, actor="ann", now=NOW)
        again = _last_on_the_log()
        dispatch(again, now=at(20))
        order = execution_claim(asked.execution_id, "w", NOW)
        assert order.params["events"] == handed["events"]
        assert order.event_type == "a.happened"


def _last_on_the_log() -> Event:
    from ferris.config import EVENTS
    from ferris_web import wiring

    record = wiring.event_log().browse(EVENTS, limit=1)[-1]
    return events.from_record(record.value, record.headers, now=NOW)


def test_keys_do_not_meet():
    service("one", "a.*", intake=DEBOUNCE)
    dispatch(*numbered(2, "x"), *numbered(2, "y"))
    clock(10)
    assert Execution.objects.count() == 2


def test_the_maximum_ends_what_never_rests():
    service("one", "a.*", intake=DEBOUNCE)
    dispatch_at(*((one, at(n * 5)) for n, one in enumerate(numbered(20))))
    assert Execution.objects.count() == 1
    assert sorted(Gathering.objects.values_list("state", "size")) == [("open", 8), ("ran", 12)]


def test_a_router_that_was_away_decides_as_one_that_was_not():
    """Read late and all at once, or each on time: the same gatherings, as the time on the log counts."""
    batch = [(one, at(n * 37 % 400)) for n, one in enumerate(numbered(60))]
    batch.sort(key=lambda pair: pair[1])
    found = []
    for slices in (1, 60):
        target = service(f"in_{slices}", "a.*", intake=DEBOUNCE)
        size = len(batch) // slices
        for start in range(0, len(batch), size):
            dispatch_at(*batch[start : start + size], now=at(500))
        found.append(sorted(Gathering.objects.values_list("opened_at", "size", "state")))
        GatheredEvent.objects.all().delete()
        Execution.objects.all().delete()
        Gathering.objects.all().delete()
        EventRow.objects.all().delete()
        target.triggers.all().delete()
    assert len(found[0]) > 5
    assert found[0] == found[1]


def test_what_is_still_on_its_way_is_waited_for():
    """The clock closes only what the router has passed, or it would cut a burst in two."""
    service("one", "a.*", intake=DEBOUNCE)
    first, second = numbered(2)
    dispatch_at((first, at(0)))
    gatherings_close(passed=at(4), now=at(100))
    assert not Execution.objects.exists()
    dispatch_at((second, at(5)), now=at(101))
    gatherings_close(passed=at(101), now=at(101))
    assert Execution.objects.get().event_id == second.key


def test_a_flow_is_not_at_rest_while_an_event_of_its_is_gathered(backends):
    service("one", "a.*", intake=DEBOUNCE)
    happened = event(correlation_id="flow")
    dispatch(happened)
    assert flow_settled("flow") == (False, None)
    clock(10)
    Execution.objects.update(status="completed")
    assert flow_settled("flow")[1] is None or flow_settled("flow")[0]


# --- batch -----------------------------------------------------------------------------------------


def test_a_batch_runs_when_it_is_full_and_what_is_left_when_its_time_is_over():
    service("one", "a.*", intake=BATCH)
    batch = numbered(7)
    done = dispatch_at(*((one, at(n / 10)) for n, one in enumerate(batch)))
    assert [bell.lane for bell in done.doorbells] == ["default"] * 2
    clock(5.6)
    rows = list(Execution.objects.order_by("created_at"))
    assert [row.event_id for row in rows] == [batch[0].key, batch[3].key, batch[6].key]
    handed = [
        [one["data"]["n"] for one in execution_claim(row.id, "w", NOW).params["events"]] for row in rows
    ]
    assert handed == [[0, 1, 2], [3, 4, 5], [6]]
    assert rows[0].flow_id == batch[0].flow_id
    assert decision(batch[1]) == f"batched into {rows[0].id}"
    assert EventRow.objects.filter(matched=1).count() == 7


def test_copies_count_once():
    service("one", "a.*", intake=BATCH)
    batch = numbered(2)
    for _ in range(3):
        dispatch(*batch, *batch)
    assert Gathering.objects.get().size == GatheredEvent.objects.count() == 2
    assert not Execution.objects.exists()


def test_a_service_that_was_switched_off_meanwhile_is_skipped_and_says_so():
    target = service("one", "a.*", intake=BATCH)
    dispatch(*numbered(2))
    type(target).objects.update(active=False)
    clock(5)
    assert Execution.objects.get().reason == "inactive"


def test_a_manifest_without_the_rule_leaves_nobody_waiting():
    target = service("one", "a.*", intake=BATCH)
    dispatch(*numbered(2))
    type(target).objects.update(intake=None)
    clock(5)
    row = Execution.objects.get()
    assert len(execution_claim(row.id, "w", NOW).params["events"]) == 2


# --- deduplicate -----------------------------------------------------------------------------------


def test_of_a_key_the_first_runs_and_the_others_are_duplicates_of_it():
    service("one", "a.*", intake=Intake(deduplicate=Deduplicate("data.k", 60)))
    batch = numbered(3)
    dispatch_at((batch[0], at(0)), (batch[1], at(59)), (batch[2], at(60)))
    assert set(Execution.objects.values_list("event_id", flat=True)) == {batch[0].key, batch[2].key}
    assert decision(batch[1]) == f"duplicate of {batch[0].id}"
    assert gathered.decisions_of(batch[0].key) == {}
    assert gatherings_next() is None, "nobody need wake for the end of a window"


def test_an_event_without_the_key_runs():
    service("one", "a.*", intake=Intake(deduplicate=Deduplicate("data.k", 60)))
    dispatch(event(), event(data={"k": None}))
    assert Execution.objects.count() == 2
    assert not Gathering.objects.exists()


def test_runs_by_hand_pass_by():
    target = service("one", "a.*", intake=Intake(deduplicate=Deduplicate("type", 60), batch=Batch(10, 5)))
    for _ in range(2):
        dispatch(event(events.RUN_REQUESTED, {"n": 1}, service=str(target.pk), trigger="manual"))
    assert set(Execution.objects.values_list("trigger_type", flat=True)) == {"manual"}
    assert Execution.objects.count() == 2


# --- throttle --------------------------------------------------------------------------------------


def test_the_excess_is_dropped_and_says_so():
    service("one", "a.*", intake=Intake(throttle=Throttle(2, 60, "data.k")))
    batch = numbered(4)
    dispatch_at((batch[0], at(0)), (batch[1], at(1)), (batch[2], at(59)), (batch[3], at(60)))
    assert Execution.objects.count() == 3
    assert decision(batch[2]) == "throttled for x (2 per 60 s): dropped"


def test_the_excess_waits_its_turn():
    service("one", "a.*", intake=Intake(throttle=Throttle(1, 60, excess="wait")))
    batch = numbered(3)
    dispatch_at(*((one, at(n)) for n, one in enumerate(batch)))
    assert Execution.objects.count() == 1
    assert decision(batch[2]) == "throttled (1 per 60 s): held until 2026-03-01 12:02:00 UTC"
    gatherings_close(at(0), at(60))  # what a throttle holds back does not ask how far the router is
    second = Execution.objects.get(event_id=batch[1].key)
    assert decision(batch[1]) == f"throttled (1 per 60 s): held, then let through as {second.id}"
    clock(119)
    assert Execution.objects.count() == 2
    late = event()
    dispatch_at((late, at(119)))  # it comes after those that wait
    clock(200)
    assert Execution.objects.count() == 3
    clock(260)
    assert Execution.objects.filter(event_id=late.key).exists()
    assert Gathering.objects.get().held == 0


# --- several at once -------------------------------------------------------------------------------


def test_rules_in_a_row():
    rules = Intake(deduplicate=Deduplicate("data.n", 60), debounce=Debounce(10, 60, events="all"))
    service("one", "a.*", intake=rules)
    dispatch(*numbered(3), *numbered(3))
    clock(10)
    row = Execution.objects.get()
    assert len(execution_claim(row.id, "w", NOW).params["events"]) == 3
    assert (
        sorted(GatheredEvent.objects.values_list("decision", flat=True))
        == ["debounced"] * 3 + ["duplicate"] * 3
    )


def test_one_event_one_decision_per_service():
    service("plain", "a.*")
    for name, rules in (("one", DEBOUNCE), ("two", BATCH), ("three", Intake(throttle=Throttle(1, 60)))):
        service(name, "a.*", intake=rules)
    batch = numbered(20)
    dispatch(*batch)
    clock(1000)
    assert GatheredEvent.objects.filter(service__name="one").count() == 20
    assert GatheredEvent.objects.filter(service__name="two").count() == 20
    assert GatheredEvent.objects.filter(service__name="three").count() == 19
    counts = [
        Execution.objects.filter(service__name=name).count() for name in ("plain", "one", "two", "three")
    ]
    assert counts == [20, 1, 7, 1]


def test_dispatch_of_a_batch_takes_a_constant_number_of_queries(django_assert_max_num_queries):
    service("one", "a.*", intake=Intake(deduplicate=Deduplicate("data.n", 60), batch=Batch(10, 5, "data.k")))
    service("two", "a.*", intake=Intake(throttle=Throttle(1, 60, "data.n", "wait")))
    dispatch(event())
    batch = [event(data={"k": n % 7, "n": n}) for n in range(200)]
    with django_assert_max_num_queries(45):  # SQLite takes some fifty rows at a time
        dispatch(*batch)
    with django_assert_max_num_queries(20):
        clock(6)


def test_services_without_rules_pay_nothing(django_assert_num_queries):
    service("one", "a.happened")
    service("two", "b.*", intake=DEBOUNCE)
    dispatch(event())
    with django_assert_num_queries(_queries_without_rules()):
        dispatch(event())
    assert not Gathering.objects.exists()


def _queries_without_rules() -> int:
    """Of a batch of one event that runs one service of a platform where no other has rules."""
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as seen:
        dispatch(event())
    assert not [
        query
        for query in seen.captured_queries
        if "gather" in query["sql"].lower().replace("gathering_id", "")
    ]
    return len(seen)


@pytest.mark.django_db(transaction=True)
def test_two_routers_and_two_clocks_at_once_fill_each_gathering_once():
    service("one", "a.*", intake=Intake(batch=Batch(10, 5, "data.k")))
    service("two", "a.*", intake=Intake(debounce=Debounce(0.5, 3, "data.k")))
    sent = [[event(data={"k": n % 3, "n": n}) for n in range(60)] for _ in range(3)]

    def route(batch: list[Event]) -> None:
        for start in range(0, len(batch), 6):
            part = batch[start : start + 6]
            dispatch_at(*((one, at(start / 10)) for one in part), now=at(start / 10))

    def tick() -> None:
        for second in range(40):
            clock(second / 5)

    at_once(*(lambda batch=batch: route(batch) for batch in sent), tick)
    clock(1000)
    handed = sorted(
        one["data"]["n"]
        for row in Execution.objects.filter(service__name="one")
        for one in gathered.events_handed(row.gathering_id) or ()
    )
    assert handed == sorted([*range(60)] * 3)
    assert GatheredEvent.objects.count() == 360
    assert all(row.size == row.members.count() for row in Gathering.objects.all())
    ran = set(Gathering.objects.filter(state="ran").values_list("execution_id", flat=True))
    assert ran == set(Execution.objects.values_list("id", flat=True))
    assert not Gathering.objects.filter(state="open").exists()


def test_the_retention_of_the_journal_takes_nothing_from_what_is_open():
    """The first event of a throttle ran long ago, and is in no gathering itself."""
    from ferris_web.executions.services.retention import journal_prune

    service("one", "a.*", intake=Intake(throttle=Throttle(1, 3600, excess="wait")))
    batch = numbered(3)
    dispatch(*batch)
    Execution.objects.update(status="completed")
    journal_prune(at(10_000), at(10_000))
    assert Gathering.objects.get().held == GatheredEvent.objects.count() == 2
    clock(3600)
    clock(7200)
    Execution.objects.update(status="completed")
    journal_prune(at(100_000), at(100_000))
    assert not EventRow.objects.exists()
    assert not Gathering.objects.exists()


def test_a_throttle_that_has_come_to_rest_is_over_with_the_next_event():
    service("one", "a.*", intake=Intake(throttle=Throttle(1, 60)))
    batch = numbered(3)
    dispatch_at((batch[0], at(0)), (batch[1], at(1)), (batch[2], at(60)))
    assert sorted(Gathering.objects.values_list("state", "size")) == [("open", 0), ("over", 1)]
