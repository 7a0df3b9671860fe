"""Running a service by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from ferris.errors import Conflict, NotFound
from ferris.parameters import parse_parameters
from ferris_web.catalog import saved_runs
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.models import Service
from ferris_web.console import runform
from ferris_web.console.views.executions import actor, to_new
from ferris_web.console.views.flow_control import PRIORITIES
from ferris_web.executions import services
from ferris_web.executions.models import Execution


def run(request: HttpRequest, name: str) -> HttpResponse:
    """The form made from the service's parameters; sending it asks for a run. `?from=` takes an execution's input."""
    service = catalog.service_get(name)
    parameters = runform.parameters_of(service.version.parameters if service.version else [])
    if request.method != "POST":
        before = _before(service, request.GET.get("from", "")) or _saved(
            service, request.GET.get("saved", "")
        )
        text = json.dumps(before, indent=2, ensure_ascii=False) if before else "{}"
        return _page(request, service, runform.fields(parameters, before, {}), text)
    if not parameters:
        text = request.POST.get("p-json", "")
        values, problem = runform.submitted_json(text)
        if problem:
            return _page(request, service, [], text, json_error=problem)
        if _wants_saving(request):
            return _save(request, service, values, [], text)
        return _requested(request, service, values) or _page(request, service, [], text)
    sent = runform.submitted(parameters, request.POST, request.FILES)
    if sent.errors:
        shown = runform.fields(parameters, sent.entered, sent.errors)
        return _page(request, service, shown, errors=len(sent.errors))
    if _wants_saving(request):
        return _save(request, service, sent.values, runform.fields(parameters, sent.entered, {}))
    return _requested(request, service, sent.values) or _page(
        request, service, runform.fields(parameters, sent.entered, {})
    )


def _page(
    request: HttpRequest, service: Service, fields: list[runform.Field], text: str = "", **more: Any
) -> HttpResponse:
    context = {
        "service": service,
        "tab": "run",
        "fields": fields,
        "json": text,
        "refusal": _refusal(service),
        "saved_runs": list(saved_runs.saved_run_list(service)),
        "save_as": request.POST.get("save-as", "")[:100],
        "priorities": [(number, number == request.POST.get("run-priority")) for number in PRIORITIES],
        **more,
    }
    wrong = more.keys() & {"errors", "json_error", "save_error"}
    return render(request, "console/service-run.html", context, status=422 if wrong else 200)


def _refusal(service: Service) -> str:
    if service.vanished_at is not None or service.version_id is None:
        return gettext("It cannot be run: its folder is no longer in the repository.")
    if not service.active:
        return gettext("It cannot be run: its manifest says that it is inactive.")
    if not service.allow_manual_triggering:
        return gettext('It may not be run by hand: its manifest says "allow_manual_triggering": false.')
    return ""


def _before(service: Service, pk: str) -> Mapping[str, Any] | None:
    """The input of an earlier execution of this service."""
    try:
        wanted = UUID(pk) if pk else None
    except ValueError:
        wanted = None
    if wanted is None:
        return None
    row = Execution.objects.select_related("event").filter(pk=wanted, service=service).first()
    return row.event.data if row is not None and isinstance(row.event.data, dict) else None


def _saved(service: Service, name: str) -> Mapping[str, Any] | None:
    return saved_runs.saved_run_get(service, name).values if name else None


def _wants_saving(request: HttpRequest) -> bool:
    return request.POST.get("do") == "save"


def _save(
    request: HttpRequest,
    service: Service,
    values: dict[str, Any],
    fields: list[runform.Field],
    text: str = "",
) -> HttpResponse:
    """Keep the run and show it; when it is refused, the form again, which says why."""
    try:
        row = saved_runs.saved_run_set(
            service, request.POST.get("save-as", ""), values, actor=actor(request), now=timezone.now()
        )
    except Conflict as error:
        problem = gettext("It was not saved: {error}.").format(error=error)
        return _page(request, service, fields, text, save_error=problem)
    messages.success(request, gettext("Saved as {name}.").format(name=row.name))
    return redirect("console:service-run", name=service.name)


@require_POST
def saved(request: HttpRequest, name: str) -> HttpResponse:
    """Run a saved run as it is, or remove it."""
    service = catalog.service_get(name)
    try:
        row = saved_runs.saved_run_get(service, request.POST.get("saved", ""))
    except NotFound as error:  # somebody removed it meanwhile
        messages.error(request, f"{error}.")
        return redirect("console:service-run", name=service.name)
    form = f"{reverse('console:service-run', args=[service.name])}?{urlencode({'saved': row.name})}"
    if request.POST.get("do") == "remove":
        row.delete()
        messages.success(request, gettext("{name} is no longer saved.").format(name=row.name))
        return redirect("console:service-run", name=service.name)
    values = row.values
    parameters = runform.parameters_of(service.version.parameters if service.version else [])
    if parameters:  # the form may have changed since
        values, said = parse_parameters(parameters, row.values)
        if any(message.level == "error" for message in said):
            messages.error(
                request,
                gettext("It was not run: the form has changed since {name} was saved. Look at it.").format(
                    name=row.name
                ),
            )
            return redirect(form)
    return _requested(request, service, values) or redirect(form)


def _requested(request: HttpRequest, service: Service, values: dict[str, Any]) -> HttpResponse | None:
    """Ask for the run and go to its page; None when it was refused, and a message says why."""
    try:
        wanted = request.POST.get("run-priority", "")
        asked = services.run_request(
            service,
            values,
            actor=actor(request),
            now=timezone.now(),
            priority=int(wanted) if wanted in PRIORITIES else None,
        )
    except Conflict as error:
        messages.error(request, f"{error}.")
        return None
    return to_new(asked.execution_id)
