"""The services of a seeded platform: names, projects, triggers, schedules. Their package can really run."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from ferris import cron
from ferris_web import wiring
from ferris_web.catalog.archive import SourceFile
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.models import (
    EventType,
    OutputEvent,
    Project,
    Schedule,
    Service,
    ServiceVersion,
    Trigger,
)
from ferris_web.catalog.prepare import Prepared, prepare
from ferris_web.catalog.source import Folder

AREAS = (
    "orders",
    "billing",
    "stock",
    "shipping",
    "customers",
    "sensors",
    "claims",
    "pricing",
    "mail",
    "fraud",
)
NOUNS = ("invoice", "parcel", "reading", "order", "price", "account", "claim", "letter", "route", "refund")
VERBS = ("load", "check", "enrich", "send", "archive", "score", "match", "report", "clean", "split")
DONE = ("received", "changed", "checked", "sent", "refused", "due")
TAGS = ("daily", "critical", "finance", "etl", "customer", "internal", "beta", "legacy")
SCRIPT = b"""from ferris_ef import context

context.logging.info(f"{context.package.name} has run")
"""
_AT_ONCE = 500
_SMALL = 5  # services of the small project
Progress = Callable[[str, int, int], None]


def fill(count: int, chance: random.Random, now: datetime, progress: Progress) -> list[Service]:
    """So many services, in a project for every 250 of them; the first are to be the busiest. The last few, which
    run rarely, are a small project of their own: who sees only that must not wait for all the others."""
    projects = [
        Project.objects.create(name=f"{AREAS[n % len(AREAS)]}-{n + 1:02d}", description="Seeded.")
        for n in range(max(1, count // 250))
    ]
    small = Project.objects.create(name="small", description="Seeded.")
    item = prepare(Folder("seeded", {"run.py": SourceFile(SCRIPT)}), wiring.object_store())
    if item is None:
        raise AssertionError("the seeded package is refused")
    made: list[Service] = []
    for at in range(0, count, _AT_ONCE):
        batch = [
            _service(n, small if n >= count - _SMALL else projects[n % len(projects)], chance)
            for n in range(at, min(count, at + _AT_ONCE))
        ]
        with transaction.atomic():
            Service.objects.bulk_create(batch)
            _versions(batch, item)
            _links(batch, at, chance)
        made += batch
        progress("services", len(made), count)
    _schedules(made, now)
    with transaction.atomic():
        revision_bump()
    return made


def event_type(n: int) -> str:
    """What triggers the n-th service: some types trigger several."""
    area, noun, done = AREAS[n % 10], NOUNS[n // 10 % 10], DONE[n // 100 % 6]
    return f"{area}.{noun}.{done}" if n < 600 else f"{area}.{noun}_{n // 1200}.{done}"


def _service(n: int, project: Project, chance: random.Random) -> Service:
    area, noun, verb = AREAS[n % 10], NOUNS[n // 10 % 10], VERBS[n // 100 % 10]
    return Service(
        id=UUID(int=chance.getrandbits(128), version=4),
        project=project,
        name=f"{area}_{noun}_{verb}" if n < 1000 else f"{area}_{noun}_{verb}_{n // 1000}",
        description=f"{verb.capitalize()}s each {noun} of {area}.",
        tags=chance.sample(TAGS, chance.choice((0, 0, 1, 1, 2))),
        active=chance.random() > 0.03,
        priority=chance.choice((2, 5, 5, 5, 5, 5, 9)),
    )


def _versions(batch: list[Service], item: Prepared) -> None:
    versions = ServiceVersion.objects.bulk_create(
        ServiceVersion(
            service=service, number=1, digest=item.digest, manifest=item.manifest_json, files=list(item.files)
        )
        for service in batch
    )
    for service, version in zip(batch, versions, strict=True):
        service.version = version
    Service.objects.bulk_update(batch, ["version"], batch_size=_AT_ONCE)


def _links(batch: list[Service], at: int, chance: random.Random) -> None:
    """Triggers, and the types that they send: those that later services listen to."""
    numbered = list(enumerate(batch, start=at))
    sends = {n: event_type(n + chance.choice((1, 7, 110))) for n, _ in numbered}
    Trigger.objects.bulk_create(Trigger(service=one, event_type=event_type(n)) for n, one in numbered)
    OutputEvent.objects.bulk_create(OutputEvent(service=one, event_type=sends[n]) for n, one in numbered)
    names = {event_type(n) for n, _ in numbered} | set(sends.values())
    EventType.objects.bulk_create((EventType(name=name) for name in sorted(names)), ignore_conflicts=True)


def _schedules(made: list[Service], now: datetime) -> None:
    """Each twentieth service runs once a day."""
    rows = []
    for n, service in enumerate(made[19::20]):
        when = f"{n % 60} {n // 60 % 24} * * *"
        rows.append(
            Schedule(
                service=service,
                origin=Schedule.Origin.PERSON,
                cron=when,
                next_due_at=cron.next_after(when, "UTC", now + timedelta(minutes=1)),
            )
        )
    Schedule.objects.bulk_create(rows, batch_size=_AT_ONCE)
