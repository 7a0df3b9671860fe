"""Replays: made, stopped, and fed to the log in bounded batches.

Progress is a place in the journal, moved by compare-and-set behind the append. Who dies between the two, or feeds
beside another, appends events that are on the log already: they have the same ids, and change nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from ferris import events, replaying
from ferris.config import EVENTS
from ferris.errors import Conflict, EventError, NotFound
from ferris.ports import Record
from ferris.replaying import Selection, SelectionError
from ferris.routing import RoutingTable
from ferris_web import wiring
from ferris_web.catalog.changes import notify
from ferris_web.catalog.models import Service
from ferris_web.catalog.selectors import triggers_all
from ferris_web.executions.backtesting import types_named
from ferris_web.executions.journal import event_of, journal_chunks
from ferris_web.executions.models import Replay

MOST_AT_ONCE: Final = 500
MOST_RATE: Final = 100_000
LEASE: Final = timedelta(seconds=20)
SETTLING: Final = timedelta(seconds=5)
"""So long the router's transactions may still be under way that began with an older catalog."""


def replay_draft(
    selection: Selection,
    *,
    service: Service | None,
    since: datetime,
    until: datetime,
    rate: float = 0,
    now: datetime,
) -> Replay:
    """A replay of the events taken in from `since` up to `until`, not begun: to be previewed, or begun.

    SelectionError names the field at fault; Conflict says why the service cannot be run. It never sends what comes
    after now.
    """
    selection.table()
    until = min(until, now)
    if since >= until:
        raise SelectionError("since", "expected a time before until, and in the past")
    if not 0 <= rate <= MOST_RATE:
        raise SelectionError("rate", f"expected 0 (as fast as possible) to {MOST_RATE:,} events per second")
    if service is not None and not service.runs:
        raise Conflict(f"{service.name} is inactive or gone: events do not make it run")
    return Replay(
        service=service,
        event_type=selection.event_type,
        filter=selection.filter,
        cesql=selection.cesql,
        flow_id=selection.flow_id,
        derived=selection.derived,
        since=since,
        until=until,
        rate=rate,
        created_at=now,
    )


def replay_begin(draft: Replay, *, actor: str, expected: int | None = None) -> Replay:
    """Begin it: from now on the gateway feeds it."""
    draft.created_by, draft.expected = actor, expected
    with transaction.atomic():
        draft.save(force_insert=True)
        notify("replays")
    return draft


@dataclass(frozen=True)
class Preview:
    """How many events a replay would send. `complete` is False when there was no time to look at all of them."""

    events: int
    flows: int
    read: int
    first: datetime | None
    last: datetime | None
    complete: bool
    samples: tuple[events.Event, ...]


def replay_preview(draft: Replay, *, most_seconds: float | None = None, samples: int = 5) -> Preview:
    """Count what it would send, from the oldest event on. Nothing is written."""
    wants = wanted_by(draft)
    begun, complete = time.monotonic(), True
    count = read = 0
    flows: set[str] = set()
    shown: list[events.Event] = []
    first = last = None
    for chunk in journal_chunks(draft.since, draft.until, types=condition_of(draft)):
        for row in chunk:
            read += 1
            event = event_of(row)
            if not wants(event):
                continue
            count += 1
            flows.add(row.flow_id)
            first, last = first or row.received_at, row.received_at
            if len(shown) < samples:
                shown.append(event)
        if most_seconds is not None and time.monotonic() - begun > most_seconds:
            complete = False
            break
    return Preview(count, len(flows), read, first, last, complete, tuple(shown))


def replays_from_the_start(now: datetime) -> int:
    """Begin the replays that new services asked for (`start_from`); how many. Each once, whoever does it."""
    begun = 0
    for service in Service.objects.filter(start_from__isnull=False):
        with transaction.atomic():
            since = service.start_from
            first = service.history.order_by("since").values_list("since", flat=True).first()
            if not Service.objects.filter(pk=service.pk, start_from=since).update(start_from=None):
                continue
            if since is None or since >= now or not service.runs:
                continue
            Replay.objects.create(
                service=service,
                derived=True,
                since=since,
                until=now,
                before_revision=first,
                created_by="start_from",
                created_at=now,
            )
            begun += 1
    return begun


def replay_get(wanted: UUID) -> Replay:
    """The replay of that id; NotFound."""
    found = Replay.objects.select_related("service").filter(pk=wanted).first()
    if found is None:
        raise NotFound(f"there is no replay {wanted}")
    return found


def replay_stop(replay: Replay, *, now: datetime) -> Replay:
    """Send no more; Conflict when it is not running. What is on the log already runs."""
    return _switch(replay, "running", "stopped", now)


def replay_resume(replay: Replay) -> Replay:
    """Go on from where it was stopped; Conflict when it was not."""
    return _switch(replay, "stopped", "running", None)


def _switch(replay: Replay, old: str, new: str, finished: datetime | None) -> Replay:
    with transaction.atomic():
        moved = Replay.objects.filter(pk=replay.pk, status=old).update(
            status=new, finished_at=finished, fed_by="", fed_until=None
        )
        if not moved:
            status = replay_get(replay.pk).status
            raise Conflict(f"the replay is {status}, not {old}")
        notify("replays")
    return replay_get(replay.pk)


# --- feeding -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fed:
    """What one batch came to."""

    read: int
    sent: int
    going_on: bool


def replays_claim(owner: str, now: datetime) -> list[Replay]:
    """The running replays that this gateway feeds: its own, and those that nobody feeds any more."""
    free = Q(fed_by=owner) | Q(fed_until=None) | Q(fed_until__lt=now)
    running = Replay.objects.filter(status="running")
    for pk in running.filter(free).values_list("pk", flat=True):
        running.filter(free, pk=pk).update(fed_by=owner, fed_until=now + LEASE)
    return list(running.filter(fed_by=owner).select_related("service").order_by("created_at", "id"))


def replays_release() -> None:
    """Let whoever asks first feed the running ones: those who did are known to be gone."""
    Replay.objects.filter(status="running").update(fed_by="", fed_until=None)


def replays_next_free() -> datetime | None:
    """When a replay that another gateway feeds is free, should it not be heard of."""
    return (
        Replay.objects.filter(status="running")
        .order_by("fed_until")
        .values_list("fed_until", flat=True)
        .first()
    )


def replay_feed(replay: Replay, at_most: int, now: datetime) -> Fed:
    """Append the next events to the log, at most so many, and move on behind them."""
    if replay.before_revision is not None and now < replay.until + SETTLING:
        return Fed(0, 0, True)
    place = (
        None if replay.place_at is None or replay.place_key is None else (replay.place_at, replay.place_key)
    )
    look = min(MOST_AT_ONCE, max(100, 4 * at_most))
    chunk = next(
        journal_chunks(
            replay.since,
            replay.until,
            types=condition_of(replay),
            after=place,
            at_once=look,
        ),
        [],
    )
    wants = wanted_by(replay)
    batch: list[Record] = []
    read = 0
    for row in chunk:
        if len(batch) >= at_most:
            break
        read += 1
        event = event_of(row)
        if not wants(event):
            continue
        again = replaying.replayed(
            event, replay.pk, row.flow_id, None if replay.service_id is None else str(replay.service_id)
        )
        try:
            batch.append(Record(events.encode(again), key=again.flow_id))
        except EventError:
            continue  # larger than the log takes with its new attributes; it is told by read and sent
    if batch:
        wiring.event_log().append(EVENTS, batch)
    done = read == len(chunk) and len(chunk) < look
    moved = Replay.objects.filter(
        pk=replay.pk, status="running", place_at=replay.place_at, place_key=replay.place_key
    ).update(
        read=F("read") + read,
        sent=F("sent") + len(batch),
        fed_until=now + LEASE,
        **({"place_at": chunk[read - 1].received_at, "place_key": chunk[read - 1].key} if read else {}),
        **({"status": "completed", "finished_at": now} if done else {}),
    )
    if moved and done:
        notify("replays")  # for who follows it
    return Fed(read, len(batch), bool(moved) and not done)


def selection_of(replay: Replay) -> Selection:
    """What it selects."""
    return Selection(
        event_type=replay.event_type,
        filter=replay.filter,
        cesql=replay.cesql,
        flow_id=replay.flow_id,
        derived=replay.derived,
    )


def condition_of(replay: Replay) -> Q | None:
    """What the database can tell of it."""
    found = types_named([replay.event_type])
    if replay.flow_id:
        flow = Q(flow_id__in={replay.flow_id, events.flow_of(replay.flow_id)})
        found = flow if found is None else found & flow
    if replay.before_revision is not None:
        older = Q(revision__lt=replay.before_revision)
        found = older if found is None else found & older
    return found


def wanted_by(replay: Replay) -> Callable[[events.Event], bool]:
    """True for events that the replay sends: selected, and matched today by the service it is for."""
    selection = selection_of(replay)
    table = selection.table()
    service = None if replay.service_id is None else RoutingTable(triggers_all([replay.service_id]), _ignored)

    def wanted(event: events.Event) -> bool:
        return selection.wants(event, table) and (service is None or bool(service.match(event)))

    return wanted


def _ignored(trigger: object, error: Exception) -> None:
    """The router leaves it out as well, and says so."""
