"""The system map: services and event types of all projects, declared against seen."""

from __future__ import annotations

from collections import Counter

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from ferris_web.accounts.permissions import reach
from ferris_web.console import filters, systemmap
from ferris_web.executions.system_map import lately
from ferris_web.executions.visibility import visible_projects

ROWS = 100
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
    found = lately(project, reach(request.user))
    rows = [bond for bond in found.bonds if not state or bond.state == state]
    context = {
        "map": systemmap.layout(found),
        "width": systemmap.WIDTH,
        "height": systemmap.HEIGHT,
        "page": Paginator(rows, ROWS).get_page(request.GET.get("page")),
        "projects": filters.choices(request.GET, "project", projects),
        "states": filters.choices(request.GET, "state", _STATES),
        "counts": Counter(bond.state for bond in found.bonds),
        "of": found.projects,
    }
    return render(request, "console/system-map.html", context)
