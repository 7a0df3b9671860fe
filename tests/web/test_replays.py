"""Replays on a real log and database: what is sent, in which order, once whatever dies between two lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ferris import events
from ferris.config import EVENTS
from ferris.errors import Conflict
from ferris.ports import LogRecord
from ferris.replaying import MARK, ORIGINAL_FLOW, Selection, SelectionError, flow_of
from ferris_web import wiring
from ferris_web.catalog.models import Service
from ferris_web.executions import selectors
from ferris_web.executions.models import Event, Execution, Flow, Replay
from ferris_web.executions.services import events_dispatch, replays
from gateway.catalog_view import CatalogView
from gateway.notices import Notices
from gateway.replayer import Replayer
from tests.web.folders import SourceFolder
from tests.web.platform import NOW, dispatch, event, service

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]

LATER = NOW + timedelta(hours=1)


def begin(target: Service | None = None, selection: Selection | None = None, **options: Any) -> Replay:
    draft = replays.replay_draft(
        selection or Selection(), service=target, since=NOW, until=LATER, now=LATER, **options
    )
    return replays.replay_begin(draft, actor="ana")


def sent() -> list[events.Event]:
    records = wiring.event_log().browse(EVENTS, partition=0, offset=None, limit=1000)
    found = [events.from_record(r.value, r.headers, now=NOW) for r in sorted(records, key=lambda r: r.offset)]
    return [one for one in found if MARK in one.extensions]


def route() -> None:
    """What the router does with the replayed events on the log."""
    batch = [(e, LogRecord(EVENTS, 0, n, e.flow_id, b"", {}, LATER)) for n, e in enumerate(sent())]
    events_dispatch(batch, CatalogView().current(), LATER)


def feed(replay: Replay, at_most: int = 500) -> None:
    while replays.replay_feed(replay, at_most, LATER).going_on:
        replay = replays.replay_get(replay.pk)


def test_to_all_that_listen_in_order_and_once() -> None:
    service("a", "order.*"), service("b", "order.placed")
    originals = [event("order.placed", {"n": n}, correlation_id=f"F{n % 3}") for n in range(30)]
    dispatch(*originals)
    replay = begin()
    feed(replay, at_most=7)
    assert [e.data["n"] for e in sent()] == list(range(30))
    assert {e.extensions[ORIGINAL_FLOW]: e.flow_id for e in sent()} == {
        f"F{n}": flow_of(replay.pk, f"F{n}") for n in range(3)
    }
    row = replays.replay_get(replay.pk)
    assert (row.status, row.read, row.sent) == ("completed", 30, 30)
    route()
    route()
    outcome = selectors.replay_outcome(row)
    assert (outcome.routed, outcome.executions) == (30, {"queued": 60})
    assert Flow.objects.count() == 6
    assert Execution.objects.count() == 120


def test_into_one_service_only_what_its_triggers_match() -> None:
    a = service("a", {"event_type": "order.*", "filter": {"data": {"n": [{"numeric": [">=", 3]}]}}})
    service("b", "*")
    dispatch(*(event("order.placed", {"n": n}) for n in range(5)), event("other"))
    replay = begin(a)
    feed(replay)
    assert [e.data["n"] for e in sent()] == [3, 4]
    route()
    assert set(
        Execution.objects.filter(event__replay_id=replay.pk).values_list("service__name", "status")
    ) == {("a", "queued")}


def test_a_batch_that_was_appended_but_not_noted_changes_nothing() -> None:
    a = service("a", "*")
    dispatch(*(event(data={"n": n}) for n in range(10)))
    replay = begin(a)
    stale = replays.replay_get(replay.pk)
    replays.replay_feed(replay, 4, LATER)
    # The gateway died between append and row; another one, which read the row before, feeds the same again.
    assert replays.replay_feed(stale, 6, LATER).going_on is False
    row = replays.replay_get(replay.pk)
    assert (row.read, row.sent) == (4, 4)
    feed(row)
    route()
    assert Execution.objects.filter(event__replay_id=replay.pk).count() == 10
    assert Event.objects.filter(replay_id=replay.pk).count() == 10
    assert replays.replay_get(replay.pk).sent == 10


def test_stop_and_go_on() -> None:
    service("a", "*")
    dispatch(*(event(data={"n": n}) for n in range(6)))
    replay = begin()
    replays.replay_feed(replay, 2, LATER)
    stopped = replays.replay_stop(replay, now=LATER)
    assert (stopped.status, stopped.sent) == ("stopped", 2)
    with pytest.raises(Conflict):
        replays.replay_stop(replay, now=LATER)
    assert replays.replays_claim("me", LATER) == []
    assert not replays.replay_feed(stopped, 2, LATER).going_on
    feed(replays.replay_resume(replay))
    assert {e.data["n"] for e in sent()} == set(range(6))
    assert replays.replay_get(replay.pk).sent == 6


def test_one_gateway_feeds_it_and_another_takes_over() -> None:
    service("a", "*")
    dispatch(event())
    begin()
    assert len(replays.replays_claim("one", LATER)) == 1
    assert replays.replays_claim("two", LATER) == []
    assert len(replays.replays_claim("two", LATER + replays.LEASE + timedelta(seconds=1))) == 1
    assert replays.replays_claim("one", LATER) == []


def test_what_cannot_be_replayed() -> None:
    off = service("off", "*", active=False)
    with pytest.raises(Conflict, match="inactive"):
        begin(off)
    for options, field in (({"rate": -1}, "rate"), ({"selection": Selection("a*")}, "event_type")):
        with pytest.raises(SelectionError) as caught:
            begin(**options)
        assert caught.value.name == field
    with pytest.raises(SelectionError):
        replays.replay_draft(Selection(), service=None, since=LATER, until=LATER, now=LATER)


def test_the_preview_counts_what_is_sent() -> None:
    a = service("a", "order.*")
    dispatch(*(event("order.placed", correlation_id=f"F{n % 2}") for n in range(5)), event("other"))
    draft = replays.replay_draft(Selection("order.*"), service=a, since=NOW, until=LATER, now=LATER)
    found = replays.replay_preview(draft)
    assert (found.events, found.flows, found.read, found.complete) == (5, 2, 5, True)
    assert len(found.samples) == 5
    assert not Replay.objects.exists()


def test_the_replayer_runs_it_to_its_end() -> None:
    service("a", "*")
    dispatch(*(event(data={"n": n}) for n in range(20)))
    fast, slow = begin(), begin(rate=400)
    replays.replays_claim("one that died", datetime.now(UTC))
    role = Replayer(wiring.event_log(), Notices(wiring.event_log()), alone=True)
    try:
        for _ in range(40):
            if not Replay.objects.filter(status="running").exists():
                break
            role.turn()
    finally:
        role.close()
    assert {replays.replay_get(r.pk).status for r in (fast, slow)} == {"completed"}
    assert len(sent()) == 40


def test_a_new_service_starts_from_a_past_time(source: SourceFolder) -> None:
    from ferris_web.catalog.repositories import repository_add
    from ferris_web.catalog.services import project_sync

    now = datetime.now(UTC)
    service("other", "order.*")
    dispatch(event("order.placed", {"n": 1}), event("else", {"n": 2}), now=now - timedelta(days=1))
    dispatch(event("order.placed", {"n": 0}), now=now - timedelta(days=9))
    source.service("late", {"trigger_events": ["order.*"], "start_from": "7d"})
    project = repository_add("p", str(source.root), now=now).project
    project_sync(project, now=now)
    # Routed after the sync, so by the triggers it has: not by the replay as well.
    dispatch(event("order.placed", {"n": 3}), now=now)
    assert replays.replays_from_the_start(now + timedelta(seconds=1)) == 1
    assert replays.replays_from_the_start(now + timedelta(seconds=1)) == 0
    replay = Replay.objects.get()
    assert replay.service is not None
    assert replay.service.name == "late"
    assert replays.replay_feed(replay, 500, replay.until).sent == 0, "routers may still be at it"
    replays.replay_feed(replay, 500, replay.until + replays.SETTLING)
    assert [e.data["n"] for e in sent()] == [1]
    project_sync(project, now=now)
    assert replays.replays_from_the_start(now + timedelta(seconds=9)) == 0
