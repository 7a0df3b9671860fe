"""What binds services: which event types each sends and waits for, as manifests declare it and as it was seen lately.

Reads what `services.bonds` has written: what a page shows, however many services there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, NamedTuple

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum

from ferris_web.catalog.models import Service
from ferris_web.executions.models import Binding, BindingsMark
from ferris_web.executions.visibility import Projects, within

SENDS: Final = Binding.Kind.SENDS.value
MOST, MOST_LINES = 240, 240
"""Services that are drawn, and bonds of theirs."""
NAMED: Final = 20
"""Services without a bond that are named."""
STATES: Final = {
    "both": Q(declared=True, seen__gt=0),
    "declared": Q(declared=True, seen=0),
    "seen": Q(declared=False),
}
"""Declared and seen, declared but not seen lately, seen but in no manifest."""
_SHOWN: Final = ("service__name", "kind", "event_type", "declared", "seen", "service__project__name")


class Bond(NamedTuple):
    """A service `sends` an event type, or the type `triggers` it. `seen`: how often among what was looked at."""

    service: str
    kind: str
    event_type: str
    declared: bool
    seen: int
    project: str = ""

    @property
    def state(self) -> str:
        """One of STATES."""
        return "both" if self.declared and self.seen else "declared" if self.declared else "seen"


def bindings(project: str = "", reach: Projects | None = None) -> QuerySet[Binding]:
    """Those of the services in `reach`; with `project` of its own, and of those that share an event type with them.

    A type that only services out of reach send or take is theirs to know: who waits for it by a pattern is bound to
    the pattern.
    """
    found = _visible(reach)
    if project:
        types = found.filter(service__project__name=project).values("event_type")
        found = found.filter(event_type__in=types)
    return found


def _visible(reach: Projects | None) -> QuerySet[Binding]:
    stands_in = Q(event_type=F("pattern"))
    if reach is None:  # no join: there may be tens of thousands
        return Binding.objects.exclude(stands_in).order_by()
    rows = within(Binding.objects.filter(service__vanished_at=None).order_by(), reach)
    known = rows.filter(Q(kind=SENDS) | Q(seen__gt=0), event_type=OuterRef("event_type"))
    fits = rows.filter(~stands_in, Exists(known), service=OuterRef("service"), pattern=OuterRef("pattern"))
    return rows.filter(
        Q(pattern="") | Q(~stands_in, Exists(known)) | Q(stands_in, ~Exists(fits)),
    )


def of_state(found: QuerySet[Binding], state: str) -> QuerySet[Binding]:
    """Those in that state; "": in any."""
    return found.filter(STATES[state]) if state else found


def bonds(found: QuerySet[Binding]) -> QuerySet[Binding, Any]:
    """What `Bond` is made of, by service."""
    return found.order_by("service__name", "kind", "event_type").values_list(*_SHOWN)


@dataclass(frozen=True)
class Overview:
    """How many bonds are in which state, and of how many services; the services that are drawn; how many have no bond,
    and the names of the first of these."""

    states: dict[str, int]
    services: int
    drawn: list[str]
    unbound: int
    some_unbound: list[str]


def overview(project: str = "", reach: Projects | None = None) -> Overview:
    """Of all services as it was kept when their bonds were written; else counted."""
    if not project and reach is None:
        kept = BindingsMark.objects.filter(pk=1).values_list("overview", flat=True).first()
        if kept:
            return Overview(**kept)
    return counted(project, reach)


def counted(project: str = "", reach: Projects | None = None) -> Overview:
    """The same, looked up now."""
    found = bindings(project, reach)
    states = {f"in_{name}": Count("pk", filter=state) for name, state in STATES.items()}
    sums = found.aggregate(of=Count("service", distinct=True), **states)
    without = _unbound(project, reach)
    return Overview(
        {name: sums[f"in_{name}"] for name in STATES},
        sums["of"],
        _busiest(found),
        without.count(),
        list(without.values_list("name", flat=True)[:NAMED]),
    )


def _busiest(found: QuerySet[Binding]) -> list[str]:
    """Those with most to do, as many as have so many bonds, but one always."""
    counted = found.values("service").annotate(lines=Count("pk"), busy=Count("pk") + Sum("seen"))
    rows = list(counted.order_by("-busy", "service").values_list("service", "lines")[:MOST])
    upto = accumulate(many for _, many in rows)
    return [
        str(pk)
        for n, ((pk, _), many) in enumerate(zip(rows, upto, strict=True))
        if not n or many <= MOST_LINES
    ]


def bound(found: QuerySet[Binding]) -> QuerySet[Service]:
    """The services that they bind, by name."""
    return Service.objects.filter(Exists(found.filter(service=OuterRef("pk")))).order_by("name")


def services(project: str = "", reach: Projects | None = None) -> QuerySet[Service]:
    """Those on the map: of the project, or of all in reach, and those that share an event type with them."""
    found = within(Service.objects.filter(vanished_at=None), reach)
    if project:
        near = bindings(project, reach).values("service")
        found = found.filter(Q(project__name=project) | Q(pk__in=near))
    return found


def _unbound(project: str = "", reach: Projects | None = None) -> QuerySet[Service]:
    """Those of them that nothing is bound to, by name."""
    found = within(Service.objects.filter(vanished_at=None), reach)
    if project:
        found = found.filter(project__name=project)
    return found.filter(~Exists(Binding.objects.filter(service=OuterRef("pk")))).order_by("name")
