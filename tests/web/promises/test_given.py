"""Promises of flows as rows: given, kept, late and told, whatever comes twice, late, or in the wrong order."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ferris import events
from ferris.config import EVENTS
from ferris.events import Event
from ferris.promises import OVERDUE_EVENT
from ferris_web import wiring
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.models import Promise
from ferris_web.executions.services.promises import (
    promises_close,
    promises_next,
    promises_overdue,
)
from gateway.router import Router
from gateway.scheduler import Scheduler
from tests.web.at_once import at_once
from tests.web.platform import NOW, append, dispatch, dispatch_at, dispatched, event, service
from tests.web.promises.promising import at, of, rule, send, states, tell

pytestmark = pytest.mark.django_db(transaction=True)


def test_kept_in_time_nothing_is_said() -> None:
    rule()
    placed, other, shipped = of("order.placed"), of("order.placed", "G"), of("order.shipped")
    send((placed, 0), (other, 1), (shipped, 60))
    row = Promise.objects.get(flow_id="F")
    assert (row.state, row.answer_id, row.answered_at) == ("kept", shipped.key, at(60))
    assert promises_next() == at(61), "only the other flow waits"
    assert [said.flow_id for said in tell(500)] == ["G"]
    assert promises_next() is None


def test_a_late_flow_is_told_once_by_an_event_of_its_own_in_that_flow() -> None:
    rule()
    service("shipping", "order.placed")
    alarm = service("alarm", OVERDUE_EVENT)
    placed = event("order.placed", {"n": 1}, correlation_id="F", subject="order/1", causation_id="x")
    send((placed, 0))
    assert tell(59) == []
    promises_close(at(60))
    again = [one for _, one in promises_overdue()]
    (said,) = tell(60)
    assert [said] == again, "told twice it is the same event"
    assert tell(600) == []
    assert (said.type, said.source, said.flow_id, said.subject, said.hops) == (
        OVERDUE_EVENT, "ferris/project/shop", "F", "in time", 1,
    )  # fmt: skip
    assert said.data == {
        "promise": "in time",
        "project": "shop",
        "after": "order.placed",
        "expected": "order.shipped",
        "within": 60,
        "by": "flow",
        "key": "F",
        "started_by": {
            "id": placed.id,
            "source": "/tests",
            "type": "order.placed",
            "subject": "order/1",
            "time": events.rfc3339(NOW),
        },
        "started_at": events.rfc3339(NOW),
        "due": events.rfc3339(at(60)),
        "listeners": ["shipping"],
    }
    dispatch(said, said)
    assert alarm.executions.count() == 1
    shipped = of("order.shipped")
    send((shipped, 72))
    row = Promise.objects.get()
    assert (row.state, row.answer_id, row.answered_at) == ("late", shipped.key, at(72))
    assert tell(700) == []


def test_an_answer_that_comes_late_before_the_clock_looked_is_late_and_told_all_the_same() -> None:
    rule()
    send((of("order.placed"), 0), (of("order.shipped"), 61))
    assert Promise.objects.get().state == "late"
    assert len(tell(62)) == 1
    assert Promise.objects.get().state == "late"


def test_one_answer_keeps_all_that_waited_for_it_and_a_type_may_answer_itself() -> None:
    rule()
    rule("beat", "beat")
    first, second = of("order.placed"), of("order.placed")
    send((first, 0), (second, 1), (of("order.shipped"), 2))
    assert states() == {first.id: "kept", second.id: "kept"}
    one, two = of("beat"), of("beat")
    dispatch_at((one, at(3)), (two, at(4)), now=at(4))
    assert {id: states()[id] for id in (one.id, two.id)} == {one.id: "kept", two.id: "open"}


def test_by_a_key_across_flows() -> None:
    rule(by="data.order")
    send(
        (of("order.placed", "F", order=1), 0),
        (of("order.placed", "G", order=2), 0),
        (of("order.placed", "H"), 0),
        (of("order.shipped", "OTHER", order=1), 5),
    )
    assert dict(Promise.objects.values_list("key", "state")) == {"1": "kept", "2": "open"}
    (said,) = tell(100)
    assert (said.flow_id, said.data["by"], said.data["key"]) == ("G", "data.order", "2")


def test_an_answer_that_was_read_before_its_beginning_counts_by_its_place_on_the_log() -> None:
    """Two partitions, of which one is read faster."""
    rule(by="data.order")
    before = of("order.shipped", "X", order=2)
    send((before, 1))
    answer = of("order.shipped", "X", order=1)
    dispatch_at((answer, at(11)), now=at(11))
    dispatch_at((of("order.placed", order=1), at(10)), (of("order.placed", order=2), at(10)), now=at(12))
    assert dict(Promise.objects.values_list("key", "state")) == {"1": "kept", "2": "open"}
    dispatch_at(
        (of("order.shipped", "X", order=3), at(21)), (of("order.placed", order=3), at(20)), now=at(22)
    )
    assert Promise.objects.get(key="3").state == "kept"


def test_read_again_all_is_as_it_was() -> None:
    rule()
    sent = [(of("order.placed", f"F{n}"), float(n)) for n in range(4)]
    sent += [(of("order.shipped", "F0"), 10), (of("order.shipped", "F1"), 70)]
    send(*sent)
    told = tell(90)
    before = list(Promise.objects.order_by("id").values())
    send(*sent, *((said, 91.0) for said in told))
    assert sorted(said.flow_id or "" for said in told) == ["F1", "F2", "F3"]
    assert list(Promise.objects.order_by("id").values()) == before
    assert tell(1000) == []


def test_replayed_events_neither_begin_nor_keep_a_promise() -> None:
    rule()
    again = event("order.placed", correlation_id="R", extensions={"ferrisreplay": "1"})
    answer = event("order.shipped", correlation_id="F", extensions={"ferrisreplay": "1"})
    send((again, 0), (of("order.placed"), 0), (answer, 1))
    assert list(Promise.objects.values_list("flow_id", "state")) == [("F", "open")]


def test_nothing_is_late_that_only_was_not_read_yet() -> None:
    rule()
    send((of("order.placed"), 0))
    promises_close(passed=at(30))
    assert Promise.objects.get().state == "open"
    send((of("order.shipped"), 40))
    assert tell(500) == []


def test_who_has_no_promises_pays_nothing() -> None:
    service("one", "a.happened")
    dispatch(event())
    with CaptureQueriesContext(connection) as without:
        dispatch(event())
    assert not [query for query in without.captured_queries if "executions_promise" in query["sql"]]
    rule()
    dispatch(event())
    with CaptureQueriesContext(connection) as unconcerned:
        dispatch(event())
    assert len(unconcerned) == len(without)


def test_a_batch_costs_no_query_per_event() -> None:
    rule()

    def cost(count: int) -> int:
        placed = [of("order.placed", f"{count}-{n}") for n in range(count)]
        shipped = [of("order.shipped", f"{count}-{n}") for n in range(count)]
        with CaptureQueriesContext(connection) as seen:
            dispatch(*placed)
            dispatch(*shipped)
        assert Promise.objects.filter(flow_id__startswith=f"{count}-", state="kept").count() == count
        return len(seen)

    cost(3)
    assert cost(40) == cost(5)


def test_the_scheduler_is_woken_when_something_is_due_sooner() -> None:
    rule(within=60)
    rule("job.begun", "job.ended", within=5)
    assert dispatched(of("order.placed")).wakes
    assert not dispatched(of("order.placed")).wakes, "it looks at the first anyway"
    assert dispatched(of("job.begun")).wakes


def test_two_routers_and_two_clocks_at_once() -> None:
    rule(within=2, by="data.n")
    placed = [of("order.placed", f"F{n}", n=n) for n in range(60)]
    shipped = [of("order.shipped", f"F{n}", n=n) for n in range(0, 60, 2)]
    told: list[str] = []

    def route(batch: list[Event], second: float) -> None:
        for start in range(0, len(batch), 5):
            dispatch_at(*((one, at(second)) for one in batch[start : start + 5]), now=at(second))

    def tick() -> None:
        for second in range(20):
            told.extend(said.id for said in tell(second / 10))

    at_once(lambda: route(placed, 0), lambda: route(shipped, 1), tick, tick)
    assert told == []
    assert len(tell(100)) == 30
    found = dict(Promise.objects.values_list("flow_id", "state"))
    assert found == {f"F{n}": "overdue" if n % 2 else "kept" for n in range(60)}


@pytest.mark.usefixtures("backends")
def test_over_the_roles_themselves_and_a_scheduler_that_dies_before_it_notes_what_it_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule(within=0.1)
    log = wiring.event_log()
    router, scheduler = Router(log, 64), Scheduler(log)
    try:
        append(EVENTS, event("order.placed", correlation_id="F"))
        router.turn()
        due = Promise.objects.get().due_at
        assert promises_next() == due
        with monkeypatch.context() as dying:
            dying.setattr("gateway.scheduler.promises_told", _die)
            dying.setattr(scheduler, "_wait", lambda now: 0.0)
            with pytest.raises(KeyboardInterrupt):
                _turn_on(scheduler)
        scheduler.close()
        scheduler = Scheduler(log)
        monkeypatch.setattr(scheduler, "_wait", lambda now: 0.0)
        scheduler.turn()
        router.turn()
    finally:
        router.close()
        scheduler.close()
    (told,) = EventRow.objects.filter(type=OVERDUE_EVENT)
    assert (told.flow_id, told.copies) == ("F", 1)
    assert promises_next() is None


def _turn_on(scheduler: Scheduler) -> None:
    while True:
        scheduler.turn()


def _die(promises: Any) -> None:
    raise KeyboardInterrupt
