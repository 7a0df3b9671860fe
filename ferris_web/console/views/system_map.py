"""The system map: services and event types of all projects, declared against seen."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from ferris_web.accounts.permissions import reach
from ferris_web.console import filters, systemmap
from ferris_web.executions import system_map
from ferris_web.executions.system_map import Bond
from ferris_web.executions.visibility import visible_projects

ROWS = 100
MOST, MOST_LINES = 240, 480  # services that are drawn, and bonds of theirs
UNBOUND = 20  # services without a bond that are named
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
    found = system_map.bindings(project, reached)
    size, drawn = system_map.size(found), system_map.busiest(found, MOST, MOST_LINES)
    shown = Paginator(system_map.bonds(system_map.of_state(found, state)), ROWS).get_page(
        request.GET.get("page")
    )
    shown.object_list = [Bond(*row) for row in shown.object_list]
    unbound = system_map.unbound(project, reached)
    context = {
        "map": systemmap.layout([Bond(*row) for row in system_map.bonds(found.filter(service__in=drawn))]),
        "width": systemmap.WIDTH,
        "height": systemmap.HEIGHT,
        "left_out": size.services - len(drawn),
        "unbound": unbound.count(),
        "some_unbound": list(unbound.values_list("name", flat=True)[:UNBOUND]),
        "page": shown,
        "projects": filters.choices(request.GET, "project", projects),
        "states": filters.choices(request.GET, "state", _STATES),
        "counts": size.states,
    }
    return render(request, "console/system-map.html", context)
