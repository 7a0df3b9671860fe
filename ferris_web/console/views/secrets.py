"""Setting and removing secrets. Values go in and never come out."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST

from ferris.errors import NotFound
from ferris_web.accounts.permissions import Action, reach, require
from ferris_web.catalog import secrets
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.models import Project, Secret, Service
from ferris_web.console import filters
from ferris_web.console.paging import page
from ferris_web.console.views import projects, services
from ferris_web.console.words import word
from ferris_web.executions.secret_charts import secrets_known, with_charts
from ferris_web.executions.visibility import visible_projects

_SCOPES = (("", "all"), *((str(scope), str(scope)) for scope in Secret.Scope))
_USES = (("", "all"), ("unused", "never used"))


def secret_list(request: HttpRequest, *, refused: dict[str, Any] | None = None) -> HttpResponse:
    """Every secret that this person may know of, with who uses it."""
    query = request.GET
    known = [("", gettext("all projects")), *((p.name, p.name) for p in visible_projects(request.user))]
    found = secrets_known(
        reach(request.user),
        query=filters.text(query, "q", 255),
        scope=filters.chosen(query, "scope", _SCOPES),
        project=filters.chosen(query, "project", known),
        unused=filters.chosen(query, "use", _USES) == "unused",
    )
    shown = page(found, query, order=("name", "id"))
    with_charts(shown.rows, reach(request.user))
    context = {
        "page": shown,
        "q": filters.text(query, "q", 255),
        "scopes": filters.choices(query, "scope", [(value, word(text)) for value, text in _SCOPES]),
        "projects": filters.choices(query, "project", known),
        "uses": filters.choices(query, "use", [(value, word(text)) for value, text in _USES]),
        "filtered": any(value for name, value in query.items() if name != "cursor"),
        "entered": refused,
    }
    return render(request, "console/secrets.html", context, status=422 if refused else 200)


@require_POST
@sensitive_post_parameters("value")
def platform_secret(request: HttpRequest) -> HttpResponse:
    """Set, replace or remove a secret of the platform."""
    if refused := _change(request, "platform", {}):
        return secret_list(request, refused=refused)
    return redirect("console:secrets")


@require_POST
@sensitive_post_parameters("value")
def service_secret(request: HttpRequest, name: str) -> HttpResponse:
    """Set, replace or remove a secret of a service, of its project or of the platform."""
    service = catalog.service_get(name)
    scope = request.POST.get("scope", "service")
    owner: dict[str, Service | Project] = {"service": service}
    if scope == "project":
        owner = {"project": service.project}
        require(request.user, Action.EDIT, service.project_id, service.project.name)
    elif scope == "platform":
        owner = {}
        require(request.user, Action.ADMINISTER)
    if refused := _change(request, scope, owner):
        return services.settings(request, service.name, refused=refused)
    return redirect("console:service-settings", name=service.name)


@require_POST
@sensitive_post_parameters("value")
def project_secret(request: HttpRequest, name: str) -> HttpResponse:
    """Set, replace or remove a secret of a project."""
    project = catalog.project_get(name)
    if refused := _change(request, "project", {"project": project}):
        return projects.project(request, project.name, refused=refused)
    return redirect("console:project", name=project.name)


@sensitive_variables("text", "value")
def _change(request: HttpRequest, scope: str, owner: dict[str, Service | Project]) -> dict[str, Any]:
    """Do it, and say so; or what the form shows again, but for the value: what was said, and why it was refused."""
    secret = request.POST.get("name", "").strip()
    if request.POST.get("action") == "delete":
        try:
            secrets.secret_delete(scope, secret, **owner)  # type: ignore[arg-type]
            messages.success(request, gettext("Secret {secret} was removed.").format(secret=secret))
        except (NotFound, ValueError) as error:
            messages.error(request, str(error))
        return {}
    text = request.POST.get("value", "")
    said: dict[str, Any] = {"name": secret, "scope": scope, "as_json": "as_json" in request.POST}
    try:
        value = json.loads(text) if said["as_json"] else text
    except ValueError:
        problem = gettext("The value is no JSON. Write it anew: nothing was kept of it.")
        return {**said, "errors": {"value": [problem]}}
    try:
        secrets.secret_set(scope, secret, value, **owner, by=request.user.get_username())  # type: ignore[arg-type]
    except ValueError as error:
        return {**said, "errors": {"name": [gettext("The secret was not set: {error}.").format(error=error)]}}
    messages.success(
        request,
        gettext("Secret {secret} was set. Executions that start from now on get it.").format(secret=secret),
    )
    return {}
