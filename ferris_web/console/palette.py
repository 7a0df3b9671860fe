"""Where somebody may want to go: pages, services, projects, event types, records by their ids, the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from ferris.events import flow_of
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.models import Service
from ferris_web.console import addresses, manual
from ferris_web.console.needs import opens
from ferris_web.console.words import word
from ferris_web.executions.models import Event, Execution, Flow
from ferris_web.executions.services.saved_views import VIEWED, view_list
from ferris_web.executions.visibility import scoped, visible_projects

_EACH = 6  # of each kind at most
# (route, title, other words for it)
_PAGES = (
    ("dashboard", _("Dashboard"), "home overview"),
    ("services", _("Services"), "scripts"),
    ("executions", _("Executions"), "runs jobs"),
    ("failures", _("Failures"), "errors failed"),
    ("flows", _("Flows"), "graph"),
    ("system-map", _("System map"), "graph who triggers whom"),
    ("search", _("Search"), "find log lines records query kibana"),
    ("events", _("Events"), "cloudevents"),
    ("event-send", _("Send an event"), "emit new"),
    ("gatherings", _("Gatherings"), "batch debounce join"),
    ("event-types", _("Event types"), "schema"),
    ("event-maps", _("Event maps"), "mapping"),
    ("backtest", _("Backtest"), "what if triggers"),
    ("replays", _("Replays"), "again past"),
    ("schedules", _("Schedules"), "cron timer"),
    ("projects", _("Projects"), "git repositories"),
    ("project-add", _("Add a project"), "git new repository"),
    ("webhooks", _("Webhooks"), "github stripe"),
    ("subscriptions", _("Subscriptions"), "push out"),
    ("notifications", _("Notifications"), "mail slack alerts apprise"),
    ("secrets", _("Secrets"), "keys passwords tokens"),
    ("values", _("Configuration and state"), "values history restore editor"),
    ("connections", _("Connections"), "database sql"),
    ("workers", _("Workers and lanes"), "executors drain"),
    ("topics", _("Topics"), "kafka lag"),
    ("consumers", _("Consumers and queues"), "kafka groups lag broker rabbitmq depth"),
    ("backends", _("Backends"), "health database elasticsearch minio consul away"),
    ("dead-letters", _("Dead letters"), "redrive"),
    ("buckets", _("Objects"), "files s3 minio"),
    ("audit", _("Audit log"), "who did what"),
    ("account", _("Your account"), "tokens sessions"),
    ("account-sign-in", _("How you sign in"), "password provider single sign-on"),
    ("help", _("Help"), "documentation"),
    ("api-docs", _("REST API"), "openapi swagger curl integrate"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One place: its name, what kind of thing it is, more words, its address."""

    text: str
    kind: str
    detail: str
    url: str


def found(user: Any, query: str) -> list[Entry]:
    """What fits `query`, the surest first; without one the pages. A fixed number of database queries, on indexes."""
    words = query.casefold().split()
    pages = [
        Entry(str(title), word("page"), "", reverse(f"console:{route}"))
        for route, title, more in _PAGES
        if all(word in f"{title} {more}".casefold() for word in words) and opens(user, route)
    ]
    if not words:
        return pages
    return [*_by_id(user, query), *pages[:_EACH], *_by_name(user, query), *_documentation(query)]


def _by_id(user: Any, query: str) -> Iterator[Entry]:
    """The execution, event or flow of which this is the id, or a correlation id."""
    try:
        execution = _first(Execution.objects.select_related("service"), user, pk=UUID(query))
    except ValueError:
        number = query.upper()
        execution = _first(
            Execution.objects.select_related("service"), user, flow_id=flow_of(number), correlation_id=number
        )
    if execution is not None:
        url = reverse("console:execution", args=[execution.pk])
        yield Entry(
            execution.service.name,
            word("execution"),
            f"{execution.correlation_id}, {word(execution.status)}",
            url,
        )
    flow = _first(Flow.objects.all(), user, pk=flow_of(query.upper()))
    if flow is not None:
        yield Entry(flow.pk, word("flow"), flow.root_type, reverse("console:flow", args=[flow.pk]))
    event = _first(Event.objects.order_by("-received_at"), user, event_id=query)
    if event is not None:
        yield Entry(event.type, word("event"), event.event_id, reverse("console:event", args=[event.pk]))


def _first(rows: QuerySet[Any], user: Any, **wanted: Any) -> Any:
    return scoped(rows.filter(**wanted), user).first()


def _by_name(user: Any, query: str) -> Iterator[Entry]:
    services = Service.objects.filter(vanished_at=None, name__icontains=query).order_by("name")
    for service in scoped(services, user)[:_EACH]:
        yield Entry(
            service.name,
            word("service"),
            service.description,
            reverse("console:service", args=[service.name]),
        )
    for project in visible_projects(user).filter(name__icontains=query).order_by("name")[:_EACH]:
        yield Entry(project.name, word("project"), "", reverse("console:project", args=[project.name]))
    for view in view_list(user).filter(name__icontains=query)[:_EACH]:
        yield Entry(view.name, word("view"), str(VIEWED[view.listing].title), addresses.saved_view(view))
    for kind in catalog.event_type_list(query=query).order_by("name")[:_EACH]:
        yield Entry(
            kind.name,
            word("event type"),
            kind.description,
            reverse("console:event-type-by-name") + f"?name={kind.name}",
        )


def _documentation(query: str) -> Iterator[Entry]:
    for hit in manual.search(query)[:_EACH]:
        anchor = f"#{hit.anchor}" if hit.anchor else ""
        yield Entry(
            hit.heading,
            word("help"),
            hit.title if hit.title != hit.heading else "",
            manual.address(hit.page) + anchor,
        )
