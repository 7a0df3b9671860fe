"""Charts as people define them: made, changed, put in order, removed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max, QuerySet

from ferris import artifacts, chart_sums, pushing
from ferris.errors import Conflict, NotFound
from ferris.public_addresses import refusal
from ferris.routing import Trigger
from ferris_web.catalog.changes import notify, revision_bump
from ferris_web.catalog.models import Project, Secret, Service
from ferris_web.catalog.selectors import revision
from ferris_web.executions.figures import PERIODS
from ferris_web.executions.models import OF_ALL, OF_SOURCE, Chart, ChartFeed, ChartSum
from ferris_web.executions.services.replays import SETTLING
from ferris_web.executions.visibility import Projects, within
from ferris_web.wiring import config

MOST_CHARTS: Final = 50
"""On one dashboard."""
CHANGED: Final = "charts"
_Source = Chart.Source
_METRIC: Final = re.compile(r"[A-Za-z0-9_.\-]{1,100}", re.ASCII)
FIELDS: Final = (*OF_ALL, *dict.fromkeys(name for names in OF_SOURCE.values() for name in names))
_COUNTED_BY: Final = ("source", "event_type", "filter", "cesql", "value_path", "group_path")
_ANSWERED_BY: Final = ("source", "service_id", "artifact", "url", "header", "header_secret")


def chart_get(pk: UUID) -> Chart:
    """One, with what it shows; NotFound."""
    found = Chart.objects.select_related("project", "service", "feed").filter(pk=pk).first()
    if found is None:
        raise NotFound(f"there is no chart {str(pk)!r}")
    return found


def chart_list(project: Project | None) -> QuerySet[Chart]:
    """Those of a project, or (None) of the platform, as they stand on its dashboard."""
    rows = Chart.objects.select_related("project", "service", "feed").filter(project=project)
    return rows.order_by("position", "id")


def charts_fed(service: Service, projects: Projects) -> QuerySet[Chart]:
    """The charts that draw what a service records or leaves, of those that somebody of these projects may see."""
    found = within(Chart.objects.filter(service=service), projects)
    return found.select_related("project").order_by("title", "pk")


def chart_draft(given: Mapping[str, Any], *, chart: Chart | None = None, project: Project | None) -> Chart:
    """A chart as it would be saved, checked. ValidationError names the field at fault."""
    if unknown := sorted(set(given) - set(FIELDS)):
        raise TypeError(f"a chart has no {', '.join(unknown)}")
    row = chart or Chart(project=project)
    for field, value in given.items():
        setattr(row, field, value)
    if row.source not in OF_SOURCE:
        raise ValidationError({"source": [f"is none of {', '.join(OF_SOURCE)}"]})
    kept = OF_SOURCE[row.source]
    for field in set(FIELDS) - {*OF_ALL, *kept}:
        setattr(row, field, Chart._meta.get_field(field).get_default())
    _no_nul(row)
    _CHECKS[row.source](row)
    row.full_clean(exclude=["project", "service"], validate_unique=False)
    return row


def chart_save(
    given: Mapping[str, Any],
    *,
    now: datetime,
    chart: Chart | None = None,
    project: Project | None = None,
    actor: str = "",
    past: bool = True,
) -> Chart:
    """Make a chart, or change what is given of one. ValidationError names the field at fault.

    What decides on its content begins anew when it changes; with `past`, from what the journal still holds.
    """
    with transaction.atomic():
        held = None
        if chart is not None:
            held = Chart.objects.select_for_update(of=("self",)).filter(pk=chart.pk).first()
            if held is None:
                raise NotFound(f"there is no chart {str(chart.pk)!r}")
            project = held.project
        before = held and _basis(held)
        row = chart_draft(given, chart=held, project=project)
        if held is None:
            others = Chart.objects.filter(project=project)
            if others.count() >= MOST_CHARTS:
                raise Conflict(f"a dashboard has at most {MOST_CHARTS} charts: remove one first")
            row.position = (others.aggregate(last=Max("position"))["last"] or 0) + 1
            row.created_by = actor
        row.save()
        if _basis(row) != before:
            _begin(row, now, past=past, was_counted=bool(before and before[0][0] == _Source.EVENTS))
        notify(CHANGED)
    return chart_get(row.pk)


def chart_remove(chart: Chart) -> None:
    """It is gone, with what it has added up."""
    with transaction.atomic():
        chart.delete()
        if chart.source == _Source.EVENTS:
            revision_bump()


def charts_order(project: Project | None, order: Sequence[UUID]) -> None:
    """Put a dashboard's charts into this order; those that it does not name come last, as they stood."""
    places = {pk: place for place, pk in enumerate(order)}
    with transaction.atomic():
        rows = list(Chart.objects.select_for_update(of=("self",)).filter(project=project).order_by("pk"))
        rows.sort(key=lambda row: (places.get(row.pk, len(places)), row.position, row.pk))
        for place, row in enumerate(rows, start=1):
            row.position = place
        Chart.objects.bulk_update(rows, ["position"])


def chart_triggers() -> list[Trigger]:
    """What routers match events with."""
    rows = Chart.objects.filter(source=_Source.EVENTS).order_by("pk")
    found = rows.values_list("pk", "title", "event_type", "filter", "cesql")
    return [
        Trigger(str(pk), title, event_type, filter=filter, cesql=cesql or None)
        for pk, title, event_type, filter, cesql in found
    ]


def _basis(row: Chart) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return (
        tuple(getattr(row, field) for field in _COUNTED_BY),
        tuple(getattr(row, field) for field in _ANSWERED_BY),
    )


def _begin(row: Chart, now: datetime, *, past: bool, was_counted: bool) -> None:
    """Nothing is counted or known of it. What is matched with the catalog from here on comes as entries; what was
    matched with an older one lies in the journal, and is counted from there."""
    counted = row.source == _Source.EVENTS
    if counted or was_counted:
        ChartSum.objects.filter(chart=row).delete()
        revision_bump()
    fresh = ChartFeed(chart=row, revision=revision() if counted else 0)
    if counted and past:
        fresh.filled = False
        fresh.fill_since, fresh.fill_until = PERIODS["90d"].since(now), now + SETTLING
    if row.source == _Source.URL:
        fresh.due_at = now
    names = [field.name for field in ChartFeed._meta.concrete_fields if not field.primary_key]
    ChartFeed.objects.update_or_create(chart=row, defaults={name: getattr(fresh, name) for name in names})


# --- checked -----------------------------------------------------------------------------------------


def _no_nul(row: Chart) -> None:
    for field in FIELDS:
        value = getattr(row, field)
        if isinstance(value, str) and "\0" in value:
            raise ValidationError({field: ["holds the character NUL"]})


def _events(row: Chart) -> None:
    if row.aggregate == chart_sums.COUNT:
        row.value_path = ""
    elif not row.value_path:
        raise ValidationError(
            {"value_path": [f"is missing: where the number is of which the {row.aggregate} is shown"]}
        )
    for field in ("value_path", "group_path"):
        if problem := chart_sums.path_problem(getattr(row, field)):
            raise ValidationError({field: [problem]})
    try:
        pushing.check_wanted(row.event_type, row.filter, row.cesql)
    except pushing.SubscriptionError as error:
        raise ValidationError({error.name: [error.problem]}) from None


def _metrics(row: Chart) -> None:
    _service(row)
    if not _METRIC.fullmatch(row.metric):
        raise ValidationError({"metric": ["is no name of a metric, such as orders.total"]})


def _artifact(row: Chart) -> None:
    _service(row)
    if problem := artifacts.name_problem(row.artifact):
        raise ValidationError({"artifact": [problem]})


def _service(row: Chart) -> None:
    if row.service is None:
        raise ValidationError({"service": ["is missing"]})
    if row.project_id is not None and row.service.project_id != row.project_id:
        raise ValidationError({"service": ["belongs to another project"]})


def _url(row: Chart) -> None:
    try:
        host = pushing.target(row.url).host
        numeric = host.replace(".", "").isdigit() or ":" in host
        if numeric and (why := refusal(host, config().allow_private)):
            raise pushing.SubscriptionError(
                "url", f"leads to an address that is not allowed: {why} (see FERRIS_ALLOW_PRIVATE)"
            )
        if row.header:
            pushing.check_headers("header", {row.header: "secret"})
    except pushing.SubscriptionError as error:
        raise ValidationError({error.name: [error.problem]}) from None
    if bool(row.header) != bool(row.header_secret):
        lacking = "header_secret" if row.header else "header"
        raise ValidationError({lacking: ["is missing: a header's name and a secret's go together"]})
    if row.header_secret and not header_secrets(row).exists():
        raise ValidationError(
            {"header_secret": [f"names no secret of the {_owner(row)}; set it there first"]}
        )


def header_secrets(row: Chart) -> QuerySet[Secret]:
    """The secret that it sends: of its project, and of the platform if it is the platform's."""
    scope = Secret.Scope.PLATFORM if row.project_id is None else Secret.Scope.PROJECT
    return Secret.objects.filter(scope=scope, project_id=row.project_id, name=row.header_secret)


def _owner(row: Chart) -> str:
    return "platform" if row.project_id is None else "project"


_CHECKS: Final = {
    _Source.EVENTS: _events,
    _Source.METRICS: _metrics,
    _Source.ARTIFACT: _artifact,
    _Source.URL: _url,
}
