"""What went wrong, in groups of one kind: dead letters by reason and type, failed executions by service and error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet

from ferris.fingerprints import error_kind, fingerprint
from ferris_web.executions.models import DeadLetter, Execution
from ferris_web.executions.visibility import Projects, within

MOST_READ = 50_000
"""Failures that are looked at to find groups, the newest ones."""
MOST_SHOWN = 200
"""Groups that are shown at most, the latest."""


# --- dead letters ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LetterGroup:
    """Which dead letters; what is left empty is not asked for. `event_type` None: any, "" those without one."""

    reason: str = ""
    topic: str = ""
    event_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Letters:
    """Dead letters of one reason, topic and event type. `waiting` of them were not sent on their way again."""

    reason: str
    topic: str
    event_type: str
    count: int
    waiting: int
    first_at: datetime
    last_at: datetime
    example: int


def letters(group: LetterGroup, projects: Projects | None = None) -> QuerySet[DeadLetter]:
    """The dead letters of a group, in these projects."""
    found = within(DeadLetter.objects.all(), projects)
    if group.reason:
        found = found.filter(reason=group.reason)
    if group.topic:
        found = found.filter(topic=group.topic)
    if group.event_type is not None:
        found = found.filter(event_type=group.event_type)
    if group.since is not None:
        found = found.filter(created_at__gte=group.since)
    return found if group.until is None else found.filter(created_at__lt=group.until)


def letter_groups(wanted: LetterGroup, most: int = 200, projects: Projects | None = None) -> list[Letters]:
    """The groups among these dead letters, the latest first."""
    rows = (
        letters(wanted, projects)
        .order_by()
        .values("reason", "topic", "event_type")
        .annotate(
            count=Count("id"),
            waiting=Count("id", filter=Q(redriven_at=None)),
            first_at=Min("created_at"),
            last_at=Max("created_at"),
            example=Max("id"),
        )
        .order_by("-last_at", "reason", "topic", "event_type")
    )
    return [Letters(**row) for row in rows[:most]]


# --- failed executions -------------------------------------------------------------------------------


@dataclass(frozen=True)
class FailureGroup:
    """Which failed executions; what is left empty is not asked for. `kind`: the fingerprint of their errors."""

    service: str = ""
    reason: str = ""
    kind: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass
class Failures:
    """Failed executions of one service, reason and kind of error that were not retried since."""

    service: str
    reason: str
    kind: str
    error: str
    count: int
    first_at: datetime
    last_at: datetime
    example: UUID


@dataclass(frozen=True)
class FailureGroups:
    """The groups, the latest first. `truncated`: there are more failures than were looked at. `more`: so many groups
    are not among them."""

    groups: list[Failures]
    truncated: bool
    more: int = 0


def executions(group: FailureGroup, after: str = "", projects: Projects | None = None) -> QuerySet[Execution]:
    """Failed executions of a service and reason that nobody retried, the oldest first, behind a place.

    Their kind is not asked for: it is made of the error, which the caller looks at.
    """
    found = within(_failed(group), projects)
    if after:
        moment, _, pk = after.partition(" ")
        at = datetime.fromisoformat(moment)
        found = found.filter(created_at__gte=at).exclude(created_at=at, pk__lte=UUID(pk))
    return found.select_related("service", "event").order_by("created_at", "id")


def place_of(row: Execution) -> str:
    """The place of a row for `executions`; ValueError comes of any other text."""
    return f"{row.created_at.isoformat()} {row.pk}"


def _failed(group: FailureGroup) -> QuerySet[Execution]:
    retried = Execution.objects.filter(parent_id=OuterRef("pk"), trigger_type="retried")
    found = Execution.objects.filter(~Exists(retried), status="failed")
    if group.service:
        found = found.filter(service__name=group.service)
    if group.reason:
        found = found.filter(reason=group.reason)
    if group.since is not None:
        found = found.filter(created_at__gte=group.since)
    return found if group.until is None else found.filter(created_at__lt=group.until)


def failure_groups(
    wanted: FailureGroup,
    most_read: int = MOST_READ,
    most: int | None = None,
    projects: Projects | None = None,
) -> FailureGroups:
    """The groups among the newest failures: by service, reason, and what their errors have in common. At most `most`
    of them."""
    rows = within(_failed(wanted), projects).order_by("-created_at", "-id").annotate(name=F("service__name"))
    found: dict[tuple[str, str, str], Failures] = {}
    read = 0
    kinds: dict[str, tuple[str, str]] = {}
    values: Iterable[Any] = rows.values_list("name", "reason", "error", "created_at", "id")[: most_read + 1]
    for name, reason, error, at, pk in values:
        read += 1
        if read > most_read:
            break
        known = kinds.get(error)
        if known is None:
            known = kinds[error] = (fingerprint(error), error_kind(error))
        kind, text = known
        if wanted.kind and kind != wanted.kind:
            continue
        group = found.get((name, reason, kind))
        if group is None:
            found[name, reason, kind] = Failures(name, reason, kind, text, 1, at, at, pk)
        else:
            group.count += 1
            group.first_at = at
    groups = list(found.values())[:most]
    return FailureGroups(groups, read > most_read, len(found) - len(groups))
