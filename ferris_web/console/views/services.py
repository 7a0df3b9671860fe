"""Services: the list, and one service from several sides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext

from ferris import cron
from ferris.errors import BackendError, FerrisError, NotFound
from ferris.routing import ANY, type_matches
from ferris.scopes import given
from ferris_web import wiring
from ferris_web.accounts.permissions import Action, access_of, reach
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.configs import configs_of
from ferris_web.catalog.differences import versions_compared
from ferris_web.catalog.models import OutputEvent, Schedule, Secret, Service, ServiceVersion, Trigger
from ferris_web.catalog.secret_uses import with_uses
from ferris_web.catalog.secrets import secrets_visible
from ferris_web.console import charts, filterbar, presentation
from ferris_web.console.paging import page
from ferris_web.console.views import lists
from ferris_web.executions import overview as figures
from ferris_web.executions.listings import SERVICES
from ferris_web.executions.models import Execution
from ferris_web.executions.services.charts import charts_fed
from ferris_web.executions.visibility import Projects, within
from ferris_web.files import file_response

_WEEK = timedelta(days=7)
_BINARY_SAMPLE = 4096
PEERS = 200  # links shown at most


def service_list(request: HttpRequest) -> HttpResponse:
    """Every service, found by name, project, tag and state."""
    bar = filterbar.bar(SERVICES, request, timezone.now(), ("query", "project", "tag", "runs"))
    found = catalog.services_shown(lists.found(request, SERVICES, bar.asked))
    shown = page(found, request.GET, order=("name",))
    latest = figures.latest_of(shown.rows)
    context = {
        "no_role": not access_of(request.user).may_somewhere(Action.VIEW),
        "bar": bar,
        "page": shown,
        "rows": [(service, latest.get(service.pk)) for service in shown],
    }
    return render(request, "console/services.html", context)


def overview(request: HttpRequest, name: str) -> HttpResponse:
    """What the service is, what makes it run, what it makes run, how it fared."""
    service = catalog.service_get(name)
    now = timezone.now()
    recent = Execution.objects.filter(service=service).order_by("-created_at", "-id").defer("progress")
    recent = list(recent[: charts.RUNS])
    triggers = list(service.triggers.all())
    outputs = list(service.output_events.all())
    projects = reach(request.user)
    before, after = figures.service_peers(service, now - _WEEK, projects)
    schedules = list(catalog.schedule_list(service=service, active=True)[:10])
    context = {
        "service": service,
        "tab": "overview",
        "triggers": _with_senders(triggers, before, projects),
        "outputs": _with_listeners(outputs, after, projects),
        "caused_by": before,
        "causes": after,
        "schedules": [(schedule, next_times(schedule, now, 10)) for schedule in schedules],
        "recent": recent[:8],
        "history": charts.runs(recent),
        "counts": figures.status_counts(now - _WEEK, service),
        "average": figures.duration_average(service, now - _WEEK),
    }
    return render(request, "console/service.html", context)


@dataclass(frozen=True)
class Link:
    """One trigger or output with the services at its other end, and whether they were seen to take part lately."""

    entry: Trigger | OutputEvent
    peers: list[tuple[str, bool]]


def _with_senders(triggers: list[Trigger], seen: list[str], projects: Projects | None) -> list[Link]:
    """Each trigger with the services whose manifests declare to send such an event."""
    wanted = Q(pk__in=())
    for trigger in triggers:
        kind = trigger.event_type
        if kind.endswith("*"):
            wanted |= Q(event_type__startswith=kind[:-1]) if kind != "*" else Q(pk__in=())
        else:
            wanted |= Q(event_type=kind)
    found = within(OutputEvent.objects.filter(wanted), projects)
    pairs = found.values_list("event_type", "service__name")[:PEERS]
    return [Link(t, _marked({s for kind, s in pairs if _covers(t.event_type, kind)}, seen)) for t in triggers]


def _with_listeners(outputs: list[OutputEvent], seen: list[str], projects: Projects | None) -> list[Link]:
    """Each declared output with the services that have a trigger for it."""
    patterns = {pattern for o in outputs for pattern in catalog.event_type_patterns(o.event_type)} - {"*"}
    found = within(Trigger.objects.filter(event_type__in=patterns), projects)
    pairs = found.values_list("event_type", "service__name")[:PEERS]
    return [Link(o, _marked({s for kind, s in pairs if _covers(kind, o.event_type)}, seen)) for o in outputs]


def _marked(names: set[str], seen: list[str]) -> list[tuple[str, bool]]:
    return [(name, name in seen) for name in sorted(names)]


def _covers(pattern: str, event_type: str) -> bool:
    """True when a trigger's type pattern names this event type, or types like it: `*` is about none of them."""
    return pattern != ANY and type_matches(pattern, event_type)


def next_times(schedule: Schedule, now: datetime, count: int = 5) -> list[datetime]:
    """The next times of a schedule, in its own zone; fewer when there are none or it is wrong."""
    if schedule.once or not schedule.next_due_at:
        return [schedule.next_due_at] if schedule.next_due_at else []
    times = [schedule.next_due_at]
    try:
        ZoneInfo(schedule.timezone)
        while len(times) < count:
            following = cron.next_after(schedule.cron, schedule.timezone, times[-1])
            if following is None:
                break
            times.append(following)
    except (ValueError, KeyError, FerrisError):
        pass
    return times


def files(request: HttpRequest, name: str) -> HttpResponse:
    """The files of a version, one of them shown."""
    service = catalog.service_get(name)
    version = _version(service, request.GET.get("version", ""))
    listed = version.files if version else []
    path = request.GET.get("path", "") or _first_file(listed)
    context: dict[str, Any] = {
        "service": service,
        "tab": "files",
        "version": version,
        "versions": service.versions.order_by("-number")[:30],
        "files": listed,
        "path": path,
    }
    if version and path:
        context |= _shown(version, path)
    return render(request, "console/service-files.html", context)


def _first_file(listed: list[dict[str, Any]]) -> str:
    names = [entry["path"] for entry in listed]
    scripts = [name for name in names if name.endswith((".py", ".sql"))]
    return (scripts or names or [""])[0]


def _version(service: Service, number: str) -> ServiceVersion | None:
    if not number:
        return service.version
    found = (
        service.versions.filter(number=int(number)).first()
        if number.isdecimal() and len(number) < 10
        else None
    )
    if found is None:
        raise NotFound(f"{service.name} has no version {number!r}")
    return found


def _shown(version: ServiceVersion, path: str) -> dict[str, Any]:
    """A file's content as HTML; the reason when it cannot be shown."""
    try:
        content = catalog.version_file(version, path)
    except BackendError as error:
        return {"problem": str(error)}
    if b"\0" in content[:_BINARY_SAMPLE]:
        return {"problem": gettext("Not a text file ({size}).").format(size=presentation.size(len(content)))}
    text = content.decode("utf-8", "replace")
    return {
        "content": presentation.code_block(text, path),
        "as_readme": path.lower().endswith(".md"),
        "text": text,
    }


def download(request: HttpRequest, name: str) -> HttpResponseBase:
    """One file of a version, as it is."""
    service = catalog.service_get(name)
    version = _version(service, request.GET.get("version", ""))
    if version is None:
        raise NotFound(f"{service.name} has no version")
    path = request.GET.get("path", "") or _first_file(version.files)
    content = catalog.version_file(version, path)
    return file_response(BytesIO(content), path, "application/octet-stream", len(content), download=True)


def settings(request: HttpRequest, name: str, *, refused: dict[str, Any] | None = None) -> HttpResponse:
    """Configuration and state as they are now, and the names of the secrets the service sees."""
    service = catalog.service_get(name)
    context: dict[str, Any] = {"service": service, "tab": "settings", "secrets": visible_secrets(service)}
    context["entered"] = refused
    context["charts"] = charts_fed(service, reach(request.user))[:100]
    context["administers"] = access_of(request.user).may(Action.ADMINISTER)
    try:
        context["given"] = given(configs_of(service).layers(service.name, service.project.name))
    except BackendError as error:
        context["config_error"] = error
    try:
        state = wiring.config_store().get(f"{service.name}.state")
        context["state"] = state.value.decode("utf-8", "replace") if state else ""
    except BackendError as error:
        context["state_error"] = error
    return render(request, "console/service-settings.html", context, status=422 if refused else 200)


def visible_secrets(service: Service) -> list[tuple[Secret, bool]]:
    """The secrets a service could see, nearest scope first, with whether a nearer one hides it. Never a value."""
    order = {"service": 0, "project": 1, "platform": 2}
    found = with_uses(secrets_visible(service).defer("ciphertext"), service)
    seen: set[str] = set()
    out = []
    for secret in sorted(found, key=lambda s: order[s.scope]):
        out.append((secret, secret.name in seen))
        seen.add(secret.name)
    return sorted(out, key=lambda pair: (pair[0].name, order[pair[0].scope]))


def diff(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """What a version changed against the one before it, or against the one asked for."""
    service = catalog.service_get(name)
    new = _version(service, str(number))
    asked = request.GET.get("with", "")
    older = service.versions.filter(number__lt=number).order_by("-number").first()
    old = _version(service, asked) if asked else older
    context: dict[str, Any] = {"service": service, "tab": "versions", "old": old, "new": new}
    if old is not None and new is not None:
        try:
            context["changes"] = versions_compared(old, new)
            context["manifest"] = old.manifest != new.manifest
        except BackendError as error:
            context["problem"] = error
    return render(request, "console/service-diff.html", context)


def versions(request: HttpRequest, name: str) -> HttpResponse:
    """Every version with its commit."""
    service = catalog.service_get(name)
    page = Paginator(service.versions.order_by("-number").defer("readme", "requirements"), 30)
    context = {"service": service, "tab": "versions", "page": page.get_page(request.GET.get("page"))}
    return render(request, "console/service-versions.html", context)
