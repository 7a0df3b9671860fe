"""Whose turn it is among executions that wait: at a service's gate, or in a lane for its doorbell.

A row that begins to wait gets a `turn` once, see `ferris.precedence.turns`; from then on the order of those that wait
is that of an index. What is needed for it is read from the rows that wait: nothing else is kept, or can be forgotten.
Two gateways that make rows of one share at the same moment may give a turn twice; the share is then served twice in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Case, Count, Exists, OuterRef, QuerySet, Value, When

from ferris import precedence
from ferris_web.catalog.models import Project
from ferris_web.executions.models import Execution

_AT_ONCE = 100
_ID = Execution._meta.pk
_RUNNING = ("queued", "in_progress")


class Entry(NamedTuple):
    """An execution that begins to wait: in a lane, or (without one) at its service's gate."""

    id: UUID
    lane: str | None
    project: int | None
    service: UUID
    share_key: str
    priority: int

    @property
    def queue(self) -> tuple[Any, ...]:
        """Who it waits with, of equal priority."""
        whose = (self.lane, self.project) if self.lane else (None, self.service)
        return (*whose, self.priority)

    @property
    def share(self) -> tuple[Any, ...]:
        """Who of these shares its place in a turn."""
        return (self.lane, self.service, self.share_key, self.priority)


class _Next(NamedTuple):
    id: UUID
    created_at: Any


def entry_of(row: Execution) -> Entry:
    """How a row waits by its status."""
    lane = row.lane if row.status == "queued" else None
    return Entry(row.pk, lane, row.project_id, row.service_id, row.share_key, row.priority)


def turns_give(entering: Sequence[Entry], *, again: bool = False) -> dict[UUID, int]:
    """The turns of executions that are about to wait, in this order; one query for up to a hundred shares.

    `again`: they had their turn before (a further attempt), and need not wait behind the others of their share.
    """
    if not entering:
        return {}
    queues = list(dict.fromkeys(entry.queue for entry in entering))
    shares = [] if again else list(dict.fromkeys(entry.share for entry in entering))
    found = _asked([*map(_first, queues), *map(_last, shares)])
    first = {queue: turn for queue, turn in zip(queues, found, strict=False) if turn is not None}
    last = {share: turn for share, turn in zip(shares, found[len(queues) :], strict=True) if turn is not None}
    given = precedence.turns([(entry.queue, entry.share) for entry in entering], last, first)
    return {entry.id: turn for entry, turn in zip(entering, given, strict=True)}


def turns_before(rows: Iterable[Execution]) -> dict[UUID, int]:
    """For executions that wait, how many turns of those they wait with come before their own."""
    entries = {row.pk: (entry_of(row), row.turn) for row in rows}
    queues = list(dict.fromkeys(entry.queue for entry, _ in entries.values()))
    first = dict(zip(queues, _asked([_first(queue) for queue in queues]), strict=True))
    return {pk: max(0, turn - (first[entry.queue] or 0)) for pk, (entry, turn) in entries.items()}


def turn_written(given: dict[UUID, int]) -> Any:
    """What an UPDATE of these executions sets their `turn` to."""
    if len(set(given.values())) == 1:
        return next(iter(given.values()))
    return Case(*(When(pk=pk, then=Value(turn)) for pk, turn in given.items()))


def lane_next(lane: str, most: int) -> list[UUID]:
    """Of those that wait in a lane for their doorbells, the next `most`, in their order."""
    waiting = {project: rows for project in _projects(lane) if (rows := _of_project(lane, project, most))}
    if len(waiting) == 1:
        return [row.id for row in next(iter(waiting.values()))]
    return [row.id for row in precedence.share_out(waiting, _busy(lane), most)] if waiting else []


def _unrung(lane: str) -> QuerySet[Execution]:
    return Execution.objects.filter(status="queued", lane=lane, rung_at=None).order_by()


def _projects(lane: str) -> list[int | None]:
    """Projects of which something waits in the lane; None for rows of older archives, which name none."""
    some = _unrung(lane).filter(project=OuterRef("pk"))
    found: list[int | None] = list(
        Project.objects.filter(Exists(some)).order_by("pk").values_list("pk", flat=True)
    )
    return [*found, None]


def _of_project(lane: str, project: int | None, most: int) -> list[_Next]:
    ordered = _unrung(lane).filter(project=project).order_by("priority", "turn", "created_at", "id")
    return [_Next(*row) for row in ordered.values_list("id", "created_at")[:most]]


def _busy(lane: str) -> dict[int | None, int]:
    """By project, how many of the lane have been rung for, or run."""
    busy: dict[int | None, int] = defaultdict(int)
    rung = Execution.objects.filter(status="queued", lane=lane, rung_at__isnull=False)
    runs = Execution.objects.filter(status="in_progress", lane=lane)
    for found in (rung, runs):
        for project, count in found.order_by().values_list("project").annotate(n=Count("id")):
            busy[project] += count
    return busy


# --- the first and the last of those that wait, each one look into an index ------------------------------


def _first(queue: tuple[Any, ...]) -> tuple[str, list[Any]]:
    lane, whose, priority = queue
    if lane is None:
        return _look("status = 'pending' AND not_before IS NULL", "", service_id=whose, priority=priority)
    return _look("status = 'queued' AND rung_at IS NULL", "", lane=lane, project_id=whose, priority=priority)


def _last(share: tuple[Any, ...]) -> tuple[str, list[Any]]:
    lane, service, key, priority = share
    of = {"service_id": service, "share_key": key, "priority": priority}
    if lane is None:
        return _look("status = 'pending' AND not_before IS NULL", " DESC", **of)
    return _look("status = 'queued' AND rung_at IS NULL", " DESC", lane=lane, **of)


def _look(waits: str, order: str, **columns: Any) -> tuple[str, list[Any]]:
    said = [
        waits,
        *(f"{name} IS NULL" if value is None else f"{name} = %s" for name, value in columns.items()),
    ]
    sql = f"SELECT turn FROM executions_execution WHERE {' AND '.join(said)} ORDER BY turn{order} LIMIT 1"  # noqa: S608 - our own words
    return sql, [_adapted(value) for value in columns.values() if value is not None]


def _adapted(value: Any) -> Any:
    return _ID.get_db_prep_value(value, connection) if isinstance(value, UUID) else value


def _asked(looks: Sequence[tuple[str, list[Any]]]) -> list[int | None]:
    return [turn for some in _portions(looks) for turn in _turns(some)]


def _turns(looks: Sequence[tuple[str, list[Any]]]) -> list[int | None]:
    parts = [f"SELECT {number}, ({sql})" for number, (sql, _) in enumerate(looks)]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), [value for _, values in looks for value in values])
        return [turn for _, turn in sorted(cursor.fetchall())]


def _portions(looks: Sequence[tuple[str, list[Any]]]) -> Iterator[Sequence[tuple[str, list[Any]]]]:
    for start in range(0, len(looks), _AT_ONCE):
        yield looks[start : start + _AT_ONCE]
