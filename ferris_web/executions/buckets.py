"""Counts over time: rows in equal spans, counted by the database with no function call into Python per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, F, Func, IntegerField, QuerySet, Value

SPANS = tuple(
    timedelta(seconds=seconds)
    for seconds in (1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400)
)
Key = str | Case | None


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


def span_for(since: datetime, until: datetime, most: int) -> timedelta:
    """The smallest span with which so much time takes at most `most` of them."""
    wanted = (until - since) / most
    return next((span for span in SPANS if span >= wanted), SPANS[-1] * -(-wanted // SPANS[-1]))


def empty(since: datetime, until: datetime, span: timedelta) -> list[Bucket]:
    """The spans from the one with `since` to the one before `until`, oldest first, with nothing in them."""
    seconds = int(span.total_seconds())
    first, last = (
        int(moment.timestamp()) // seconds for moment in (since, until - timedelta(microseconds=1))
    )
    starts = [datetime.fromtimestamp(n * seconds, since.tzinfo) for n in range(first, last + 1)]
    return [Bucket(start, start + span) for start in starts]


def buckets(
    rows: QuerySet[Any],
    time: str,
    since: datetime,
    until: datetime,
    span: timedelta,
    by: Key = None,
    values: Sequence[str] = (),
) -> list[Bucket]:
    """The rows from `since` to `until`, counted by span and by the field or expression `by`, oldest first. One query.

    With `values`, which are all that the field can hold, an index on both fields answers alone.
    """
    seconds = int(span.total_seconds())
    found = {int(one.start.timestamp()) // seconds: one for one in empty(since, until, span)}
    rows = rows.filter(**{f"{time}__gte": since, f"{time}__lt": until}).order_by()
    if isinstance(by, str) and values:
        rows = rows.filter(**{f"{by}__in": list(values)})
    key = F(by) if isinstance(by, str) else by or Value("all")
    counted = rows.annotate(span_number=Span(F(time), seconds=seconds), span_key=key)
    for number, value, amount in counted.values_list("span_number", "span_key").annotate(n=Count("pk")):
        if number in found:
            found[number].counts[value] = amount
    return list(found.values())
