"""Counts over time: rows in equal spans, counted by the database with no function call into Python per row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, F, Func, IntegerField, QuerySet, Value

HOUR: Final = timedelta(hours=1)
SPANS = tuple(
    timedelta(seconds=seconds)
    for seconds in (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400)
)


class Span(Func):
    """The number of the span in which a time lies: so many spans of that many seconds after 1970."""

    output_field = IntegerField()

    def as_sql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s) / {n})::bigint"
        return super().as_sql(compiler, connection, template=self._with(template), **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = "(CAST(strftime('%%%%s', %(expressions)s) AS INTEGER) / {n})"
        return super().as_sql(compiler, connection, template=self._with(template), **extra)

    def _with(self, template: str) -> str:
        return template.replace("{n}", str(int(self.extra["seconds"])))


@dataclass
class Bucket:
    """What lies in one span, by outcome."""

    start: datetime
    end: datetime
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self.counts.values())


def hour_of(moment: datetime) -> datetime:
    """The begin of its hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def span_for(since: datetime, until: datetime, most: int) -> timedelta:
    """The smallest span with which so much time takes at most `most` of them."""
    wanted = (until - since) / most
    return next((span for span in SPANS if span >= wanted), SPANS[-1] * -(-wanted // SPANS[-1]))


def empty(since: datetime, until: datetime, span: timedelta) -> dict[int, Bucket]:
    """The spans from the one with `since` to the one before `until`, by number, oldest first, with nothing in them."""
    seconds = int(span.total_seconds())
    first, last = (
        int(moment.timestamp()) // seconds for moment in (since, until - timedelta(microseconds=1))
    )
    starts = {n: datetime.fromtimestamp(n * seconds, since.tzinfo) for n in range(first, last + 1)}
    return {n: Bucket(start, start + span) for n, start in starts.items()}


def counted(
    rows: QuerySet[Any], time: str, since: datetime, until: datetime, span: timedelta, by: Any
) -> QuerySet[Any]:
    """The rows from `since` to `until`, counted by the number of their span and by the field or expression `by`."""
    rows = rows.filter(**{f"{time}__gte": since, f"{time}__lt": until}).order_by()
    key = F(by) if isinstance(by, str) else by
    numbered = rows.annotate(span_number=Span(F(time), seconds=int(span.total_seconds())), span_key=key)
    return numbered.values_list("span_number", "span_key").annotate(n=Count("pk"))


def fill(found: Mapping[int, Bucket], counts: Iterable[tuple[int, str, int]]) -> None:
    """Add what was counted to the spans; what lies in none of them is left out."""
    for number, value, amount in counts:
        if amount and (bucket := found.get(number)) is not None:
            bucket.counts[value] = bucket.counts.get(value, 0) + amount


def buckets(
    rows: QuerySet[Any],
    time: str,
    since: datetime,
    until: datetime,
    span: timedelta,
    by: str | None = None,
    values: Sequence[str] = (),
) -> list[Bucket]:
    """The rows from `since` to `until`, counted by span and by the field `by`, oldest first. One query.

    With `values`, which are all that the field can hold, an index on both fields answers alone.
    """
    if by is not None and values:
        rows = rows.filter(**{f"{by}__in": list(values)})
    found = empty(since, until, span)
    fill(found, counted(rows, time, since, until, span, by or Value("all")))
    return list(found.values())
