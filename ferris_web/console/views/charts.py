"""Charts that people define: the list of a dashboard's, in order, and the form on which one is tried and saved."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from ferris import chart_sums, charts
from ferris.errors import Conflict
from ferris.json_text import JsonProblem, read_json
from ferris_web.accounts.permissions import Action, access_of, may_change
from ferris_web.catalog.models import EventType, OutputEvent, Project, Service, Trigger
from ferris_web.catalog.selectors import project_get
from ferris_web.console import custom_charts
from ferris_web.executions.auditing import audit_made
from ferris_web.executions.charted import tried
from ferris_web.executions.figures import FIRST, PERIODS
from ferris_web.executions.models import Chart, MetricSeries
from ferris_web.executions.services import charts as services
from ferris_web.executions.visibility import allow, scoped

_SOURCES = {
    "events": gettext_lazy("Events"),
    "metrics": gettext_lazy("Metrics of a service"),
    "artifact": gettext_lazy("A file that a service leaves"),
    "url": gettext_lazy("A URL"),
}
_KINDS = {
    "line": gettext_lazy("Lines"),
    "bar": gettext_lazy("Bars"),
    "pie": gettext_lazy("Pie"),
    "table": gettext_lazy("Table"),
    "kpi": gettext_lazy("One figure"),
}
_AGGREGATES = {
    "count": gettext_lazy("How many"),
    "sum": gettext_lazy("Sum"),
    "average": gettext_lazy("Average"),
    "least": gettext_lazy("Least"),
    "most": gettext_lazy("Most"),
    "last": gettext_lazy("Last"),
}
_WIDTHS = {"half": gettext_lazy("Half the page"), "full": gettext_lazy("The whole page")}
_NUMBERS = ("groups_shown", "every_minutes")
_OFFERED = 200


def chart_list(request: HttpRequest) -> HttpResponse:
    """A dashboard's charts as they stand; whoever manages them puts them in order."""
    project = _owner(request, Action.EDIT if request.method == "POST" else Action.VIEW)
    rows = list(services.chart_list(project))
    if request.method == "POST":
        order = [row.pk for row in rows]
        known = {str(pk): pk for pk in order}
        order = [known[text] for text in request.POST.getlist("chart") if text in known] or order
        _move(order, request.POST.get("move", ""))
        services.charts_order(project, order)
        if not request.POST.get("move"):
            messages.success(request, _("The order is saved."))
        return redirect(_list_url(project))
    shown = [(row, _KINDS[row.kind], _SOURCES[row.source]) for row in rows]
    context = {"project": project, "rows": shown, "manages": may_change(request.user, project and project.pk)}
    return render(request, "console/charts.html", context)


def add(request: HttpRequest) -> HttpResponse:
    """The form for a new one."""
    return _form(request, None, _owner(request, Action.EDIT))


def chart(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One, to change."""
    row = _managed(request, pk)
    return _form(request, row, row.project)


@require_POST
def remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """It is gone, with what it has added up."""
    row = _managed(request, pk)
    services.chart_remove(row)
    messages.success(request, _("The chart %(title)s was removed.") % {"title": row.title})
    return redirect(_list_url(row.project))


def _managed(request: HttpRequest, pk: UUID) -> Chart:
    row = services.chart_get(pk)
    if not may_change(request.user, row.project_id):
        raise PermissionDenied
    return row


def _owner(request: HttpRequest, action: Action) -> Project | None:
    """The project that the address or the form names; None: the platform."""
    name = request.POST.get("project") or request.GET.get("project", "")
    if name:
        allow(request.user, action, "project", name)
        return project_get(name)
    if not access_of(request.user).may(Action.ADMINISTER if action is Action.EDIT else Action.VIEW):
        raise PermissionDenied
    return None


def _list_url(project: Project | None) -> str:
    query = f"?{urlencode({'project': project.name})}" if project else ""
    return reverse("console:charts") + query


def _move(order: list[UUID], asked: str) -> None:
    way, _colon, text = asked.partition(":")
    place = next((n for n, pk in enumerate(order) if str(pk) == text), None)
    if place is None or way not in ("up", "down"):
        return
    other = place + (1 if way == "down" else -1)
    if 0 <= other < len(order):
        order[place], order[other] = order[other], order[place]


# --- the form ----------------------------------------------------------------------------------------


def _form(request: HttpRequest, found: Chart | None, project: Project | None) -> HttpResponse:
    now = timezone.now()
    source = request.POST.get("source") or request.GET.get("source") or (found.source if found else "events")
    source = source if source in _SOURCES else "events"
    errors: dict[str, list[str]] = {}
    preview, status = None, 200
    if request.method == "POST":
        given, errors = _given(request, source, project)
        trying = request.POST.get("do") == "try"
        try:
            if not errors and trying:
                title = given.get("title") or _("Preview")
                draft = services.chart_draft({**given, "title": title}, project=project)
                preview = custom_charts.card(tried(draft, PERIODS[FIRST], now), now)
            elif not errors:
                made = services.chart_save(
                    given, now=now, chart=found, project=project, actor=request.user.get_username(),
                    past="past" in request.POST,
                )  # fmt: skip
                if found is None:
                    audit_made(request, "charts", made.pk)
                messages.success(request, _("The chart %(title)s is saved.") % {"title": made.title})
                return redirect(_list_url(project))
        except ValidationError as error:
            errors = error.message_dict
        except Conflict as error:
            errors = {"title": [str(error)]}
        status = 422 if errors and not trying else 200
    context = {
        "chart": found,
        "project": project,
        "source": source,
        "sources": [(name, text, _address(request, project, name)) for name, text in _SOURCES.items()],
        "errors": errors,
        "preview": preview,
        "values": _values(request, found),
        "back": _list_url(project),
        **_choices(request, found, project),
    }
    return render(request, "console/chart.html", context, status=status)


def _address(request: HttpRequest, project: Project | None, source: str) -> str:
    asked = {"source": source, **({"project": project.name} if project else {})}
    return f"{request.path}?{urlencode(asked)}"


def _given(
    request: HttpRequest, source: str, project: Project | None
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    said, errors = request.POST, {}
    names = [*services.OF_ALL, *services.OF_SOURCE[source]]
    given: dict[str, Any] = {name: said[name].strip() for name in names if name in said}
    given["source"] = source
    for name in _NUMBERS:
        if name in given:
            text = given.pop(name)
            if text.isascii() and text.isdecimal() and len(text) < 6:
                given[name] = int(text)
            elif text:
                errors[name] = [_("is no whole number")]
    if "filter" in given:
        try:
            given["filter"] = read_json(given["filter"]) if given["filter"] else None
            if given["filter"] is not None and not isinstance(given["filter"], dict):
                errors["filter"] = [_("is no JSON object")]
        except JsonProblem as error:
            errors["filter"] = [str(error)]
    if "service" in given:
        given["service"] = _services(request, project).filter(name=given["service"].replace("\0", "")).first()
    return given, errors


def _services(request: HttpRequest, project: Project | None) -> Any:
    rows = scoped(Service.objects.filter(vanished_at=None), request.user).order_by("name")
    return rows if project is None else rows.filter(project=project)


def _values(request: HttpRequest, found: Chart | None) -> dict[str, Any]:
    if request.method == "POST":
        return {**request.POST.dict(), "past": "past" in request.POST}
    row = found or Chart()
    values = {name: getattr(row, name) for name in services.FIELDS if name != "service"}
    values["filter"] = "" if row.filter is None else json.dumps(row.filter, indent=2, ensure_ascii=False)
    values["service"] = row.service.name if row.service else ""
    return {**values, "past": True}


def _choices(request: HttpRequest, found: Chart | None, project: Project | None) -> dict[str, Any]:
    values = _values(request, found)

    def options(name: str, among: dict[str, Any]) -> list[dict[str, Any]]:
        chosen = values.get(name) or ""
        return [{"value": one, "text": text, "chosen": one == chosen} for one, text in among.items()]

    names = [*_services(request, project).values_list("name", flat=True)[: 10 * _OFFERED]]
    metrics = MetricSeries.objects.filter(service__in=_services(request, project)).order_by("name")
    return {
        "kinds": options("kind", {kind: _KINDS[kind] for kind in charts.KINDS}),
        "widths": options("width", _WIDTHS),
        "period_options": options(
            "period",
            {"": _("As the dashboard"), **{one.name: one.label for one in PERIODS.values()}},
        ),
        "aggregates": options("aggregate", {one: _AGGREGATES[one] for one in chart_sums.AGGREGATES}),
        "service_options": options("service", {name: name for name in names}),
        "metric_names": metrics.values_list("name", flat=True).distinct()[:_OFFERED],
        "event_types": _event_types(project),
    }


def _event_types(project: Project | None) -> list[str]:
    """Those that are known; of a project, what its services listen to and send."""
    if project is None:
        return list(EventType.objects.order_by("name").values_list("name", flat=True)[:_OFFERED])
    found: set[str] = set()
    for model in (Trigger, OutputEvent):
        rows = model.objects.filter(service__project=project).order_by("event_type")
        found |= set(rows.values_list("event_type", flat=True).distinct()[:_OFFERED])
    return sorted(found)
