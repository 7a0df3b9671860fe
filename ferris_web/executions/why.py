"""Why an event made a service run, or not: one verdict for each service, computed and never stored.

What happened comes first (the execution, or what flow control did with the event); else the triggers that the
service had at the event's revision of the catalog tell, and beside it what they would say today.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from ferris.events import Event
from ferris.execution import execution_id
from ferris.verdicts import Kind, Reason, judge
from ferris_web.catalog import history
from ferris_web.catalog.history import Past
from ferris_web.catalog.models import Service
from ferris_web.catalog.selectors import event_type_patterns
from ferris_web.executions.gathered import decisions_of
from ferris_web.executions.journal import event_of
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.models import Execution
from ferris_web.executions.visibility import Projects, within
from ferris_web.executions.waiting import Waiting, executions_waiting

RAN, NEAR, REST = "ran", "near", "rest"
STAGES = (RAN, NEAR, REST)
"""The order in which services are told: those that ran, those that listen for the type, all others."""

Place = tuple[str, str]
"""Where a page begins: the stage, and the name (of `ran`: the sequence) behind which it does."""

Held = Callable[[EventRow, Sequence[Service]], Mapping[UUID, tuple[Reason, UUID | None]]]


def _gathered(row: EventRow, services: Sequence[Service]) -> Mapping[UUID, tuple[Reason, UUID | None]]:
    found = decisions_of(row.key, services)
    return {pk: (Reason(Kind(one.kind), str(one)), one.execution_id) for pk, one in found.items()}


HELD: tuple[Held, ...] = (_gathered,)
"""What else may have become of an event at a service, beside an execution of its own: a reason, and the execution
that it ran in, if there is one. Asked in this order, a page at a time."""


@dataclass(frozen=True)
class Verdict:
    """What became of an event at a service. `exact` is False when the catalog of that time is not known.

    `today` is what its triggers say now, None when it has none any more; `changed`: they were others then.
    """

    service: Service
    reason: Reason
    execution: Execution | None
    waiting: Waiting | None
    exact: bool
    today: Reason | None
    changed: bool

    @property
    def matches_today(self) -> bool:
        """True when the same event would make it run now."""
        return self.today is not None and self.today.kind is Kind.MATCHES


@dataclass(frozen=True)
class Page:
    """Verdicts in their order, and where the next page begins; None after the last."""

    verdicts: list[Verdict]
    following: Place | None


def verdict_of(row: EventRow, service: Service) -> Verdict:
    """The verdict on one service."""
    return verdicts_of(row, [service])[0]


def verdicts_of(row: EventRow, services: Sequence[Service]) -> list[Verdict]:
    """The verdicts on these services, in their order: a fixed number of queries for all of them."""
    event = event_of(row)
    ids = {execution_id(row.key, str(service.pk)): service.pk for service in services}
    runs = {ids[run.pk]: run for run in Execution.objects.filter(pk__in=list(ids))}
    held: dict[UUID, tuple[Reason, UUID | None]] = {}
    for ask in HELD:
        held = {**ask(row, services), **held}
    if held:
        within = Execution.objects.in_bulk([pk for _, pk in held.values() if pk is not None])
        runs = {pk: run for pk, run in runs.items() if pk not in held} | {
            pk: within[execution] for pk, (_, execution) in held.items() if execution in within
        }
    waiting = executions_waiting(runs.values())
    then = history.services_at(row.revision, services)
    now = history.services_now(services)
    return [
        _verdict(event, service, runs.get(pk), waiting, _reason(held.get(pk)), then.get(pk), now.get(pk))
        for service, pk in ((service, service.pk) for service in services)
    ]


def _reason(held: tuple[Reason, UUID | None] | None) -> Reason | None:
    return held[0] if held else None


def _verdict(
    event: Event,
    service: Service,
    run: Execution | None,
    waiting: Mapping[UUID, Waiting],
    held: Reason | None,
    then: Past | None,
    now: Past | None,
) -> Verdict:
    by_triggers = _judged(event, service, then)
    today = None if now is None else _judged(event, service, now)
    if held is not None:  # also of the first of several, after which their execution is named
        reason = replace(held, trigger=by_triggers.trigger)
    else:
        reason = _ran(run, by_triggers) if run is not None else by_triggers
    return Verdict(
        service=service,
        reason=reason,
        execution=run,
        waiting=waiting.get(run.pk) if run is not None else None,
        exact=run is not None or held is not None or then is None or then.exact,
        today=today,
        changed=_what(then) != _what(now),
    )


def _judged(event: Event, service: Service, past: Past | None) -> Reason:
    if past is None:
        return Reason(Kind.NOT_YET, f"{service.name} was not there yet when the event was routed")
    return judge(
        event, service.name, str(service.pk), past.triggers, active=past.active, vanished=past.vanished
    )


def _ran(run: Execution, by_triggers: Reason) -> Reason:
    if run.status == "skipped":
        return Reason(Kind.SKIPPED, run.error or run.reason, by_triggers.trigger)
    why = by_triggers.why if by_triggers.kind is Kind.MATCHES else "it was triggered"
    begun = run.status not in ("pending", "queued")
    return Reason(Kind.RAN if begun else Kind.WAITING, why, by_triggers.trigger)


def _what(past: Past | None) -> object:
    return None if past is None else (past.active, past.vanished, past.triggers)


# --- lists -------------------------------------------------------------------------------------------


def verdict_page(
    row: EventRow,
    *,
    query: str = "",
    stages: Sequence[str] = (RAN, NEAR),
    after: Place | None = None,
    limit: int = 50,
    projects: Projects | None = None,
) -> Page:
    """The verdicts on services, in these projects, whose name holds `query`, from a place on, stage by stage. Only
    they are computed."""
    found: list[Service] = []
    stage, behind = after or (stages[0], "")
    places: list[Place] = []
    for name in stages[stages.index(stage) :]:
        rows = _stage(row, name, query, behind if name == stage else "", projects)
        for service, place in rows(limit + 1 - len(found)):
            found.append(service)
            places.append((name, place))
        if len(found) > limit:
            break
    more = len(found) > limit
    return Page(verdicts_of(row, found[:limit]), places[limit - 1] if more else None)


def _stage(
    row: EventRow, stage: str, query: str, behind: str, projects: Projects | None
) -> Callable[[int], list[tuple[Service, str]]]:
    if stage == RAN:
        return lambda most: _those_that_ran(row, query, behind, most, projects)
    listening = history.listeners_at(row.revision, event_type_patterns(row.type)).order_by().values("pk")
    ran = Execution.objects.filter(event=row.pk, service=OuterRef("pk"))
    rows = within(Service.objects.exclude(Exists(ran)), projects)
    rows = rows.filter(pk__in=listening) if stage == NEAR else rows.exclude(pk__in=listening)
    if query:
        rows = rows.filter(name__icontains=query)
    if behind:
        rows = rows.filter(name__gt=behind)
    return lambda most: [(service, service.name) for service in _with_project(rows).order_by("name")[:most]]


def _those_that_ran(
    row: EventRow, query: str, behind: str, most: int, projects: Projects | None
) -> list[tuple[Service, str]]:
    runs = within(Execution.objects.filter(event=row.pk), projects)
    if query:
        runs = runs.filter(service__name__icontains=query)
    if behind:
        runs = runs.filter(sequence__gt=int(behind))
    order = list(runs.order_by("sequence").values_list("service_id", "sequence")[:most])
    services = _with_project(Service.objects.filter(pk__in=[pk for pk, _ in order])).in_bulk()
    return [(services[pk], str(sequence)) for pk, sequence in order]


def _with_project(rows: QuerySet[Service]) -> QuerySet[Service]:
    return rows.select_related("project").defer("description", "tags", "project__description")
