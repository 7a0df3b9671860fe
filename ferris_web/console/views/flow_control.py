"""Pause, and go on; what goes first; workers and their lanes."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST

from ferris.errors import Conflict
from ferris_web.accounts.permissions import reach
from ferris_web.catalog.selectors import service_get
from ferris_web.console.views.executions import actor
from ferris_web.executions.crews import lane_list, worker_list
from ferris_web.executions.services.pauses import service_pause, service_resume
from ferris_web.executions.services.urgency import execution_prioritise, lane_pause, lane_resume
from ferris_web.executions.services.workers import worker_drain, worker_resume

PRIORITIES = tuple(str(number) for number in range(1, 11))


@require_POST
def priority(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give an execution that waits another priority."""
    wanted = request.POST.get("priority", "")
    if wanted not in PRIORITIES:
        messages.error(request, gettext("A priority is a number from 1 to 10."))
        return redirect("console:execution", pk=pk)
    try:
        row = execution_prioritise(pk, int(wanted), now=timezone.now())
    except Conflict as error:
        messages.warning(request, f"{error}.")
    else:
        messages.success(
            request,
            gettext("Its priority is {priority} now, its lane {lane}.").format(
                priority=row.priority, lane=row.lane
            ),
        )
    return redirect("console:execution", pk=pk)


@require_POST
def pause(request: HttpRequest, name: str) -> HttpResponse:
    """Hold a service's executions back."""
    service = service_get(name)
    try:
        service_pause(service, actor=actor(request), now=timezone.now())
    except Conflict as error:
        messages.warning(request, f"{error}.")
    else:
        messages.success(request, gettext("Paused. What runs runs on; what is triggered waits."))
    return redirect("console:service", name=name)


@require_POST
def resume(request: HttpRequest, name: str) -> HttpResponse:
    """Let a service go on, with what has waited or without."""
    service, skip = service_get(name), request.POST.get("waiting") == "skip"
    try:
        count = service_resume(service, skip=skip, actor=actor(request), now=timezone.now())
    except Conflict as error:
        messages.warning(request, f"{error}.")
    else:
        said = (
            ngettext(
                "It goes on. {count} execution that has waited skipped.",
                "It goes on. {count} executions that have waited skipped.",
                count,
            )
            if skip
            else ngettext(
                "It goes on. {count} execution that has waited to run.",
                "It goes on. {count} executions that have waited to run.",
                count,
            )
        )
        messages.success(request, said.format(count=count))
    return redirect("console:service", name=name)


def workers(request: HttpRequest) -> HttpResponse:
    """Lanes and workers: what waits, who runs what, and what is held back."""
    context = {"lanes": lane_list(), "workers": worker_list(timezone.now(), reach(request.user))}
    return render(request, "console/workers.html", context)


@require_POST
def lane(request: HttpRequest, name: str) -> HttpResponse:
    """Pause a lane, or let it go on."""
    try:
        if request.POST.get("what") == "resume":
            lane_resume(name, now=timezone.now())
        else:
            lane_pause(name, actor=actor(request), now=timezone.now())
    except Conflict as error:
        messages.warning(request, f"{error}.")
    return redirect("console:workers")


@require_POST
def worker(request: HttpRequest, name: str) -> HttpResponse:
    """Drain a worker, or have it take executions again."""
    try:
        if request.POST.get("what") == "resume":
            worker_resume(name)
            messages.success(request, gettext("It takes executions again, within 20 seconds."))
        else:
            worker_drain(name, actor=actor(request), now=timezone.now())
            messages.success(request, gettext("It finishes what it runs and takes nothing new."))
    except Conflict as error:
        messages.warning(request, f"{error}.")
    return redirect("console:workers")
