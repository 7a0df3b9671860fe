"""What binds services: which event types each sends and waits for, as manifests declare it and as it was seen lately.

A fixed number of queries: declarations are read whole, what was seen from the latest executions and events.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from django.core.cache import cache
from django.db.models import OuterRef, Subquery

from ferris.routing import type_matches
from ferris_web.catalog.models import OutputEvent, Service, Trigger
from ferris_web.executions.models import Event, Execution
from ferris_web.executions.services.runs import as_uuid
from ferris_web.executions.visibility import Projects, within

SAMPLE = 5000  # latest executions that are looked at
SENT_SAMPLE = 900  # latest events that no service took
_SECONDS = 30
SENDS, TRIGGERS = "sends", "triggers"


class Bond(NamedTuple):
    """A service `sends` an event type, or the type `triggers` it. `seen`: how often among what was looked at."""

    service: str
    kind: str
    event_type: str
    declared: bool
    seen: int

    @property
    def state(self) -> str:
        """both, declared (not seen lately) or seen (in no manifest)."""
        return "both" if self.declared and self.seen else "declared" if self.declared else "seen"


@dataclass(frozen=True)
class SystemMap:
    """Services by name with their project, and what binds them. A pattern without a known type stands for itself."""

    projects: dict[str, str]
    bonds: list[Bond]


def system_map(project: str = "", reach: Projects | None = None) -> SystemMap:
    """The services that are there, of the projects in `reach`; with `project` its own, and those of others that share
    an event type with them."""
    services = within(Service.objects.filter(vanished_at=None), reach)
    projects = dict(services.order_by("name").values_list("name", "project__name"))
    there = {"service__vanished_at": None}
    waits = list(Trigger.objects.filter(**there).order_by().values_list("service__name", "event_type"))
    sends = set(OutputEvent.objects.filter(**there).order_by().values_list("service__name", "event_type"))
    sent, taken = _seen()
    # An event type that only services out of reach send or take is theirs to know.
    known = {kind for name, kind in [*sends, *sent, *taken] if name in projects}
    declared = {(name, SENDS, kind) for name, kind in sends}
    patterns = {pattern: _types(pattern, known) for _, pattern in waits}
    for name, pattern in waits:
        declared |= {(name, TRIGGERS, kind) for kind in patterns[pattern]}
    seen = {(name, SENDS, kind): count for (name, kind), count in sent.items()}
    seen |= {(name, TRIGGERS, kind): count for (name, kind), count in taken.items()}
    # What a service takes by `*` is bound to `*` alone: it would be bound to everything.
    all_takers = {name for name, pattern in waits if pattern == "*"}
    bonds = [
        Bond(*key, key in declared, seen.get(key, 0))
        for key in sorted(declared | seen.keys())
        if key[0] in projects and (key in declared or key[1] == SENDS or key[0] not in all_takers)
    ]
    if project:
        types = {bond.event_type for bond in bonds if projects[bond.service] == project}
        bonds = [bond for bond in bonds if bond.event_type in types]
        near = {bond.service for bond in bonds}
        projects = {name: of for name, of in projects.items() if of == project or name in near}
    return SystemMap(projects, bonds)


def lately(project: str, reach: Projects | None) -> SystemMap:
    """The same, at most half a minute old: every manifest and thousands of executions are looked at for it."""
    whose = "" if reach is None else f":{sorted(reach)}"
    key = hashlib.sha256(f"{project}{whose}".encode()).hexdigest()
    found = cache.get_or_set(f"map-{key}", lambda: system_map(project, reach), _SECONDS)
    assert found is not None
    return found


def _types(pattern: str, known: Iterable[str]) -> set[str]:
    if pattern == "*" or not pattern.endswith(".*"):
        return {pattern}
    return {kind for kind in known if type_matches(pattern, kind)} or {pattern}


def _seen() -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """(service, event type) of what was sent, and of what made a service run."""
    sender = Execution.objects.filter(pk=OuterRef("parent_id")).values("service__name")[:1]
    rows = (
        Execution.objects.order_by("-created_at", "-id")
        .annotate(sender=Subquery(sender))
        .values_list("service__name", "event__type", "sender", "trigger_type")[:SAMPLE]
    )
    sent, taken = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for name, kind, by, trigger in rows:
        if trigger == "triggered":
            taken[name, kind] += 1
            if by:
                sent[by, kind] += 1
    for name, kind in _sent_in_vain():
        sent[name, kind] += 1
    return sent, taken


def _sent_in_vain() -> Iterator[tuple[str, str]]:
    """Of executions' events that made nothing run."""
    latest = Event.objects.order_by("-received_at", "-key").values_list("type", "causation_id", "matched")
    found = [(kind, cause) for kind, cause, matched in latest[:SAMPLE] if cause and not matched][:SENT_SAMPLE]
    causes: dict[str, UUID | None] = {cause: as_uuid(cause) for _, cause in found}
    wanted = {cause for cause in causes.values() if cause is not None}
    names = dict(Execution.objects.filter(pk__in=wanted).values_list("id", "service__name")) if wanted else {}
    for kind, cause in found:
        name = names.get(causes[cause])
        if name:
            yield name, kind
