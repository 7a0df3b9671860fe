"""The system map: services and event types of all projects, declared against seen."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from ferris_web.accounts.permissions import reach
from ferris_web.console import filters, graphs, systemmap
from ferris_web.executions import system_map
from ferris_web.executions.models import Binding
from ferris_web.executions.system_map import Bond
from ferris_web.executions.visibility import visible_projects

SERVICES = 40  # of a page of the table
_STATES = (
    ("", _("any state")),
    ("both", _("declared and seen")),
    ("declared", _("declared, not seen lately")),
    ("seen", _("seen, not declared")),
)


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """The map, or that of one project; the same as a table."""
    projects = [
        ("", gettext("all projects")),
        *((name, name) for name in visible_projects(request.user).values_list("name", flat=True)),
    ]
    project = filters.chosen(request.GET, "project", projects)
    state = filters.chosen(request.GET, "state", _STATES)
    reached = reach(request.user)
    told, found = system_map.overview(project, reached), system_map.bindings(project, reached)
    fitting = system_map.of_state(found, state)
    pages = Paginator(system_map.bound(fitting).only("name"), SERVICES)
    if not state:
        pages.count = told.services  # known, and long to count
    shown = pages.get_page(request.GET.get("page"))
    drawn = systemmap.layout(_bonds(found.filter(service__in=told.drawn)))
    context = {
        "map": drawn,
        "lines": graphs.map_lines(drawn),
        "places": graphs.map_places(drawn),
        "told": told,
        "left_out": told.services - len(told.drawn),
        "bonds": _bonds(fitting.filter(service__in=[row.pk for row in shown])),
        "page": shown,
        "projects": filters.choices(request.GET, "project", projects),
        "states": filters.choices(request.GET, "state", _STATES),
    }
    return render(request, "console/system-map.html", context)


def _bonds(found: QuerySet[Binding]) -> list[Bond]:
    return [Bond(*row) for row in system_map.bonds(found)]
