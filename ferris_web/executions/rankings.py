"""Which services come first in a period: those that ran most often, took longest, failed most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db.models import F

from ferris_web.catalog.models import Project
from ferris_web.executions.figures import Period
from ferris_web.executions.models import Standing
from ferris_web.executions.visibility import Projects

_ORDERS: Final = {"count": 1, "mean_ms": 0, "failed": 1}
"""By what, and what is the least that counts: an index each has the rows in this order."""
_PROJECTS_AT_ONCE: Final = 100
_READ: Final = ("service__name", "count", "completed", "failed", "mean_ms", "took_most_ms")


@dataclass(frozen=True)
class ServiceFigures:
    """How often a service ran in a period, how often it failed, and how long it took. Times in milliseconds."""

    name: str
    count: int
    completed: int
    failed: int
    average_ms: float | None
    most_ms: int

    @property
    def failed_part(self) -> float | None:
        """The part of those that ran to an end which failed; None when none did."""
        ran = self.completed + self.failed
        return self.failed / ran if ran else None


@dataclass(frozen=True)
class Rankings:
    """The first ones of each order."""

    frequent: list[ServiceFigures]
    slowest: list[ServiceFigures]
    """By the average of those that completed."""
    failing: list[ServiceFigures]
    """By the number of those that failed."""


def service_rankings(
    period: Period, most: int, *, projects: Projects | None = None, project: Project | None = None
) -> Rankings:
    """Of one project, of these projects, or (None) of all. A query and `most` rows for each order; of some projects,
    for each of them."""
    if project is not None:
        projects = frozenset((project.pk,))
    return Rankings(*(_first(by, period, most, projects) for by in _ORDERS))


def _first(by: str, period: Period, most: int, projects: Projects | None) -> list[ServiceFigures]:
    rows = Standing.objects.filter(period=period.name, **{f"{by}__gte": _ORDERS[by]})
    ordered, read = rows.order_by(F(by).desc(), "service_id"), (by, "service_id", *_READ)
    if projects is None:
        found = list(ordered.values_list(*read)[:most])
    else:
        every = sorted(projects)
        found = []
        for at in range(0, len(every), _PROJECTS_AT_ONCE):
            # With `project IN (…)` a database would sort all that they have.
            each = [
                rows.filter(pk__in=ordered.filter(project=one).values("pk")[:most])
                .order_by()
                .values_list(*read)
                for one in every[at : at + _PROJECTS_AT_ONCE]
            ]
            found += each[0].union(*each[1:], all=True)
        found.sort(key=lambda row: (-row[0], row[1]))
    return [ServiceFigures(*row[2:]) for row in found[:most]]
