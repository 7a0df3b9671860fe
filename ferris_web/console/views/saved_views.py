"""Saved views of the lists and of the search: filters under a name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from ferris.errors import Conflict, NotFound
from ferris_web.accounts.models import User
from ferris_web.accounts.permissions import Action
from ferris_web.catalog.models import Project
from ferris_web.console import addresses, filterbar
from ferris_web.executions.services import saved_views
from ferris_web.executions.visibility import scoped


def opening(
    listing: str, view: Callable[[HttpRequest], HttpResponse]
) -> Callable[[HttpRequest], HttpResponseBase]:
    """A list that opens with the view that its viewer chose, if nothing else is asked for."""

    @wraps(view)
    def opened(request: HttpRequest) -> HttpResponseBase:
        if request.method == "GET" and not request.GET:
            row = saved_views.view_default(request.user, listing)
            if row is not None and row.query:
                return redirect(f"{request.path}?{row.query}")
        return view(request)

    return opened


def views(request: HttpRequest, name: str) -> HttpResponse:
    """Those of a list, and a form that saves the filters of the address as one more."""
    filters, user = saved_views.view_listing(name), request.user
    assert isinstance(user, User)
    query, problem = filterbar.plain(request.GET).urlencode(), ""
    entered = request.POST.get("name", "")
    projects = list(scoped(Project.objects.order_by("name"), user, Action.RUN)[:500])
    if request.method == "POST":
        try:
            project = _project(projects, request.POST.get("project", ""))
            row = saved_views.view_save(user, name, entered, query, project=project, now=timezone.now())
            if "default" in request.POST:
                saved_views.view_default_set(user, name, row.pk)
        except Conflict as error:
            problem = str(error)
        else:
            messages.success(request, gettext("The view {name} was saved.").format(name=row.name))
            return redirect(addresses.saved_view(row))
    default = saved_views.view_default(user, name)
    context = {
        "filters": filters,
        "list_address": reverse(f"console:{name}"),
        "rows": [
            (
                row,
                addresses.saved_view(row),
                saved_views.view_may_change(user, row),
                default is not None and row == default,
            )
            for row in saved_views.view_list(user, name)
        ],
        "query": query,
        "asked": [(key, value) for key, value in filterbar.plain(request.GET).items()],
        "projects": projects,
        "name": entered,
        "problem": problem,
    }
    return render(request, "console/saved-views.html", context, status=422 if problem else 200)


@require_POST
def change(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Make it the one its list opens with, or no more; remove it."""
    user, what = request.user, request.POST.get("what", "")
    assert isinstance(user, User)
    if what == "remove":
        row = saved_views.view_remove(user, pk)
        messages.success(request, gettext("The view {name} was removed.").format(name=row.name))
    else:
        row = saved_views.view_get(user, pk)
        saved_views.view_default_set(user, row.listing, pk if what == "default" else None)
        title = saved_views.VIEWED[row.listing].title
        said = (
            gettext("{title} opens with {name}.")
            if what == "default"
            else gettext("{title} opens without a view.")
        )
        messages.success(request, said.format(title=title, name=row.name))
    return redirect("console:saved-views", name=row.listing)


def _project(projects: list[Project], name: str) -> Project | None:
    if not name:
        return None
    found = next((project for project in projects if project.name == name), None)
    if found is None:
        raise NotFound(f"there is no project {name[:100]!r} in which you may share a view")
    return found
