"""The form for a new service: from a starter, or with the files of a service there is."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext

from ferris.errors import Conflict
from ferris_web.accounts.permissions import Action, reach, require
from ferris_web.catalog import editing
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.models import Project, Service
from ferris_web.catalog.services import project_named
from ferris_web.catalog.starters import STARTERS, starter_files
from ferris_web.console.views.executions import actor
from ferris_web.executions.visibility import allow, within


def new(request: HttpRequest) -> HttpResponse:
    """The form for a new service: from a starter, or with the files of a service there is."""
    copied = _copied(request, request.GET.get("copy", ""))
    values = {"project": request.GET.get("project", ""), "name": "", "starter": "python"}
    if copied is not None:
        values |= {"project": copied.project.name, "starter": "copy"}
    errors: dict[str, list[str]] = {}
    if request.method == "POST":
        values = {field: request.POST.get(field, "").strip() for field in values}
        made = _make(request, values, copied, errors)
        if made is not None:
            messages.success(
                request,
                gettext("{name} is there, and runs what is written here as soon as it is saved.").format(
                    name=made.name
                ),
            )
            return redirect("console:service-edit", name=made.name)
    context = {
        "values": values,
        "errors": errors,
        "starters": STARTERS,
        "copied": copied,
        "projects": within(Project.objects.all(), reach(request.user, Action.EDIT)),
    }
    return render(request, "console/service-new.html", context, status=422 if errors else 200)


def _copied(request: HttpRequest, name: str) -> Service | None:
    if not name:
        return None
    allow(request.user, Action.VIEW, "service", name)
    return catalog.service_get(name)


def _make(
    request: HttpRequest, values: dict[str, str], copied: Service | None, errors: dict[str, list[str]]
) -> Service | None:
    """The new service; None when `errors` say by field why not."""
    if values["starter"] == "copy" and copied is not None and copied.version is not None:
        files = {path: file.content for path, file in catalog.version_files(copied.version).items()}
        said = f"copied from {copied.name} v{copied.version.number}"
    elif values["starter"] in STARTERS:
        made = starter_files(values["starter"], values["name"])
        files, said = {path: text.encode() for path, text in made.items()}, ""
    else:
        errors["starter"] = [gettext("Choose what to start from.")]
        return None
    project = _project(request, values["project"], errors)
    if project is None:
        return None
    try:
        saved = editing.service_make(
            project, values["name"], files, author=actor(request), message=said, now=timezone.now()
        )
    except Conflict as error:
        errors["name"] = [f"{str(error)[0].upper()}{str(error)[1:]}."]
        return None
    if saved.refused:
        errors["name"] = [str(said) if said.file else said.text for said in saved.errors]
        return None
    return catalog.service_get(values["name"])


def _project(request: HttpRequest, name: str, errors: dict[str, list[str]]) -> Project | None:
    """A project that this person may change; a new one for who may make one."""
    found = Project.objects.filter(name=name.replace("\0", "")).first()
    try:
        require(request.user, Action.EDIT, found.pk if found else None)
        return found or project_named(name)
    except PermissionDenied:
        errors["project"] = [
            gettext("There is no project of that name that you may change: choose one of the list.")
        ]
    except ValidationError as error:
        errors["project"] = error.message_dict["project"]
    return None
