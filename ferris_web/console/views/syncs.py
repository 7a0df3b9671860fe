"""One synchronisation; what one would do before it is done; and the way back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from ferris.errors import FerrisError
from ferris.repositories import is_commit
from ferris_web.catalog import repositories, selectors, sync_queue
from ferris_web.catalog.models import Project, Repository, SyncRun
from ferris_web.catalog.preview import sync_preview
from ferris_web.catalog.source import is_git_url
from ferris_web.console import synced

_COMMITS = 50  # on a page


def sync(request: HttpRequest, name: str, pk: int) -> HttpResponse:
    """One synchronisation, and while it runs how far it is."""
    project = selectors.project_get(name)
    run = selectors.sync_run_get(project, pk)
    ended = run.finished_at
    context = {
        "project": project,
        "run": run,
        "result": synced.rows(run.result),
        "duration": (ended - run.started_at).total_seconds() if ended else None,
        "can_roll_back": run.status == SyncRun.Status.COMPLETED
        and is_commit(run.commit)
        and is_git_url(run.repository.source)
        and run.commit != run.repository.commit,
    }
    return render(request, "console/sync.html", context)


def preview(request: HttpRequest, name: str, pk: int) -> HttpResponse:
    """What a branch would change, before it is live."""
    project = selectors.project_get(name)
    found = repositories.repository_get(project, pk)
    branch = request.GET.get("branch", found.branch).strip()
    context: dict[str, Any] = {"project": project, "repository": found, "branch": branch}
    if request.GET.get("look"):
        context |= _looked(found, branch=branch)
    return render(request, "console/sync-preview.html", context)


def rollback(request: HttpRequest, name: str, pk: int) -> HttpResponse:
    """What an earlier commit would change; and back to it."""
    project = selectors.project_get(name)
    found = repositories.repository_get(project, pk)
    if request.method == "POST":
        return _roll_back(request, project, found)
    commit = request.GET.get("commit", "").strip()
    context: dict[str, Any] = {"project": project, "repository": found, "rollback": True, "commit": commit}
    context |= _looked(found, commit=commit) if commit else _commits(request, found)
    return render(request, "console/sync-preview.html", context)


def _commits(request: HttpRequest, found: Repository) -> dict[str, Any]:
    """What there is to choose from."""
    try:
        listed = repositories.commits_list(found, behind=request.GET.get("behind", ""), limit=_COMMITS + 1)
    except (FerrisError, OSError) as error:
        return {"error": str(error)}
    more = listed[_COMMITS - 1].commit.id if len(listed) > _COMMITS else ""
    return {"commits": listed[:_COMMITS], "more": more}


def _roll_back(request: HttpRequest, project: Project, found: Repository) -> HttpResponse:
    try:
        repositories.repository_pin(
            found, request.POST.get("commit", ""), actor=request.user, now=timezone.now()
        )
    except FerrisError as error:
        messages.error(request, str(error))
        return redirect("console:repository", name=project.name, pk=found.pk)
    run = sync_queue.sync_request(found, SyncRun.Cause.ROLLBACK, actor=request.user, now=timezone.now())
    return redirect("console:sync", name=project.name, pk=run.pk)


@require_POST
def follow(request: HttpRequest, name: str, pk: int) -> HttpResponse:
    """Follow the branch again, beginning now."""
    found = repositories.repository_get(selectors.project_get(name), pk)
    repositories.repository_follow(found)
    run = sync_queue.sync_request(found, SyncRun.Cause.PERSON, actor=request.user, now=timezone.now())
    return redirect("console:sync", name=name, pk=run.pk)


def _looked(found: Repository, *, branch: str | None = None, commit: str = "") -> dict[str, Any]:
    try:
        if commit:
            repositories.commit_check(found, commit)
        seen = sync_preview(found, branch=branch, commit=commit, now=timezone.now())
    except (FerrisError, OSError) as error:
        return {"error": str(error)}
    return {"preview": seen, "result": synced.rows(seen.result)}
