"""Database connections: everybody sees which there are; administrators make, test and remove them."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from ferris.errors import Conflict
from ferris_web.accounts.permissions import may_manage
from ferris_web.catalog import connections as catalog
from ferris_web.catalog import selectors
from ferris_web.catalog.models import Connection, Project
from ferris_web.console.views.managing import managers


def connection_list(request: HttpRequest) -> HttpResponse:
    """Every connection; where it leads is shown to administrators only."""
    context = {"rows": catalog.connection_list(), "manages": may_manage(request.user, Connection)}
    return render(request, "console/connections.html", context)


@sensitive_post_parameters("url")
@managers(Connection)
def add(request: HttpRequest) -> HttpResponse:
    """The form for a new one."""
    return _change(request, None, request.POST.get("name", "").strip())


@sensitive_post_parameters("url")
@managers(Connection)
def connection(request: HttpRequest, name: str) -> HttpResponse:
    """One connection, to change; an empty URL leaves it as it is."""
    return _change(request, catalog.connection_get(name), name)


@require_POST
@managers(Connection)
def test(request: HttpRequest, name: str) -> HttpResponse:
    """Try it now, from this process."""
    _test(request, catalog.connection_get(name))
    return redirect("console:connection", name=name)


@require_POST
@managers(Connection)
def remove(request: HttpRequest, name: str) -> HttpResponse:
    """Forget it."""
    catalog.connection_remove(catalog.connection_get(name))
    messages.success(
        request,
        gettext("The connection {name} was removed. Scripts that name it fail from now on.").format(
            name=name
        ),
    )
    return redirect("console:connections")


def _change(request: HttpRequest, found: Connection | None, name: str) -> HttpResponse:
    if request.method != "POST":
        return _form(request, found, {})
    said = request.POST
    try:
        made = catalog.connection_set(
            name,
            new=found is None,
            url=said.get("url", "").strip() or None,
            description=said.get("description", "").strip(),
            read_only="read_only" in said,
            every_project="every_project" in said,
            projects=list(selectors.project_list().filter(name__in=said.getlist("projects"))),
        )
    except ValidationError as error:
        return _form(request, found, error.message_dict)
    except Conflict:
        return _form(request, found, {"name": [gettext("is taken")]})
    _test(request, made)
    return redirect("console:connection", name=made.name)


def _form(request: HttpRequest, found: Connection | None, errors: dict[str, list[str]]) -> HttpResponse:
    said = request.POST if request.method == "POST" else None
    chosen = (
        said.getlist("projects")
        if said
        else [project.name for project in found.projects.all()]
        if found
        else []
    )
    fields = ("description", "read_only", "every_project")
    values = {name: said.get(name, "") if said else getattr(found, name, "") for name in fields}
    context = {
        "connection": found,
        "values": {**values, "name": said.get("name", "") if said else ""},
        "projects": [(project, project.name in chosen) for project in Project.objects.all()],
        "errors": errors,
    }
    return render(request, "console/connection.html", context, status=422 if errors else 200)


def _test(request: HttpRequest, found: Connection) -> None:
    tried = catalog.connection_try(found)
    messages.add_message(request, messages.SUCCESS if tried.ok else messages.ERROR, tried.text)
