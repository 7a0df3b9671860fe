"""Projects: where services come from, and what each synchronisation found."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from ferris.errors import Conflict, FerrisError
from ferris_web.catalog import repositories, sync_queue
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.models import Project, Secret, Service
from ferris_web.catalog.secret_uses import with_uses
from ferris_web.console import synced
from ferris_web.executions.moving.project_download import project_response
from ferris_web.executions.secret_charts import with_charts
from ferris_web.executions.visibility import scoped


def project_list(request: HttpRequest) -> HttpResponse:
    """Every project."""
    return render(
        request, "console/projects.html", {"projects": scoped(catalog.project_list(), request.user)}
    )


@sensitive_post_parameters("token")
def add(request: HttpRequest) -> HttpResponse:
    """The form for a new project; adding synchronises at once."""
    fields = ("name", "source", "branch", "folder", "username")
    values = {name: request.POST.get(name, "").strip() for name in fields}
    entered = {**values, "platform_keys": "platform_keys" in request.POST}
    if request.method == "POST":
        try:
            added = repositories.repository_add(
                values["name"],
                values["source"],
                values["branch"],
                values["folder"],
                token=request.POST.get("token", "").strip(),
                username=values["username"],
                own_key="platform_keys" not in request.POST,
                actor=request.user,
                now=timezone.now(),
            )
        except ValidationError as error:
            context = {"values": entered, "errors": error.message_dict}
            return render(request, "console/project-add.html", context, status=422)
        except Conflict as error:
            context = {"values": entered, "errors": {"source": [str(error)]}}
            return render(request, "console/project-add.html", context, status=422)
        if added.public_key:
            messages.info(
                request, gettext("Give the deploy key below to the repository's host; then synchronise.")
            )
            return redirect("console:repository", name=added.project.name, pk=added.pk)
        _sync(request, added.project)
        return redirect("console:project", name=added.project.name)
    return render(request, "console/project-add.html", {"values": values})


def project(request: HttpRequest, name: str, *, refused: dict[str, Any] | None = None) -> HttpResponse:
    """One project: repositories, services, the result of a synchronisation, the ones before."""
    found = catalog.project_get(name)
    runs = list(catalog.sync_run_list(found)[:20])
    wanted = request.GET.get("run", "")
    shown = next((run for run in runs if str(run.pk) == wanted), runs[0] if runs else None)
    context = {
        "project": found,
        "repositories": repositories.repository_list(found),
        "services": Service.objects.filter(project=found).select_related("version")[:200],
        "runs": runs,
        "run": shown,
        "result": synced.rows(shown.result) if shown else [],
        "entered": refused,
        "secrets": with_charts(
            with_uses(Secret.objects.filter(scope="project", project=found).defer("ciphertext")),
            frozenset((found.pk,)),
        ),
    }
    return render(request, "console/project.html", context, status=422 if refused else 200)


@require_safe
def export(request: HttpRequest, name: str) -> StreamingHttpResponse:
    """The project as a file."""
    return project_response(request, catalog.project_get(name))


@require_POST
def sync(request: HttpRequest, name: str) -> HttpResponse:
    """Ask for a synchronisation; the page shows how far it is."""
    found = catalog.project_get(name)
    _sync(request, found)
    return redirect("console:project", name=found.name)


def _sync(request: HttpRequest, found: Project) -> None:
    try:
        sync_queue.project_sync_request(found, actor=request.user, now=timezone.now())
    except FerrisError as error:
        messages.error(request, gettext("It cannot be synchronised: {error}").format(error=error))
