"""Reads the event log, finds the services that each event triggers, writes their executions, rings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import IntegrityError, InterfaceError, OperationalError

from ferris import events
from ferris.adapters import log_lines
from ferris.config import CONTROL, EVENTS
from ferris.errors import EventError
from ferris.events import Event
from ferris.ports import EventLog, LogRecord, Record
from ferris_web.executions.selectors import executions_origin
from ferris_web.executions.services import Dispatched, changes_tell, events_dispatch
from ferris_web.executions.services.durability import Behind
from ferris_web.executions.services.runs import as_uuid
from gateway import metrics
from gateway.admission import admit
from gateway.catalog_view import CatalogView
from gateway.deadletter import Letter, put_aside
from gateway.doorbell import Room, ring, ring_waiting
from gateway.mapped import Maps
from gateway.notices import CHARTS, NOTICES, PUSHES, TIMED
from gateway.role import Reader
from gateway.strict_types import StrictTypes

log = logging.getLogger(__name__)


class Router(Reader):
    """Event row and executions in one transaction, then the doorbells, then the offset: replays change nothing.

    The transaction is durable before the offset moves, not before the doorbells ring: see `Behind`.
    """

    group = "ferris.router"
    topics = (EVENTS,)
    at_once = 500
    breath = 0.005

    def __init__(self, event_log: EventLog, hop_limit: int) -> None:
        super().__init__(event_log)
        self._hop_limit = hop_limit
        self._catalog = CatalogView()
        self._strict = StrictTypes()
        self._maps = Maps()
        self._room = Room()
        self._behind = Behind()

    def handle(self, records: list[LogRecord]) -> None:
        now = datetime.now(UTC)
        self._behind.begin()
        batch, letters = self._parse(records, now)
        done = self._dispatch(batch, letters, now)
        _count(batch, done)
        made = self._maps.made(batch, letters, self._catalog.revision)
        if made:
            self.log.append(EVENTS, [Record(events.encode(e), key=e.flow_id) for e in made])
        put_aside(self.log, letters)
        ring(done.doorbells)
        ring_waiting(done.waiting | admit(self.log, done.held))
        changes_tell(done.changes, done.events)
        told = ((done.wakes, TIMED), (done.pushes, PUSHES), (done.notices, NOTICES), (done.charts, CHARTS))
        if words := [Record(word) for wanted, word in told if wanted]:
            self.log.append(CONTROL, words)

    def settle(self) -> None:
        self._behind.settle()

    def _parse(
        self, records: list[LogRecord], now: datetime
    ) -> tuple[list[tuple[Event, LogRecord]], list[Letter]]:
        batch, letters = [], []
        for record in records:
            try:
                event = events.from_record(record.value, record.headers, now=now)
            except EventError as error:
                letters.append(Letter(record, "unreadable", str(error)))
                continue
            batch.append((event, record))
        return self._within_limit(adopt(batch), letters), letters

    def _within_limit(
        self, batch: list[tuple[Event, LogRecord]], letters: list[Letter]
    ) -> list[tuple[Event, LogRecord]]:
        kept = []
        for event, record in batch:
            if event.hops > self._hop_limit:
                letters.append(
                    _letter(event, record, "hop_limit", f"{event.hops} hops, the limit is {self._hop_limit}")
                )
            else:
                kept.append((event, record))
        return kept

    def _dispatch(
        self, batch: list[tuple[Event, LogRecord]], letters: list[Letter], now: datetime, again: bool = True
    ) -> Dispatched:
        if not batch:
            return Dispatched()
        table = self._catalog.current()
        batch = self._strict.fitting(batch, letters, table.revision)
        if not batch:
            return Dispatched()
        try:
            return events_dispatch(batch, table, now, self._room.take)
        except (OperationalError, InterfaceError):
            raise  # the database is away or busy: the whole turn is repeated
        except (DatabaseError, ValueError, TypeError) as error:
            if len(batch) == 1 and again and isinstance(error, IntegrityError):
                # Another gateway has just written the same: looked at once more, it is known.
                return self._dispatch(batch, letters, now, again=False)
            if len(batch) == 1:
                with log_lines.about(flow=batch[0][0].flow_id):
                    log.exception("event %s cannot be dispatched", batch[0][0].id)
                letters.append(_letter(*batch[0], "not_dispatched", f"{type(error).__name__}: {error}"))
                return Dispatched()
        # One of them is the culprit: each alone, so that the others go on.
        whole = Dispatched()
        for pair in batch:
            whole.add(self._dispatch([pair], letters, now))
        return whole


def _count(batch: list[tuple[Event, LogRecord]], done: Dispatched) -> None:
    metrics.EVENTS.inc(len(batch))
    metrics.EXECUTIONS.inc(len(done.changes))
    now = datetime.now(UTC)
    for _, record in batch:
        metrics.DISPATCH_SECONDS.observe(max(0.0, (now - record.timestamp).total_seconds()))


def adopt(batch: list[tuple[Event, LogRecord]]) -> list[tuple[Event, LogRecord]]:
    """Every event within a flow. Published clients write to the log themselves and leave only their parent's ids
    inside the data: such an event gets the flow of the execution that sent it, and counts one hop more."""
    orphans = {
        parent
        for event, _ in batch
        if "causationid" not in event.extensions and (parent := as_uuid(event.causation_id))
    }
    parents = executions_origin(orphans) if orphans else {}
    return [(_in_flow(event, parents), record) for event, record in batch]


def _in_flow(event: Event, parents: Mapping[UUID, tuple[str, int]]) -> Event:
    parent = as_uuid(event.causation_id)
    if parent not in parents or "causationid" in event.extensions:
        return events.with_flow(event)
    flow, hops = parents[parent]
    ours: dict[str, str | int | bool] = {
        "correlationid": flow,
        "causationid": str(parent),
        "ferrishops": hops + 1,
    }
    return replace(event, extensions={**event.extensions, **ours})


def _letter(event: Event, record: LogRecord, reason: str, detail: str) -> Letter:
    return Letter(record, reason, detail, event.type, event.id, event.flow_id or "")
