"""Events become executions: once, whatever comes twice or in between."""

from __future__ import annotations

import pytest

from ferris import events
from ferris_web.catalog.models import EventType
from ferris_web.executions.models import Event, Execution, Flow
from tests.web.platform import dispatch, event, service

pytestmark = pytest.mark.django_db


def test_an_event_runs_each_service_that_listens_once():
    service("one", "a.happened")
    service("two", "a.*", "a.happened")
    service("deaf", "b.happened")
    bells = dispatch(event())
    assert sorted(Execution.objects.values_list("service__name", flat=True)) == ["one", "two"]
    assert {bell.execution_id for bell in bells} == set(Execution.objects.values_list("id", flat=True))
    assert set(Execution.objects.values_list("status", flat=True)) == {"queued"}


def test_lists_by_time_keep_the_order_of_the_log():
    service("one", "a.*")
    service("two", "a.*")
    batch = [event(correlation_id="flow") for _ in range(5)]
    dispatch(*batch)
    assert list(Event.objects.order_by("received_at").values_list("key", flat=True)) == [e.key for e in batch]
    numbers = Execution.objects.order_by("created_at").values_list("sequence", flat=True)
    assert list(numbers) == list(range(1, 11))


def test_a_replay_of_the_log_changes_nothing_but_rings_again_for_what_nobody_claimed():
    service("one", "a.happened")
    first = event()
    bells = dispatch(first)
    assert dispatch(first) == bells
    Execution.objects.update(status="in_progress")
    assert dispatch(first) == []
    assert Execution.objects.count() == Event.objects.count() == 1
    assert Event.objects.get().copies == 2


def test_copies_within_one_batch_run_once():
    service("one", "a.happened")
    copy = event(id="same")
    dispatch(copy, event(), copy)
    assert Execution.objects.count() == Event.objects.count() == 2


def test_same_id_from_another_source_is_another_event():
    service("one", "a.happened")
    first = event(id="same")
    other = events.with_flow(events.new("a.happened", "/elsewhere", now=first.time, id="same"))
    dispatch(first, other)
    assert Execution.objects.count() == 2


def test_executions_of_a_flow_are_numbered_through_and_share_its_id():
    service("one", "a.*")
    service("two", "a.*")
    first = event(correlation_id="order-42")
    dispatch(first)
    dispatch(event("a.followed", correlation_id="order-42"), event("a.followed", correlation_id="other"))
    found = Execution.objects.filter(flow_id="order-42").order_by("sequence")
    assert [row.correlation_id for row in found] == [f"order-42_{n:02d}" for n in (1, 2, 3, 4)]
    assert Flow.objects.get(pk="order-42").root_type == "a.happened"


def test_the_execution_that_sent_an_event_is_the_parent_of_what_it_triggers():
    service("one", "a.*")
    dispatch(event())
    parent = Execution.objects.get()
    dispatch(event("a.followed", causation_id=str(parent.id)))
    assert Execution.objects.exclude(pk=parent.pk).get().parent_id == parent.pk


@pytest.mark.parametrize(
    ("priority", "lane"), [(1, "priority"), (3, "priority"), (4, "default"), (8, "slow")]
)
def test_the_lane_follows_the_priority(priority, lane):
    service("one", "a.happened", priority=priority)
    assert [bell.lane for bell in dispatch(event())] == [lane]


def test_an_event_addressed_to_a_service_runs_that_one_only():
    wanted = service("one")
    service("two", "*")
    dispatch(event(events.RUN_REQUESTED, {"n": 1}, service=str(wanted.pk), trigger="manual"))
    row = Execution.objects.get()
    assert (row.service_id, row.trigger_type) == (wanted.pk, "manual")


def test_the_address_counts_on_the_platforms_own_events_only():
    service("one")
    listening = service("two", "a.happened")
    dispatch(event(service=str(listening.pk), trigger="manual"))
    assert Execution.objects.get().trigger_type == "triggered"


def test_a_run_asked_of_a_service_that_was_switched_off_meanwhile_is_skipped_and_says_so():
    off = service("one", active=False)
    bells = dispatch(event(events.RUN_REQUESTED, service=str(off.pk), trigger="manual"))
    row = Execution.objects.get()
    assert (bells, row.status, row.reason) == ([], "skipped", "inactive")
    assert "one" in row.error


def test_a_sync_between_two_events_counts_for_the_second():
    dispatch(event())
    service("late", "a.happened")
    dispatch(event())
    assert Execution.objects.count() == 1


def test_an_event_type_is_entered_on_sight_and_counted():
    dispatch(event(data={"n": 1}), event(), event("b.happened"))
    assert dict(EventType.objects.values_list("name", "count")) == {"a.happened": 2, "b.happened": 1}


def test_dispatch_of_a_batch_takes_a_constant_number_of_queries(django_assert_max_num_queries):
    service("one", "a.happened")
    dispatch(event())
    batch = [event() for _ in range(200)]
    with django_assert_max_num_queries(30):
        dispatch(*batch)
    assert Execution.objects.count() == 201
