"""Reads of the catalog: for the router, the scheduler, screens and the API."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import IO, Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, Count, F, Func, Max, Prefetch, Q, QuerySet, Value

from ferris import routing
from ferris.adapters.prepared import Prepared
from ferris.config import PACKAGES_BUCKET
from ferris.errors import NotFound
from ferris.scopes import Scope
from ferris_web import wiring
from ferris_web.catalog import archive
from ferris_web.catalog.models import (
    EventSchema,
    EventType,
    OutputEvent,
    Project,
    PromiseRule,
    Repository,
    Revision,
    Schedule,
    Service,
    ServiceVersion,
    SyncRun,
    Trigger,
)

_REVISION = Prepared(lambda pks: Revision.objects.filter(pk__in=pks).order_by().values_list("number"))
_LONG: Final = frozenset({"description", "tags"})
_RUNS = Q(active=True, vanished_at=None, version__isnull=False)
_ITS_SERVICE_RUNS = Q(service__active=True, service__vanished_at=None, service__version__isnull=False)


# ------------------------------------------------------------------------------- for router and scheduler


def revision() -> int:
    """The catalog's revision: grows with every change of what events may trigger."""
    found = _REVISION.rows([1])
    return int(found[0][0]) if found else 0


def triggers_all(services: Collection[UUID] | None = None) -> list[routing.Trigger]:
    """The triggers of every service that runs, or of these of them, by service and position."""
    rows = Trigger.objects.filter(_ITS_SERVICE_RUNS).order_by("service__name", "position")
    if services is not None:
        rows = rows.filter(service__in=services)
    columns = rows.values_list("service_id", "service__name", "event_type", "filter", "cesql")
    return [
        routing.Trigger(service_id=str(pk), service=name, event_type=event_type, filter=filter, cesql=cesql)
        for pk, name, event_type, filter, cesql in columns.iterator(2000)
    ]


def services_marks() -> dict[UUID, tuple[object, ...]]:
    """What tells a change of a service that has a version, for each of them: all its short fields. One query."""
    names = [field.attname for field in Service._meta.concrete_fields if field.name not in _LONG]
    return {row[0]: row for row in services_versioned().order_by().values_list(*names)}


def services_versioned(services: Collection[UUID] | None = None) -> QuerySet[Service]:
    """Every service that has a version, or these of them: what an event may be addressed to, running or not."""
    versioned = Service.objects.filter(version__isnull=False)
    return versioned if services is None else versioned.filter(pk__in=services)


def promise_rules() -> dict[str, dict[str, Any]]:
    """Every promise that projects make now, by its id: the plain values of `ferris.promises.Promise`."""
    rows = PromiseRule.objects.filter(vanished_at=None).order_by("pk")
    return {str(pk): rule for pk, rule in rows.values_list("pk", "rule")}


def schedules_due(now: datetime) -> list[Schedule]:
    """Schedules of services that run whose time has come, the longest overdue first."""
    due = Schedule.objects.select_related("service").filter(
        _ITS_SERVICE_RUNS, active=True, next_due_at__lte=now
    )
    return list(due.order_by("next_due_at", "id"))


def schedules_next() -> datetime | None:
    """When the next schedule is due; None when none is waiting."""
    waiting = Schedule.objects.filter(_ITS_SERVICE_RUNS, active=True, next_due_at__isnull=False)
    return waiting.order_by("next_due_at").values_list("next_due_at", flat=True).first()


# ------------------------------------------------------------------------------------ for screens and API


def schedule_get(wanted: UUID) -> Schedule:
    """The schedule of that id, with its service; NotFound."""
    found = Schedule.objects.select_related("service").filter(pk=wanted).first()
    if found is None:
        raise NotFound(f"there is no schedule {wanted}")
    return found


def project_list() -> QuerySet[Project]:
    """Projects with `service_count` (of those not vanished) and `synced_at` (their latest sync)."""
    return Project.objects.annotate(
        service_count=Count("services", filter=Q(services__vanished_at=None), distinct=True),
        synced_at=Max("repositories__synced_at"),
    ).prefetch_related(Prefetch("repositories", Repository.objects.order_by("pk")))


def project_get(name: str) -> Project:
    """The project of that name; NotFound."""
    found = Project.objects.filter(name=name).first()
    if found is None:
        raise NotFound(f"there is no project {name!r}")
    return found


def owner_get(scope: str, name: str | None) -> Service | Project | None:
    """The service or the project of that name; None for the platform, which has none. NotFound."""
    if scope == Scope.PLATFORM:
        return None
    return project_get(name or "") if scope == Scope.PROJECT else service_get(name or "")


def sync_run_list(project: Project | None = None) -> QuerySet[SyncRun]:
    """Synchronisations, newest first."""
    runs = SyncRun.objects.select_related("repository__project", "actor")
    return runs if project is None else runs.filter(repository__project=project)


def sync_run_get(project: Project, pk: int) -> SyncRun:
    """One synchronisation of a project; NotFound."""
    found = sync_run_list(project).filter(pk=pk).first()
    if found is None:
        raise NotFound(f"project {project.name} has no synchronisation {pk}")
    return found


def services_shown(found: QuerySet[Service]) -> QuerySet[Service]:
    """The same services with what lists show of them, and without what is long."""
    return (
        found.select_related("project", "version", "repository")
        .defer("version__files", "version__parameters", "version__requirements", "version__readme")
        .prefetch_related("triggers")
    )


def service_filter(*, runs: bool) -> Q:
    """Services that events make run, or the others."""
    return _RUNS if runs else ~_RUNS


def tagged(tag: str) -> Q:
    """Services that carry a tag; the database looks, no row is read for it."""
    if connection.vendor == "postgresql":
        return Q(tags__contains=[tag])
    return Q(_Carries(F("tags"), Value(tag)))


class _Carries(Func):
    """SQLite: a list in JSON holds a text."""

    template = "EXISTS(SELECT 1 FROM json_each(%(expressions)s))"
    arg_joiner = ") WHERE value = ("
    output_field = BooleanField()


def service_get(name: str) -> Service:
    """The service of that name; NotFound."""
    found = Service.objects.select_related("project", "version", "repository").filter(name=name).first()
    if found is None:
        raise NotFound(f"there is no service {name!r}")
    return found


def service_by_name_or_id(name_or_id: str) -> Service:
    """The service of that id or name, as scripts may name one; NotFound."""
    found = Service.objects.select_related("project", "version").filter(_same_id(name_or_id)).first()
    return found or service_get(name_or_id)


def _same_id(text: str) -> Q:
    from uuid import UUID

    try:
        return Q(pk=UUID(text))
    except ValueError:
        return Q(pk__in=())


def tag_list(projects: Collection[int] | None = None) -> list[str]:
    """Every tag that a service of today, in these projects, carries."""
    found = Service.objects.filter(vanished_at=None)
    if projects is not None:
        found = found.filter(project__in=projects)
    # What services carry together is the same for many: few lists are left to be read.
    lists = found.order_by().values_list("tags", flat=True).distinct()
    return sorted({tag for tags in lists for tag in tags})


def version_file(version: ServiceVersion, path: str) -> bytes:
    """One file as it was in that version; NotFound."""
    with wiring.object_store().open(PACKAGES_BUCKET, package_key(version.digest)) as packed:
        content = archive.member(packed, path)
    if content is None:
        raise NotFound(f"{version} has no file {path!r}")
    return content


def version_files(version: ServiceVersion) -> dict[str, archive.SourceFile]:
    """All files as they were in that version."""
    with wiring.object_store().open(PACKAGES_BUCKET, package_key(version.digest)) as packed:
        return archive.unpack(packed)


def version_members(version: ServiceVersion) -> Iterator[tuple[str, IO[bytes], bool]]:
    """The same one after the other, as `archive.members` gives them, whatever they weigh together."""
    with wiring.object_store().open(PACKAGES_BUCKET, package_key(version.digest)) as packed:
        yield from archive.members(packed)


def package_key(digest: str) -> str:
    """The key of a version's archive in the bucket of packages."""
    return f"{digest}.tar.gz"


def event_type_list(*, query: str = "") -> QuerySet[EventType]:
    """Event types by name."""
    return EventType.objects.filter(name__icontains=query) if query else EventType.objects.all()


def event_type_get(name: str) -> EventType:
    """One event type; NotFound."""
    row = EventType.objects.filter(name=name.replace("\0", "")).first()
    if row is None:
        raise NotFound(f"no event of type {name!r} was seen")
    return row


def event_type_versions(row: EventType) -> list[EventSchema]:
    """The versions of its schema that are kept, newest first."""
    return list(EventSchema.objects.filter(event_type=row).order_by("-number"))


def event_type_declared(name: str, projects: Collection[int] | None = None) -> tuple[list[str], list[str]]:
    """In these projects, the services whose manifests say that they send it, and those that run and listen for it."""
    sends = OutputEvent.objects.filter(event_type=name).order_by("service__name")
    if projects is not None:
        sends = sends.filter(service__project__in=projects)
    listens = [
        service.name
        for service in event_type_listeners(name)
        if projects is None or service.project_id in projects
    ]
    return list(sends.values_list("service__name", flat=True)), listens


def event_type_listeners(name: str) -> list[Service]:
    """The services that run with a trigger for this type, exact or by pattern, whatever their filters say."""
    patterns = event_type_patterns(name)
    found = Service.objects.filter(_RUNS, triggers__event_type__in=patterns).select_related("project")
    return list(found.distinct().order_by("name"))


def event_type_patterns(name: str) -> list[str]:
    """Every way in which a trigger may name this event type: itself, '*', and 'prefix.*' for each prefix."""
    return [name, "*", *_prefixes(name)]


def _prefixes(name: str) -> Sequence[str]:
    parts = name.split(".")
    return [".".join(parts[:n]) + ".*" for n in range(1, len(parts))]


def schedule_list(*, service: Service | None = None, active: bool | None = None) -> QuerySet[Schedule]:
    """Schedules, the next due first."""
    found = Schedule.objects.select_related("service__project").order_by("-active", "next_due_at", "id")
    if service is not None:
        found = found.filter(service=service)
    return found if active is None else found.filter(active=active)


def schedules_to_come() -> QuerySet[Schedule]:
    """Schedules that will start something, the next first."""
    found = Schedule.objects.select_related("service__project").filter(
        _ITS_SERVICE_RUNS, active=True, next_due_at__isnull=False
    )
    return found.order_by("next_due_at", "id")
