"""The system map: services and event types of all projects, declared against seen."""

from __future__ import annotations

import hashlib

from django.core.cache import cache
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from ferris_web.accounts.permissions import reach
from ferris_web.console import filters, systemmap
from ferris_web.executions import system_map
from ferris_web.executions.visibility import visible_projects

ROWS = 100
_SECONDS = 30  # every manifest and thousands of executions are looked at for it
_STATES = (
    ("", "any state"),
    ("both", "declared and seen"),
    ("declared", "declared, not seen lately"),
    ("seen", "seen, not declared"),
)


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """The map, or that of one project; the same as a table."""
    projects = [
        ("", "all projects"),
        *((name, name) for name in visible_projects(request.user).values_list("name", flat=True)),
    ]
    project = filters.chosen(request.GET, "project", projects)
    state = filters.chosen(request.GET, "state", _STATES)
    projects_of = reach(request.user)
    key = f"console:map:{project}" if projects_of is None else f"console:map:{project}:{sorted(projects_of)}"
    key = hashlib.sha256(key.encode()).hexdigest()
    found = cache.get_or_set(f"map-{key}", lambda: system_map.system_map(project, projects_of), _SECONDS)
    assert found is not None
    rows = [bond for bond in found.bonds if not state or bond.state == state]
    context = {
        "map": systemmap.layout(found),
        "width": systemmap.WIDTH,
        "height": systemmap.HEIGHT,
        "page": Paginator(rows, ROWS).get_page(request.GET.get("page")),
        "projects": filters.choices(request.GET, "project", projects),
        "states": filters.choices(request.GET, "state", _STATES),
        "counts": {name: sum(bond.state == name for bond in found.bonds) for name, _ in _STATES[1:]},
        "of": found.projects,
    }
    return render(request, "console/system-map.html", context)
