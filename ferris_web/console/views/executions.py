"""Executions: the list, and one execution with its steps and log."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from ferris.errors import BackendError, Conflict, NotFound
from ferris.lanes import WHY
from ferris.precedence import PRIORITY_FROM
from ferris_web.accounts.models import User
from ferris_web.accounts.permissions import Action, reach
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.models import Schedule
from ferris_web.console import addresses, causes, charts, commands, filterbar, filters, logs
from ferris_web.console.filters import Choice
from ferris_web.console.paging import page
from ferris_web.console.sentences import said
from ferris_web.console.views import artifacts, configured, lists
from ferris_web.console.views.services import visible_secrets
from ferris_web.executions import overview, selectors, services
from ferris_web.executions.continuing import continuation_of, taken_of
from ferris_web.executions.listings import EXECUTIONS
from ferris_web.executions.log_download import log_response
from ferris_web.executions.models import OPEN, Execution
from ferris_web.executions.visibility import allow, scoped
from ferris_web.executions.waiting import execution_waiting

_MAIN = ("correlation_id", "service", "status", "project", "trigger_type")
_SCHEDULED = "scheduled"
_SOON = 3  # runs to come that are shown above those that were


def execution_list(request: HttpRequest) -> HttpResponse:
    """Executions, newest first, and above them what the clock will start; every filter is in the address."""
    query, now = request.GET, timezone.now()
    if query.get("status") == _SCHEDULED:
        return _to_come(request, now)
    bar = filterbar.bar(
        EXECUTIONS, request, now, _MAIN, (Choice(_SCHEDULED, gettext("scheduled, to come"), False),)
    )
    values = bar.asked.values
    found = lists.found(request, EXECUTIONS, bar.asked)
    shown = page(selectors.executions_shown(found), query, way=EXECUTIONS.way(reach(request.user), bar.asked))
    soon = not bar.asked.errors and shown.first and set(values) <= {"service", "project", "since"}
    context = {
        "bar": bar,
        "bulk": lists.bulk_of(request, EXECUTIONS),
        "page": shown,
        "soon": upcoming(request, values.get("service", ""), values.get("project", ""))[:_SOON]
        if soon
        else [],
    }
    return render(request, "console/executions.html", context)


def _to_come(request: HttpRequest, now: datetime) -> HttpResponse:
    """What the clock will start, the next first."""
    bar = filterbar.bar(
        EXECUTIONS, request, now, _MAIN, (Choice(_SCHEDULED, gettext("scheduled, to come"), True),)
    )
    service, project = (str(bar.asked.values.get(name, "")) for name in ("service", "project"))
    shown = page(upcoming(request, service, project), request.GET, order=("next_due_at", "id"))
    context = {"bar": bar, "page": shown, "scheduled": True}
    return render(request, "console/executions.html", context)


def upcoming(request: HttpRequest, service: str, project: str) -> QuerySet[Schedule]:
    """The schedules that will start something, the next first."""
    found = scoped(catalog.schedules_to_come(), request.user)
    if service:
        found = found.filter(service__name=service)
    return found.filter(service__project__name=project) if project else found


def execution(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One execution: what it is, how it went, its log, what it caused."""
    row = _get(pk)
    if row is None:
        # Asked for a moment ago: its row appears when the router has read the event.
        if "new" in request.GET:
            return render(
                request, "console/wait.html", {"what": gettext("The run"), "list": "console:executions"}
            )
        raise NotFound(f"there is no execution {pk}")
    allow(request.user, Action.VIEW, "execution", pk)
    now = timezone.now()
    steps = list(row.steps.all())
    attempts = [(number, list(group)) for number, group in groupby(reversed(steps), lambda s: s.attempt)]
    context = {
        "execution": row,
        "event": row.event,
        "attempts": [(number, list(reversed(group))) for number, group in attempts],
        "timeline": charts.timeline(row, [s for s in steps if s.attempt == row.attempt], now),
        "cause": causes.of(row, steps),
        "again": continuation_of(row, now) if _has_several(row) and row.status == "failed" else None,
        "taken": taken_of(row),
        "tabled": [s for s in steps if s.attempt == row.attempt and s.tables],
        "open": row.status in OPEN,
        "waiting": execution_waiting(row),
        "priorities": range(1, 11),
        "lane_reason": said(WHY.get(row.lane_reason, "")),
        "priority_from": said(PRIORITY_FROM.get(row.priority_from, "")) if row.priority_from else "",
        "parent": _parent(request, row),
        "caused": overview.caused_by(row, reach(request.user)),
        "artifacts": artifacts.shown(row),
        "ran_before": selectors.execution_before(row),
        **configured.shown(request, row, steps),
        "curl": commands.run_curl(request, row),
        "cli": commands.run_again(row),
        "secret_names": sorted({secret.name for secret, _ in visible_secrets(row.service)}),
        **_log_context(request, row),
    }
    return render(request, "console/execution.html", context)


def _has_several(row: Execution) -> bool:
    return len(row.version.manifest.get("scripts", ())) > 1


def _parent(request: HttpRequest, row: Execution) -> Execution | None:
    found = Execution.objects.select_related("service__project", "version", "event").filter(pk=row.parent_id)
    return scoped(found, request.user).first() if row.parent_id else None


def _get(pk: UUID) -> Execution | None:
    return Execution.objects.select_related("service__project", "version", "event").filter(pk=pk).first()


def _existing(pk: UUID) -> Execution:
    row = _get(pk)
    if row is None:
        raise NotFound(f"there is no execution {pk}")
    return row


def _log_context(request: HttpRequest, row: Execution) -> dict[str, Any]:
    wanted = logs.Wanted.from_query(request.GET)
    try:
        view = logs.last(row, wanted)
    except BackendError as error:
        return {"log_error": error, "wanted": wanted}
    return {
        "log": view,
        "wanted": wanted,
        "levels": filters.choices(request.GET, "level", logs.LEVEL_OPTIONS),
    }


def log(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The log alone, for another filter or for earlier lines."""
    row = _existing(pk)
    context = {"execution": row, "open": row.status in OPEN, **_log_context(request, row)}
    return render(request, "console/parts/log.html", context)


def log_file(request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
    """The whole log as a text file."""
    row = _existing(pk)
    return log_response(str(row.pk))


@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask for the end of an execution."""
    try:
        force = request.POST.get("force") == "1"
        row = services.execution_cancel(pk, actor=actor(request), now=timezone.now(), force=force)
    except Conflict as error:
        messages.warning(request, str(error))
    else:
        asked = (
            gettext("Its executor stops it within two seconds.")
            if row.status == "in_progress" and not force
            else gettext("It will not start.")
            if not force
            else gettext("It counts as ended; should its executor come back, it ends the script.")
        )
        messages.success(request, gettext("Cancelled. {asked}").format(asked=asked))
        if request.POST.get("back") == "flow":
            return _to_flow(row.flow_id, pk)
    return redirect("console:execution", pk=pk)


@require_POST
def retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ask for another execution with the same input."""
    row = _existing(pk)
    try:
        from_failed = request.POST.get("from") == "failed"
        asked = services.retry_request(
            row, actor=actor(request), now=timezone.now(), from_failed_step=from_failed
        )
    except Conflict as error:
        messages.warning(request, str(error))
        return redirect("console:execution", pk=pk)
    if request.POST.get("back") == "flow":
        services.wait_visible(asked.execution_id, timeout=1.0)
        return _to_flow(row.flow_id, asked.execution_id)
    return to_new(asked.execution_id)


def _to_flow(flow_id: str, node: UUID) -> HttpResponse:
    """Back to the graph, with that node chosen."""
    address = addresses.flow(flow_id)
    return redirect(f"{address}{'&' if '?' in address else '?'}node={node}")


def to_new(pk: UUID) -> HttpResponse:
    """To the page of an execution that was just asked for, which may not be visible yet."""
    services.wait_visible(pk, timeout=1.0)
    return redirect(f"{reverse('console:execution', args=[pk])}?new=1")


def actor(request: HttpRequest) -> str:
    """Who asks, for the history."""
    user = request.user
    return user.get_username() if isinstance(user, User) else "unknown"
