"""What went wrong, in groups of one kind: dead letters by reason and type, failed executions by service and error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from ferris.fingerprints import error_kind, fingerprint
from ferris_web.executions.models import DeadLetter, Execution, FailureKind
from ferris_web.executions.visibility import Projects, among, within

MOST_READ = 50_000
"""Failures that are looked at to find groups, the newest ones, of those that the roller has not sorted yet."""
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


def retries_of(pk: Any) -> QuerySet[Execution]:
    """The executions that are retries of that one."""
    return Execution.objects.filter(parent_id=pk, trigger_type="retried").order_by()


def _failed(group: FailureGroup) -> QuerySet[Execution]:
    found = Execution.objects.filter(~Exists(retries_of(OuterRef("pk"))), status="failed")
    if group.service:
        found = found.filter(service__name=group.service)
    if group.reason:
        found = found.filter(reason=group.reason)
    return _between(found, group)


def _between(rows: QuerySet[Execution], group: FailureGroup) -> QuerySet[Execution]:
    if group.since is not None:
        rows = rows.filter(created_at__gte=group.since)
    return rows if group.until is None else rows.filter(created_at__lt=group.until)


def failure_groups(
    wanted: FailureGroup,
    most_read: int = MOST_READ,
    most: int | None = None,
    projects: Projects | None = None,
) -> FailureGroups:
    """The groups among these failures, at most `most`: by service, reason, and what their errors have in common.

    What the roller has sorted is read by kind, and what has failed since row by row, the newest `most_read` of them.
    """
    fresh, rows, truncated = _fresh(wanted, most_read, projects)
    kinds = _kinds(wanted, projects)
    shown = kinds.order_by("-last", "pk")
    looks = [shown[:most]]
    if fresh and most is not None:  # what has failed since may be of kinds that are not shown
        looks.append(
            kinds.filter(kind__in={key[2] for key in fresh}, service__name__in={key[0] for key in fresh})
        )
    found = {row["pk"]: row for look in looks for row in _read(look, wanted, rows)}
    for row in found.values():
        if row["count"]:
            _merge(fresh, row)
    groups = sorted(fresh.values(), key=lambda one: (one.last_at, one.example), reverse=True)
    more = 0
    if most is not None and len(found) >= most:
        more = max(0, kinds.count() - most)
    return FailureGroups(groups[:most], truncated, max(more, len(groups) - (most or len(groups))))


_Groups = dict[tuple[str, str, str], Failures]


def _fresh(wanted: FailureGroup, most: int, projects: Projects | None) -> tuple[_Groups, list[UUID], bool]:
    """Groups of what is not sorted yet, its rows, and whether there are more."""
    # With the id in the order SQLite would walk along the index that has it: past all failures.
    rows = among(_failed(wanted), projects).filter(failure=None, retried=None).order_by("-created_at")
    found: _Groups = {}
    kinds: dict[str, tuple[str, str]] = {}
    values: list[Any] = list(
        rows.values_list("service__name", "reason", "error", "created_at", "id")[: most + 1]
    )
    values.sort(key=lambda row: row[3:], reverse=True)
    for name, reason, error, at, pk in values[:most]:
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
    return found, [row[4] for row in values[:most]], len(values) > most


def _kinds(wanted: FailureGroup, projects: Projects | None) -> QuerySet[FailureKind]:
    """Kinds that may have failures in that time, with `last`: when the latest of them was."""
    found = within(FailureKind.objects.filter(last_at__isnull=False), projects)
    if wanted.service:
        found = found.filter(service__name=wanted.service)
    if wanted.reason:
        found = found.filter(reason=wanted.reason)
    if wanted.kind:
        found = found.filter(kind=wanted.kind)
    if wanted.since is not None:
        found = found.filter(last_at__gte=wanted.since)
    if wanted.until is None:
        return found.annotate(last=F("last_at"))
    latest = _between(members(), wanted).order_by("-created_at", "-id").values("created_at")[:1]
    return found.annotate(last=Subquery(latest)).filter(last__isnull=False)


def members() -> QuerySet[Execution]:
    """Of each kind, the failed executions that are sorted into it."""
    return Execution.objects.filter(failure=OuterRef("pk"))


def _read(
    kinds: QuerySet[FailureKind], wanted: FailureGroup, without: list[UUID]
) -> Iterable[dict[str, Any]]:
    """What the kinds come to in that time, without these rows, that may have been sorted since they were read."""
    rows = _between(members(), wanted)
    if without:
        rows = rows.exclude(pk__in=without)
    newest, oldest = rows.order_by("-created_at", "-id"), rows.order_by("created_at", "id")
    counted = rows.order_by().values("failure").annotate(n=Count("pk")).values("n")
    return kinds.annotate(
        name=F("service__name"),
        count=Coalesce(Subquery(counted), 0),
        first_at=Subquery(oldest.values("created_at")[:1]),
        newest_at=Subquery(newest.values("created_at")[:1]),
        example=Subquery(newest.values("pk")[:1]),
    ).values("pk", "name", "reason", "kind", "error", "count", "first_at", "newest_at", "example")


def _merge(groups: _Groups, row: dict[str, Any]) -> None:
    key = (row["name"], row["reason"], row["kind"])
    group = groups.get(key)
    if group is None:
        groups[key] = Failures(
            *key, row["error"], row["count"], row["first_at"], row["newest_at"], row["example"]
        )
        return
    group.count += row["count"]
    group.first_at = min(group.first_at, row["first_at"])
    if row["newest_at"] > group.last_at:
        group.last_at, group.example = row["newest_at"], row["example"]
