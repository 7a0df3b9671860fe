"""Executions that have ended are added up, each once: what dashboards show.

An execution's own row says whether it was counted, and is marked in the transaction that counts it. So nothing is
counted twice or forgotten, whoever dies and wherever an execution was ended; those from before there were roll-ups
are counted in the same way, the latest first.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from ferris import sketches
from ferris_web.executions.models import ROLLUPS_KEPT, Execution, Rollup
from ferris_web.executions.services.standings import Share, standings_add

AT_ONCE: Final = 300
"""A transaction is to be short: on SQLite nobody else writes meanwhile."""
_NAMESPACE: Final = UUID("6b3f6a52-4a0e-4b8e-9c55-1a4a7f8f2b11")
_READ = (
    *("id", "service_id", "service__project_id", "status", "trigger_type", "lane"),
    *("created_at", "started_at", "finished_at"),
)
SUMS = ("count", "started", "waited_ms", "waited_most_ms", "waits", "took_ms", "took_most_ms", "durations")
Key = tuple[str, datetime, int | None, UUID | None, str, str, str]


@dataclass
class Sum:
    """What some executions add up to."""

    count: int = 0
    started: int = 0
    waited_ms: int = 0
    waited_most_ms: int = 0
    waits: dict[str, int] = field(default_factory=dict)
    took_ms: int = 0
    took_most_ms: int = 0
    durations: dict[str, int] = field(default_factory=dict)

    def take(self, created_at: datetime, started_at: datetime | None, finished_at: datetime) -> None:
        """Count one."""
        self.count += 1
        if started_at is None:
            return
        waited, took = _ms(started_at - created_at), _ms(finished_at - started_at)
        self.started += 1
        self.waited_ms += waited
        self.waited_most_ms = max(self.waited_most_ms, waited)
        self.took_ms += took
        self.took_most_ms = max(self.took_most_ms, took)
        sketches.merge(self.waits, {sketches.bin_of(waited): 1})
        sketches.merge(self.durations, {sketches.bin_of(took): 1})

    def add_to(self, row: Rollup) -> None:
        """Add it to what the row has."""
        for name in ("count", "started", "waited_ms", "took_ms"):
            setattr(row, name, getattr(row, name) + getattr(self, name))
        row.waited_most_ms = max(row.waited_most_ms, self.waited_most_ms)
        row.took_most_ms = max(row.took_most_ms, self.took_most_ms)
        sketches.merge(row.waits, self.waits)
        sketches.merge(row.durations, self.durations)


def rollups_piece(now: datetime, most: int = AT_ONCE) -> int:
    """Count some executions that have ended and were not counted; how many. Less than `most`: there are no more.

    One transaction; of two that do so at once each takes others.
    """
    skips = bool(connection.features.has_select_for_update_skip_locked)
    with transaction.atomic():
        ended = Execution.objects.filter(counted=None, finished_at__isnull=False).order_by("-finished_at")
        mine = ended.select_for_update(of=("self",), skip_locked=skips).values_list(*_READ)[:most]
        sums: dict[Key, Sum] = {}
        found = []
        for pk, service, project, status, trigger, lane, created, started, finished in mine:
            found.append(pk)
            for key in rows_of(created, project, service, (status, trigger, lane)):
                sums.setdefault(key, Sum()).take(created, started, finished)
        if found:
            _add(sums)
            standings_add(_shares(sums), now)
            Execution.objects.filter(pk__in=found).update(counted=True)
    return len(found)


def rollups_prune(now: datetime, *, stopped: Callable[[], bool] = lambda: False) -> None:
    """Remove what is older than roll-ups are kept, some at a time."""
    for span, kept in ROLLUPS_KEPT.items():
        while not stopped():
            old = Rollup.objects.filter(span=span, start__lt=now - kept).order_by("start", "id")
            keys = list(old.values_list("pk", flat=True)[:AT_ONCE])
            if not keys:
                break
            Rollup.objects.filter(pk__in=keys).delete()


def rows_of(created: datetime, project: int, service: UUID, outcome: tuple[str, str, str]) -> Iterator[Key]:
    """The six rows that an execution counts in: of the hour and the day, of all, of its project, of its service."""
    hour = created.replace(minute=0, second=0, microsecond=0)
    for span, start in ((Rollup.Span.HOUR, hour), (Rollup.Span.DAY, hour.replace(hour=0))):
        yield span.value, start, None, None, *outcome
        yield span.value, start, project, None, *outcome
        yield span.value, start, project, service, *outcome


def _shares(sums: dict[Key, Sum]) -> Iterator[Share]:
    """What the services' own sums are to how they stand."""
    for (span, start, project, service, status, _, _), one in sums.items():
        if project is not None and service is not None:
            yield Share(span, start, project, service, status, one.count, one.took_ms, one.took_most_ms)


def _add(sums: dict[Key, Sum]) -> None:
    """In the order of ids, so that two who add at once wait for each other and not in a circle."""
    wanted = dict(sorted(((row_id(key), key) for key in sums), key=lambda pair: pair[0]))
    known = set(Rollup.objects.filter(pk__in=wanted).order_by().values_list("pk", flat=True))
    Rollup.objects.bulk_create(
        [_row(pk, key) for pk, key in wanted.items() if pk not in known], ignore_conflicts=True
    )
    rows = list(Rollup.objects.select_for_update().filter(pk__in=wanted).order_by("pk"))
    for row in rows:
        sums[wanted[row.pk]].add_to(row)
    Rollup.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=SUMS)


def _row(pk: UUID, key: Key) -> Rollup:
    span, start, project, service, status, trigger, lane = key
    return Rollup(
        id=pk,
        span=span,
        start=start,
        project_id=project,
        service_id=service,
        status=status,
        trigger_type=trigger,
        lane=lane,
    )


def row_id(key: Iterable[Any]) -> UUID:
    """The id of the roll-up of a key."""
    return uuid.uuid5(_NAMESPACE, "|".join(map(str, key)))


def _ms(length: timedelta) -> int:
    return max(0, round(length.total_seconds() * 1000))
