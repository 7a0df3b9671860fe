"""Repositories of a project: added, changed, removed; what opens them, and the keys of their hosts."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from ferris.errors import Conflict, FerrisError
from ferris.repositories import HTTPS, SSH, host_keys
from ferris_web import wiring
from ferris_web.catalog import repositories as catalog
from ferris_web.catalog import selectors, sync_queue
from ferris_web.catalog.models import Project, Repository
from ferris_web.catalog.source import is_git_url

_NAMED = 5  # folders, in a sentence
_TEXTS = ("source", "branch", "folder", "username")


@sensitive_post_parameters("token")
def add(request: HttpRequest, name: str) -> HttpResponse:
    """The form for another repository of a project."""
    project = selectors.project_get(name)
    values = {field: request.POST.get(field, "").strip() for field in _TEXTS}
    entered = {**values, **{name: request.POST.get(name, "") for name in ("every_minutes", "platform_keys")}}
    context: dict[str, Any] = {"project": project, "values": entered}
    if request.method == "POST":
        try:
            repository = catalog.repository_add(
                project.name,
                **values,
                token=request.POST.get("token", "").strip(),
                own_key="platform_keys" not in request.POST,
                every_minutes=_minutes(request),
                actor=request.user,
                now=timezone.now(),
            )
        except ValidationError as error:
            return render(
                request, "console/repository.html", context | {"errors": error.message_dict}, status=422
            )
        except Conflict as error:
            return render(
                request, "console/repository.html", context | {"errors": {"source": [str(error)]}}, status=422
            )
        _told(request, repository)
        return redirect("console:repository", name=project.name, pk=repository.pk)
    return render(request, "console/repository.html", context)


@sensitive_post_parameters("token")
def repository(request: HttpRequest, name: str, pk: int) -> HttpResponse:
    """One repository, to look at and to change."""
    project = selectors.project_get(name)
    found = catalog.repository_get(project, pk)
    if request.method != "POST":
        return _page(request, project, found)
    given: dict[str, Any] = {field: request.POST.get(field, "").strip() for field in ("branch", "folder")}
    entered = {**given, **{name: request.POST.get(name, "") for name in ("every_minutes", "username")}}
    token = request.POST.get("token", "").strip()
    try:
        catalog.repository_change(
            found,
            **given,
            every_minutes=_minutes(request) or 0,
            token="" if "remove_token" in request.POST else token or None,
            username=request.POST.get("username", "").strip(),
            now=timezone.now(),
        )
    except ValidationError as error:
        return _page(request, project, found, values=entered, errors=error.message_dict, status=422)
    messages.success(request, gettext("Saved. The next synchronisation reads it."))
    tell_taken(request, catalog.repository_get(project, pk))
    return redirect("console:repository", name=project.name, pk=found.pk)


@require_POST
def key(request: HttpRequest, name: str, pk: int) -> HttpResponse:
    """A new deploy key, or none; or the host's new key is accepted."""
    found = catalog.repository_get(selectors.project_get(name), pk)
    what = request.POST.get("action")
    try:
        if what == "make":
            catalog.deploy_key_make(found)
            messages.success(
                request,
                gettext(
                    "A new deploy key was made: give it to the repository's host, and remove the old one "
                    "there."
                ),
            )
        elif what == "drop":
            catalog.deploy_key_drop(found)
            messages.success(
                request,
                gettext("The deploy key was removed: the keys of the user who runs the platform count now."),
            )
        elif what == "accept":
            catalog.host_key_accept(found, request.POST.get("fingerprint", ""))
            messages.success(request, gettext("The new host key is pinned. Synchronise again."))
    except FerrisError as error:
        messages.error(request, str(error))
    return redirect("console:repository", name=name, pk=pk)


@require_POST
def push(request: HttpRequest, name: str, pk: int) -> HttpResponse:
    """A new secret for the host's webhook, shown once; or no pushes any more."""
    project = selectors.project_get(name)
    found = catalog.repository_get(project, pk)
    if request.POST.get("action") == "drop":
        sync_queue.push_secret_drop(found)
        messages.success(request, gettext("Pushes are refused from now on."))
        return redirect("console:repository", name=name, pk=pk)
    return _page(request, project, found, push_secret=sync_queue.push_secret_make(found))


@require_POST
def remove(request: HttpRequest, name: str, pk: int) -> HttpResponse:
    """Forget it; its services are triggered no more."""
    found = catalog.repository_get(selectors.project_get(name), pk)
    try:
        gone = catalog.repository_remove(found, now=timezone.now())
    except Conflict as error:
        messages.error(request, str(error))
        return redirect("console:repository", name=name, pk=pk)
    kept = (
        " "
        + gettext("Triggered no more, with their history kept: {services}.").format(services=", ".join(gone))
        if gone
        else ""
    )
    messages.success(request, gettext("{source} was removed.").format(source=found.source) + kept)
    return redirect("console:project", name=name)


def _page(
    request: HttpRequest, project: Project, found: Repository, *, status: int = 200, **more: Any
) -> HttpResponse:
    scheme = catalog.scheme_of(found)
    context = {
        "project": project,
        "repository": found,
        "values": {"branch": found.branch, "folder": found.folder, "every_minutes": found.every_minutes},
        "has_push": found.secrets.filter(kind="push").exists(),
        "push_address": f"{wiring.config().public_url}/hooks/repositories/{found.pk}/",
        "is_git": is_git_url(found.source),
        "ssh": scheme == SSH,
        "https": scheme == HTTPS,
        "has_token": catalog.has_token(found),
        "known": host_keys(found.known_hosts),
        "offered": host_keys(found.offered_hosts),
        "service_count": found.services.filter(vanished_at=None).count(),
    }
    return render(request, "console/repository.html", context | more, status=status)


def _minutes(request: HttpRequest) -> int | None:
    said = request.POST.get("every_minutes", "").strip()
    if not said:
        return None
    if not said.isdecimal() or len(said) > 6:
        raise ValidationError({"every_minutes": [gettext("is no number of minutes")]})
    return int(said) or None


def tell_taken(request: HttpRequest, saved: Repository) -> None:
    """Warn of folders that a synchronisation will refuse, where that can be known before."""
    found = catalog.names_taken(saved)
    if found:
        named = ", ".join(f"{one.service} ({one.project})" for one in found[:_NAMED])
        text = ngettext(
            "A folder has the name of a service of another project and will be refused; rename it: {named}.",
            "{count} folders have names of services of other projects and will be refused; rename them: {named}.",
            len(found),
        )
        messages.warning(
            request, text.format(count=len(found), named=named + (" …" if found[_NAMED:] else ""))
        )


def _told(request: HttpRequest, added: Repository) -> None:
    tell_taken(request, added)
    if added.public_key:
        messages.info(
            request,
            gettext(
                "Give the deploy key below to the repository's host, with the right to read; then "
                "synchronise."
            ),
        )
    else:
        messages.success(request, gettext("Added. Synchronise to read it."))
