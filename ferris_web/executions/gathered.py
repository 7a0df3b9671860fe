"""Reads of gatherings: what is open, what came of each, and what was decided about one event in one service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from ferris import gathering, intake, joins
from ferris.errors import NotFound
from ferris.event_keys import key_of
from ferris.events import rfc3339
from ferris.intake import Join, rule_from
from ferris.joins import Member
from ferris.routing import type_matches
from ferris.triggers import TriggerSpec
from ferris_web.catalog.models import Service
from ferris_web.executions.journal import event_of
from ferris_web.executions.models import Event, Execution, GatheredEvent, Gathering

_HANDED = (*gathering.DECISIONS[:2], gathering.JOINED)
_WAITS = Q(
    gathering__state=gathering.OPEN, decision__in=(gathering.DEBOUNCED, gathering.BATCHED, gathering.HELD)
)


# --- what was decided ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of an event in a service that it triggered, other than a run of its own at once.

    `kind` is one of `gathering.DECISIONS`, or `unjoined`. `execution_id`: what it ran in, once that is there.
    `duplicate_of`: the event that ran in its stead. `until`: what is decided may change until then. `missing`: the
    event types that its join still waits for, or never got.
    """

    kind: str
    service_id: UUID
    gathering_id: UUID | None = None
    key: str = ""
    state: str = ""
    execution_id: UUID | None = None
    duplicate_of: Event | None = None
    until: datetime | None = None
    missing: tuple[str, ...] = ()
    detail: str = ""
    closed_by: str = ""

    def __str__(self) -> str:
        return _SAID[self.kind](self)


def decisions_of(event: UUID, services: Iterable[Service] | None = None) -> dict[UUID, Decision]:
    """By service, what was decided about an event there; services that it simply ran are not among them.

    With `services` only there, and also that a join of theirs passed it over because it has no key.
    """
    rows = GatheredEvent.objects.filter(event_id=event).select_related("gathering__first_event")
    asked = None if services is None else list(services)
    if asked is not None:
        rows = rows.filter(service__in=asked)
    kept = list(rows.defer("gathering__first_event__data", "gathering__first_event__extensions"))
    members = members_of(row.gathering_id for row in kept if row.gathering.kind == "join")
    found = {row.service_id: _decision(row, members.get(row.gathering_id, [])) for row in kept}
    joining = [one for one in asked or () if one.pk not in found and (one.intake or {}).get("join")]
    return {**_unjoined(event, joining), **found}


def _unjoined(event: UUID, services: Sequence[Service]) -> dict[UUID, Decision]:
    row = Event.objects.filter(pk=event).first() if services else None
    if row is None:
        return {}
    happened, found = event_of(row), {}
    for service in services:
        join = Join.from_json(service.intake["join"])
        if any(type_matches(one.event_type, row.type) for one in join.entries) and not key_of(
            happened, join.by
        ):
            found[service.pk] = Decision(gathering.UNJOINED, service.pk, detail=join.by)
    return found


def _decision(row: GatheredEvent, members: Sequence[Member]) -> Decision:
    box = row.gathering
    missing: tuple[str, ...] = ()
    if box.kind == "join":
        missing = tuple(
            part.entry.event_type
            for part in _parts(rule_from("join", box.rule), members, {})
            if not part.member
        )
    return Decision(
        kind=row.decision,
        service_id=row.service_id,
        gathering_id=box.id,
        key=box.key,
        state=box.state,
        execution_id=row.execution_id or box.execution_id,
        duplicate_of=box.first_event if row.decision == gathering.DUPLICATE else None,
        until=_until(row),
        missing=missing,
        detail=_detail(row),
        closed_by=box.closed_by,
    )


def _until(row: GatheredEvent) -> datetime | None:
    box = row.gathering
    if row.decision == gathering.HELD:
        ahead = GatheredEvent.objects.filter(gathering=box, decision=gathering.HELD, id__lt=row.id).count()
        return held_until(box, ahead)
    if row.decision == gathering.DUPLICATE:
        return box.until
    return box.due_at if box.state == gathering.OPEN and row.decision != gathering.DROPPED else None


def held_until(box: Gathering, ahead: int) -> datetime:
    """When a throttle lets an event through that has so many before it."""
    pen = gathering.Pen(
        "throttle", box.key, box.opened_at, box.first_event_id, box.last_event_id, passes=box.passes
    )
    return gathering.free_at(rule_from("throttle", box.rule), pen, ahead)


def _detail(row: GatheredEvent) -> str:
    rule = row.gathering.rule
    if row.gathering.kind == "throttle":
        return f"{rule['limit']} per {rule['per']:g} s"
    return str(rule.get("event", ""))


def _for_key(decision: Decision) -> str:
    return gettext(" for {key}").format(key=decision.key) if decision.key else ""


def _gathered(word: str, decision: Decision) -> str:
    if decision.execution_id:
        return gettext("{word} into {execution}").format(word=word, execution=decision.execution_id)
    return gettext("{word}{of}: runs at {time}, or when more has come").format(
        word=word, of=_for_key(decision), time=_time(decision.until)
    )


def _joined(decision: Decision) -> str:
    if decision.state == gathering.RAN:
        said = gettext("joined into {execution}").format(execution=decision.execution_id)
        if not decision.missing:
            return said
        early = gettext("{who} had it run without {missing}").format(
            who=decision.closed_by, missing=", ".join(decision.missing)
        )
        return f"{said}: {early}"
    if decision.state == gathering.MET:
        return gettext("joined: what was awaited came in time, so nothing ran")
    missing = ", ".join(decision.missing)
    if decision.state in (gathering.DUE, gathering.TOLD):
        return gettext("joined: {missing} did not come, {event} says so").format(
            missing=missing, event=decision.detail
        )
    if decision.state == gathering.OPEN:
        return gettext("joined{of}: waits for {missing} until {time}").format(
            of=_for_key(decision), missing=missing, time=_time(decision.until)
        )
    return gettext("joined: {missing} did not come in time, so nothing ran").format(missing=missing)


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC" if time else "once"


_SAID: dict[str, Any] = {
    gathering.DEBOUNCED: lambda d: _gathered(gettext("debounced"), d),
    gathering.BATCHED: lambda d: _gathered(gettext("batched"), d),
    gathering.DUPLICATE: lambda d: gettext("duplicate of {event}").format(
        event=d.duplicate_of.event_id if d.duplicate_of else "?"
    ),
    gathering.DROPPED: lambda d: gettext("throttled{of} ({rule}): dropped").format(
        of=_for_key(d), rule=d.detail
    ),
    gathering.HELD: lambda d: gettext("throttled{of} ({rule}): held until {time}").format(
        of=_for_key(d), rule=d.detail, time=_time(d.until)
    ),
    gathering.RELEASED: lambda d: gettext(
        "throttled{of} ({rule}): held, then let through as {execution}"
    ).format(of=_for_key(d), rule=d.detail, execution=d.execution_id),
    gathering.JOINED: _joined,
    gathering.EXPIRED: lambda d: gettext("joined: the rest did not come in time, so it counts no more"),
    gathering.DISCARDED: lambda d: gettext("left out: {who} discarded what it was gathered in").format(
        who=d.closed_by
    ),
    gathering.UNJOINED: lambda d: gettext("not joined: it has no {field}").format(field=d.detail),
}


# --- gatherings ------------------------------------------------------------------------------------


def gathering_list(
    *, service: str = "", kind: str = "", state: str = "", key: str = ""
) -> QuerySet[Gathering]:
    """Gatherings, with their service at hand."""
    found = Gathering.objects.select_related("service__project")
    for name, value in (("service__name", service), ("kind", kind), ("state", state), ("key", key)):
        if value:
            found = found.filter(**{name: value})
    return found


def gathering_get(wanted: UUID) -> Gathering:
    """The gathering of that id; NotFound."""
    found = Gathering.objects.select_related("service__project").filter(pk=wanted).first()
    if found is None:
        raise NotFound(f"there is no gathering {wanted}")
    return found


def gathering_members(box: Gathering) -> QuerySet[GatheredEvent]:
    """The events that it decided about, in their order, with the events at hand but for their data."""
    return (
        GatheredEvent.objects.filter(gathering=box)
        .select_related("event")
        .defer("event__data", "event__extensions")
        .order_by("id")
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One entry of a join: what it asks for, its name in the manifest, and the event that fills it, if one does."""

    name: str
    entry: TriggerSpec
    member: Member | None
    event: Event | None


def join_parts(box: Gathering) -> list[Part]:
    """What came of each entry of a join and what is missing; nothing for other kinds."""
    if box.kind != "join":
        return []
    members = members_of([box.id]).get(box.id, [])
    events = Event.objects.defer("data", "extensions").in_bulk([member.event for member in members])
    return _parts(rule_from("join", box.rule), members, events)


def _parts(rule: Join, members: Sequence[Member], events: dict[UUID, Event]) -> list[Part]:
    names = (
        ("after", "of")
        if rule.kind == intake.ABSENCE
        else [f"{rule.kind}[{n}]" for n in range(len(rule.entries))]
    )
    filled = joins.filled(rule, members)
    return [
        Part(name, entry, member, events.get(member.event) if member else None)
        for name, entry, member in zip(names, rule.entries, filled, strict=True)
    ]


def members_of(gatherings: Iterable[UUID]) -> dict[UUID, list[Member]]:
    """The events that count in these joins, in their order."""
    ids = list(gatherings)
    found: dict[UUID, list[Member]] = {}
    if ids:
        rows = GatheredEvent.objects.filter(gathering_id__in=ids, decision=gathering.JOINED).order_by("id")
        for pk, event, entries, time, at in rows.values_list(
            "gathering_id", "event_id", "entries", "event__time", "at"
        ):
            found.setdefault(pk, []).append(Member(event, entries, time, at))
    return found


def execution_of(box: Gathering) -> Execution | None:
    """What it became, if it did."""
    return Execution.objects.filter(pk=box.execution_id).first() if box.execution_id else None


# --- for claims and flows --------------------------------------------------------------------------


def events_handed(wanted: UUID) -> list[dict[str, Any]] | None:
    """The events that a gathering's execution is handed, in the order in which they came; None for a debounce that
    asks only for the last."""
    box = Gathering.objects.filter(pk=wanted).only("kind", "rule").first()
    if box is None or (box.kind == "debounce" and box.rule["events"] == intake.LAST):
        return None
    rows = GatheredEvent.objects.filter(gathering_id=wanted, decision__in=_HANDED).order_by("id")
    fields = ("event_id", "source", "type", "subject", "time", "flow_id", "data")
    return [
        {
            "id": pk,
            "source": source,
            "type": kind,
            "subject": subject or None,
            "time": rfc3339(time),
            "correlation_id": flow,
            "data": data,
        }
        for pk, source, kind, subject, time, flow, data in rows.values_list(
            *(f"event__{name}" for name in fields)
        )
    ]


def flow_gathers(flow_id: str) -> bool:
    """True when an event of the flow waits in a gathering that will run; a join may never be filled."""
    return GatheredEvent.objects.filter(_WAITS, event__flow_id=flow_id).exists()
