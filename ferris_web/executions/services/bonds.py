"""Keeps what binds services to event types, for the system map: declarations are read whole, what was seen from the
latest executions and events. In the background: at 10,000 services that is half a second of computing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Subquery, UUIDField

from ferris.routing import type_matches
from ferris_web.catalog.models import OutputEvent, Trigger
from ferris_web.catalog.selectors import revision
from ferris_web.executions import system_map
from ferris_web.executions.models import Binding, BindingsMark, Event, Execution
from ferris_web.executions.services.runs import as_uuid

SAMPLE: Final = 5000  # latest executions that are looked at
SENT_SAMPLE: Final = 900  # latest events that no service took
AGAIN: Final = timedelta(seconds=45)
"""So old what was seen has to be to be looked at again, while something happens."""
SENDS, TRIGGERS = Binding.Kind.SENDS.value, Binding.Kind.TRIGGERS.value
_AT_ONCE: Final = 500


class _Key(NamedTuple):
    service: UUID
    kind: str
    event_type: str


class _Bond(NamedTuple):
    declared: bool
    seen: int
    pattern: str


def bonds_renew(now: datetime) -> bool:
    """Write what is different, if the catalog has changed or, some time after the last look, something has happened.

    Whether it looked and wrote: of two that do so at once, one writes.
    """
    mark, _ = BindingsMark.objects.get_or_create(pk=1)
    number = revision()
    if number == mark.revision and mark.at is not None and not _may_differ(mark.at, now):
        return False
    wanted = _bonds()
    known = {
        _Key(*row[:3]): (row[3], _Bond(*row[4:]))
        for row in Binding.objects.order_by().values_list(
            *("service_id", "kind", "event_type", "pk", "declared", "seen", "pattern")
        )
    }
    gone = [pk for key, (pk, _) in known.items() if key not in wanted]
    fresh = [
        Binding(service_id=key.service, kind=key.kind, event_type=key.event_type, **bond._asdict())
        for key, bond in wanted.items()
        if key not in known or known[key][1] != bond
    ]
    try:
        with transaction.atomic():
            ours = BindingsMark.objects.filter(pk=1, revision=mark.revision, at=mark.at)
            if not ours.update(revision=number, at=now):
                return False
            for at in range(0, len(gone), _AT_ONCE):
                Binding.objects.filter(pk__in=gone[at : at + _AT_ONCE]).delete()
            Binding.objects.bulk_create(
                fresh,
                batch_size=_AT_ONCE,
                update_conflicts=True,
                unique_fields=_Key._fields,
                update_fields=_Bond._fields,
            )
        # Behind the transaction: on SQLite nobody else writes during one.
        BindingsMark.objects.filter(pk=1).update(overview=asdict(system_map.counted()))
    except IntegrityError:  # a service was removed meanwhile: the mark stays, and all is looked at once more
        return False
    return True


def _may_differ(seen_at: datetime, now: datetime) -> bool:
    """Whether something has happened since; once more than it seems, since an event may be written late."""
    return now - seen_at >= AGAIN and Event.objects.filter(received_at__gte=seen_at - AGAIN).exists()


def _bonds() -> dict[_Key, _Bond]:
    there = {"service__vanished_at": None}
    waits = list(Trigger.objects.filter(**there).order_by().values_list("service_id", "event_type"))
    declared: dict[_Key, str] = {
        _Key(pk, SENDS, kind): ""
        for pk, kind in OutputEvent.objects.filter(**there).order_by().values_list("service_id", "event_type")
    }
    seen = _seen()
    types = {key.event_type for key in (*declared, *seen)}
    fitting = {pattern: _fitting(pattern, types) for _, pattern in waits if _prefix(pattern)}
    for pk, pattern in waits:
        declared[_Key(pk, TRIGGERS, pattern)] = pattern if fitting.get(pattern) else ""
    for pk, pattern in waits:
        for kind in fitting.get(pattern, ()):
            declared.setdefault(_Key(pk, TRIGGERS, kind), pattern)
    # What a service takes by `*` is bound to `*` alone: it would be bound to everything.
    all_takers = {pk for pk, pattern in waits if pattern == "*"}
    found = {key: _Bond(True, seen.get(key, 0), pattern) for key, pattern in declared.items()}
    for key, count in seen.items():
        if key not in found and (key.kind == SENDS or key.service not in all_takers):
            found[key] = _Bond(False, count, "")
    return found


def _prefix(pattern: str) -> bool:
    return pattern != "*" and pattern.endswith(".*")


def _fitting(pattern: str, types: Iterable[str]) -> list[str]:
    return [kind for kind in types if type_matches(pattern, kind)]


def _seen() -> Counter[_Key]:
    """How often which service, of those that are there, sent or took which type."""
    sender = Execution.objects.filter(pk=OuterRef("parent_id"), service__vanished_at=None)
    rows = (
        Execution.objects.order_by("-created_at", "-id")
        .annotate(sender=Subquery(sender.values("service_id")[:1], output_field=UUIDField()))
        .values_list("service_id", "service__vanished_at", "event__type", "sender", "trigger_type")[:SAMPLE]
    )
    found = Counter[_Key]()
    for service, vanished, kind, by, trigger in rows:
        if trigger != "triggered":
            continue
        if vanished is None:
            found[_Key(service, TRIGGERS, kind)] += 1
        if by:
            found[_Key(by, SENDS, kind)] += 1
    found.update(_Key(service, SENDS, kind) for service, kind in _sent_in_vain())
    return found


def _sent_in_vain() -> Iterator[tuple[UUID, str]]:
    """Of executions' events that made nothing run: who sent what."""
    latest = Event.objects.order_by("-received_at", "-key").values_list("type", "causation_id", "matched")
    found = [(kind, cause) for kind, cause, matched in latest[:SAMPLE] if cause and not matched][:SENT_SAMPLE]
    causes: dict[str, UUID | None] = {cause: as_uuid(cause) for _, cause in found}
    wanted = {cause for cause in causes.values() if cause is not None}
    there = Execution.objects.filter(pk__in=wanted, service__vanished_at=None)
    senders = dict(there.values_list("id", "service_id")) if wanted else {}
    for kind, cause in found:
        if service := senders.get(causes[cause]):
            yield service, kind
