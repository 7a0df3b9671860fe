"""Joins as rows: filled, run, expired, told, whatever comes twice, late or in the wrong order."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from ferris import events
from ferris.config import EVENTS
from ferris.events import Event
from ferris.intake import Intake, Join
from ferris.triggers import TriggerSpec
from ferris.verdicts import Kind
from ferris_web import wiring
from ferris_web.executions import gathered
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.models import Execution, GatheredEvent, Gathering
from ferris_web.executions.services import execution_claim
from ferris_web.executions.services.gathering_due import absences_due, absences_told, gatherings_close
from ferris_web.executions.why import Verdict, verdict_of
from tests.web.platform import NOW, dispatch, dispatch_at, event, service

pytestmark = pytest.mark.django_db


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


def join(kind: str, *types: str, by: str = "data.order", event: str = "") -> Intake:
    return Intake(join=Join(kind, tuple(TriggerSpec(name) for name in types), 60, by, event))


def order(kind: str, number: int = 1, second: float = 0, **attributes: Any) -> Event:
    """An event of an order that says that it happened then."""
    made = events.new(kind, "/tests", {"order": number}, now=at(second), **attributes)
    return events.with_flow(made)


def decision(happened: Event) -> str:
    return str(next(iter(gathered.decisions_of(happened.key).values())))


def test_a_join_runs_when_all_came_and_is_handed_all_of_them():
    service("one", intake=join("all_of", "a.done", "b.done"))
    first, other, second = order("a.done"), order("a.done", 2), order("b.done")
    dispatch(first, other)
    box = Gathering.objects.get(key="1")
    assert [(part.name, part.event and part.event.event_id) for part in gathered.join_parts(box)] == [
        ("all_of[0]", first.id),
        ("all_of[1]", None),
    ]
    assert (box.state, box.due_at) == ("open", at(60))
    assert decision(first) == "joined for 1: waits for b.done until 2026-03-01 12:01:00 UTC"
    dispatch(second)
    row = Execution.objects.get()
    assert row.event_id == second.key
    assert [one["id"] for one in execution_claim(row.id, "w", NOW).params["events"]] == [first.id, second.id]
    assert decision(first) == decision(second) == f"joined into {row.id}"
    dispatch(first, second)
    dispatch(order("b.done"))
    assert Execution.objects.count() == 1, "what was used up does not count again"


def test_why_tells_of_all_of_it():
    one = service("one", intake=join("all_of", "a.done", "b.done"))
    first, second, keyless = order("a.done"), order("b.done"), event("a.done")
    dispatch(first, keyless)

    def verdict(happened: Event) -> Verdict:
        return verdict_of(EventRow.objects.get(pk=happened.key), one)

    assert verdict(first).reason.kind is Kind.JOINED
    assert verdict(first).reason.why.startswith("joined for 1: waits for b.done")
    assert verdict(keyless).reason.why == "not joined: it has no data.order"
    dispatch(second)
    row = Execution.objects.get()
    for happened in (first, second):
        assert verdict(happened).execution == row
        assert (verdict(happened).reason.kind, verdict(happened).reason.trigger) == (
            Kind.JOINED,
            happened.type,
        )


def test_by_correlation():
    service("one", intake=join("all_of", "a.done", "b.done", by="correlation"))
    dispatch(*(order(kind, correlation_id=flow) for kind in ("a.done", "b.done") for flow in ("F", "G")))
    assert sorted(Execution.objects.values_list("flow_id", flat=True)) == ["F", "G"]


def test_entries_have_filters():
    entries = (
        TriggerSpec("a.done", {"data": {"ok": [True]}}),
        TriggerSpec("a.done", {"data": {"ok": [False]}}),
    )
    service("one", intake=Intake(join=Join("all_of", entries, 60)))
    dispatch(*(event("a.done", {"ok": True}, correlation_id="F") for _ in range(2)))
    assert not Execution.objects.exists()
    dispatch(event("a.done", {"ok": False}, correlation_id="F"))
    assert Execution.objects.count() == 1


def test_what_is_not_complete_in_time_expires_and_says_what_was_missing():
    service("one", intake=join("all_of", "a.done", "b.done"))
    first = order("a.done")
    dispatch(first)
    gatherings_close(at(59), at(500))
    assert Gathering.objects.get().state == "open", "the router may still have to read the rest"
    gatherings_close(at(60), at(500))
    assert Gathering.objects.get().state == "expired"
    late = order("b.done")
    dispatch_at((late, at(60)))
    assert not Execution.objects.exists()
    assert decision(late).startswith("joined for 1: waits for a.done")


def test_a_sequence_goes_by_the_time_of_the_events_not_by_their_arrival():
    service("one", intake=join("sequence", "a", "b", "c"))
    dispatch(order("c", second=3), order("b", second=2))
    dispatch(order("a", second=1))
    assert Execution.objects.count() == 1
    dispatch(order("a", 2, second=5), order("b", 2, second=4), order("c", 2, second=6))
    assert Execution.objects.count() == 1
    box = Gathering.objects.get(key="2")
    assert [part.name for part in gathered.join_parts(box) if part.event is None] == [
        "sequence[1]",
        "sequence[2]",
    ]


# --- absence ---------------------------------------------------------------------------------------

ABSENCE = join("absence", "order.placed", "payment.received", event="order.unpaid")


def tell() -> list[Event]:
    """What the scheduler does with what did not come."""
    found = absences_due()
    absences_told([pk for pk, _ in found], NOW)
    return [said for _, said in found]


def test_what_does_not_come_is_told_by_an_event_and_the_service_runs_for_it():
    target = service("one", intake=ABSENCE)
    service("other", "order.unpaid")
    placed = order("order.placed", subject="order/1", causation_id="0" * 32)
    dispatch(placed)
    gatherings_close(at(60), at(60))
    assert not Execution.objects.exists()
    again = absences_due()
    (said,) = tell()
    assert [said] == [one for _, one in again], "told twice it is the same event"
    assert (said.type, said.source, said.flow_id, said.hops) == (
        "order.unpaid",
        "ferris/join/one",
        placed.flow_id,
        1,
    )
    assert said.data["after"]["id"] == placed.id
    assert (said.data["of"], said.data["key"], said.data["within"]) == ("payment.received", "1", 60)
    assert tell() == []
    dispatch(said, said)
    assert sorted(Execution.objects.values_list("service__name", flat=True)) == ["one", "other"]
    row = Execution.objects.get(service=target)
    assert execution_claim(row.id, "w", NOW).params["after"]["data"] == {"order": 1}
    assert decision(placed) == "joined: payment.received did not come, order.unpaid says so"


def test_what_comes_in_time_is_not_told():
    service("one", intake=ABSENCE)
    placed, paid = order("order.placed"), order("payment.received", second=1)
    dispatch(placed)
    dispatch_at((paid, at(59)))
    gatherings_close(at(1000), at(1000))
    assert tell() == []
    assert Gathering.objects.get().state == "met"
    assert decision(placed) == "joined: what was awaited came in time, so nothing ran"


def test_what_waits_for_a_router_that_is_behind_is_no_absence():
    service("one", intake=ABSENCE)
    dispatch(order("order.placed"))
    gatherings_close(passed=at(10), now=at(10_000))
    dispatch_at((order("payment.received", second=1), at(30)), now=at(10_001))
    gatherings_close(passed=at(10_001), now=at(10_001))
    assert tell() == []


def test_too_late_the_router_itself_finds_the_absence():
    service("one", intake=ABSENCE)
    dispatch(order("order.placed"))
    done = dispatch_at((order("payment.received", second=1), at(60)), now=at(61))
    assert done.wakes
    assert len(tell()) == 1


def test_outside_nobody_may_speak_for_a_join():
    from ferris.errors import EventError
    from ferris_web.executions.services import events_accept

    spoken = events.new("order.unpaid", "/tests", None, now=NOW, extensions={"ferrisjoin": "x"})
    with pytest.raises(EventError, match="ferrisjoin"):
        events_accept([spoken], now=NOW)


# --- restarts --------------------------------------------------------------------------------------


def test_whatever_slices_the_log_is_read_in_and_however_often():
    story = [
        order("a.done", 1), order("b.done", 2), order("a.done", 2, 1), order("a.done", 3), order("b.done", 1, 2),
        order("a.done", 1, 3), order("b.done", 3, 4), order("b.done", 4, 5), order("b.done", 1, 6),
    ]  # fmt: skip
    service("one", intake=join("all_of", "a.done", "b.done"))
    found = []
    for size in (1, 2, 4, len(story)):
        for start in range(0, len(story), size):
            for _ in range(2):
                dispatch(*story[max(0, start - 1) : start + size])
        found.append(
            (
                sorted(Execution.objects.values_list("id", flat=True)),
                sorted(Gathering.objects.values_list("id", "state", "size")),
                sorted(GatheredEvent.objects.values_list("event_id", "gathering_id", "decision")),
            )
        )
        for model in (GatheredEvent, Execution, Gathering, EventRow):
            model.objects.all().delete()
    assert len(found[0][0]) == 4
    assert all(one == found[0] for one in found)


def test_a_join_that_asks_for_something_else_begins_anew():
    target = service("one", intake=join("all_of", "a.done", "b.done"))
    dispatch(order("a.done"))
    target.intake = join("all_of", "a.done", "c.done").to_json()
    target.save()
    target.triggers.create(position=2, event_type="c.done")
    from ferris_web.catalog.changes import revision_bump

    revision_bump()
    dispatch(order("c.done"))
    assert not Execution.objects.exists()
    assert Gathering.objects.filter(state="open").count() == 2
    gatherings_close(at(60), at(60))
    assert set(Gathering.objects.values_list("state", flat=True)) == {"expired"}


@pytest.mark.django_db(transaction=True)
def test_the_scheduler_appends_what_did_not_come_once(backends):
    """A scheduler that died between event and row: the same event again, which runs nothing again."""
    from gateway.router import Router
    from gateway.scheduler import Scheduler

    service("one", intake=ABSENCE)
    log = wiring.event_log()
    router, scheduler = Router(log, 100), Scheduler(log)
    try:
        from ferris.ports import Record

        placed = order("order.placed")
        log.append(EVENTS, [Record(events.encode(placed), key=placed.flow_id)])
        router.turn()
        Gathering.objects.update(due_at=at(0))
        GatheredEvent.objects.update(at=at(-1000))
        for _ in range(2):
            scheduler.turn()  # a notice of the router's, or the record below, lets it return
            router.turn()
            log.append("ferris.control", [Record(b"{}")])
            Gathering.objects.update(state="due", due_at=at(0))
        assert Execution.objects.count() == 1
        assert EventRow.objects.filter(type="order.unpaid").values_list("copies", flat=True).get() == 1
    finally:
        router.close()
        scheduler.close()
