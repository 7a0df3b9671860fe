"""Executions in the making: what is to run, for which event, and the rows of it with their numbers in their flows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ferris import events, lanes
from ferris.adapters.inserts import Inserts
from ferris.events import Event
from ferris.execution import execution_id
from ferris.intake import Intake
from ferris.limits import Limits
from ferris.precedence import FROM_SERVICE, OF_THE_RUN, Precedence
from ferris.routing import RoutingTable, Trigger
from ferris_web.catalog.models import Service
from ferris_web.executions.journal import event_of
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.models import Execution, Flow
from ferris_web.executions.services.admission import Slots, gates_make
from ferris_web.executions.services.turns import entry_of, turns_give

_EXECUTIONS = Inserts(Execution)
_FLOWS = Inserts(Flow, unique=("id",), update=("last_event_at",), add=("sequence",))


@dataclass(frozen=True)
class Listener:
    """What dispatch needs to know of a service. `intake`: how it thins, gathers or joins events, and `entries` finds
    the entries of its join that an event matches."""

    id: UUID
    name: str
    version_id: int
    priority: int
    runs: bool
    limits: Limits = field(default_factory=Limits)
    paused: bool = False
    slow: bool = False
    intake: Intake | None = None
    entries: RoutingTable | None = None
    project_id: int | None = None
    precedence: Precedence = field(default_factory=Precedence)

    def priority_of(self, event: Event, asked: int | None) -> tuple[int, str]:
        """The priority of an execution for this event, and where it comes from; `asked`: for this run alone."""
        if asked is not None:
            return asked, OF_THE_RUN
        rule = self.precedence.priority
        return (self.priority, FROM_SERVICE) if rule is None else rule.of(event, self.priority)


def listener_of(service: Service) -> Listener:
    """A service that has a version, as dispatch sees it."""
    intake = Intake.from_json(service.intake) if service.intake else None
    join = intake.join if intake else None
    entries = None
    if join is not None:
        named = enumerate(join.entries)
        entries = RoutingTable(
            Trigger(str(number), service.name, entry.event_type, entry.filter, cesql=entry.cesql)
            for number, entry in named
        )
    return Listener(
        service.id,
        service.name,
        service.version_id,
        service.priority,
        service.runs,
        Limits.from_json(service.limits),
        service.paused_at is not None,
        service.slow_since is not None,
        intake,
        entries,
        service.project_id,
        Precedence.from_json(service.precedence),
    )


@dataclass(frozen=True, slots=True)
class Run:
    """One execution to make. `first` names it: the event, or the first of those in its `gathering`."""

    listener: Listener
    first: UUID
    event: UUID
    trigger_type: str = "triggered"
    gathering: UUID | None = None
    priority: int | None = None

    @property
    def id(self) -> UUID:
        return execution_id(self.first, str(self.listener.id))


def events_of(keys: Iterable[UUID], known: Mapping[UUID, Event]) -> dict[UUID, Event]:
    """Those that are known, and for the others what the journal holds."""
    missing = set(keys) - known.keys()
    rows = EventRow.objects.filter(key__in=missing) if missing else ()
    return {**known, **{row.key: event_of(row) for row in rows}}


def execution_rows(
    runs: Sequence[Run],
    known: Mapping[UUID, Event],
    flows: Flows,
    now: datetime,
    room: Callable[[str], bool],
) -> list[Execution]:
    """A row for each run, not yet saved; `room` as in `events_dispatch`."""
    made = []
    for run in runs:
        target, event = run.listener, known[run.event]
        sequence = flows.next(event)
        # A time of its own for each row, so that lists by time keep the order of the log.
        moment = now + timedelta(microseconds=len(made))
        priority, priority_from = target.priority_of(event, run.priority)
        choice = lanes.choose(priority, run.trigger_type, slow=target.slow)
        row = Execution(
            id=run.id,
            service_id=target.id,
            version_id=target.version_id,
            event_id=run.event,
            flow_id=event.flow_id,
            sequence=sequence,
            correlation_id=events.correlation_id(event.flow_id or "", sequence),
            parent_id=as_uuid(event.causation_id),
            trigger_type=run.trigger_type,
            status="queued",
            lane=choice.lane,
            lane_reason=choice.reason,
            priority=priority,
            priority_from=priority_from,
            project_id=target.project_id,
            share_key=target.precedence.share_key(event),
            created_at=moment,
            gathering_id=run.gathering,
        )
        if not target.runs:
            row.status, row.finished_at, row.reason = "skipped", moment, "inactive"
            row.error = f"{target.name} was inactive or gone when the event arrived"
        elif target.limits or target.paused:
            row.status = "pending"
            if target.limits:
                row.slot, row.rate_key = target.limits.slot(event), target.limits.rate_key(event)
        elif room(row.lane):
            row.rung_at = moment
        made.append(row)
    return made


def executions_save(made: Sequence[Execution]) -> Slots:
    """Write new rows; those who wait to be admitted, by service."""
    waiting = [row for row in made if row.status == "pending" or (row.status == "queued" and not row.rung_at)]
    given = turns_give([entry_of(row) for row in waiting])
    for row in waiting:
        row.turn = given[row.pk]
    _EXECUTIONS.save(made)
    holds = {row.service_id for row in made if row.status == "pending"}
    if holds:
        gates_make(holds)
    held: Slots = {}
    for row in made:
        if row.status == "pending" and row.slot is not None:
            held.setdefault(row.service_id, set()).add(row.slot)
    return held


class Flows:
    """Sequence numbers within flows, taken in one statement per batch, which also enters the flows that are new.

    Events of one flow share a log key, so that one router at a time counts for it; but programs that write to
    the log themselves may leave the key out. Where several routers share a database, the statement locks the rows.
    """

    def __init__(self, known: Mapping[UUID, Event], runs: Sequence[Run], now: datetime) -> None:
        roots: dict[str, str] = {}
        for event in known.values():
            roots.setdefault(event.flow_id or "", event.type)
        taken = Counter(known[run.event].flow_id or "" for run in runs)
        rows = [
            Flow(id=flow, started_at=now, last_event_at=now, root_type=roots[flow], sequence=taken[flow])
            for flow in sorted(roots)
        ]
        last = _FLOWS.save(rows, returning=("id", "sequence"))
        self._next = {flow: sequence - taken[flow] for flow, sequence in last}

    def next(self, event: Event) -> int:
        flow = event.flow_id or ""
        self._next[flow] += 1
        return self._next[flow]


def as_uuid(text: Any) -> UUID | None:
    """The id in `text`, or None: what caused an event may be anything."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
