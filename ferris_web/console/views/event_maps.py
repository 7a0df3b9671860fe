"""Event maps: the list, and the form on which a map is tried with past events before it is saved."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from ferris.errors import Conflict
from ferris.event_maps import MAPPED, EventMap, MapError, event_map
from ferris_web.accounts.permissions import may_manage
from ferris_web.catalog import event_maps as catalog
from ferris_web.catalog.models import EventMap as Row
from ferris_web.console.views.managing import managers
from ferris_web.executions.auditing import audit_made
from ferris_web.executions.event_types import event_map_trials

_FIELDS = ("map", "strategy", "constants", "templates")


def map_list(request: HttpRequest) -> HttpResponse:
    """All maps."""
    rows = [
        {"row": row, "map": {row.source: row.target, **row.fields}, "own": [*row.constants, *row.templates]}
        for row in Row.objects.all()[:500]
    ]
    context = {"rows": rows, "manages": may_manage(request.user, Row)}
    return render(request, "console/event-maps.html", context)


def new(request: HttpRequest) -> HttpResponse:
    """The form: tried by everybody, saved by administrators, and only after it was tried as it stands."""
    values = {name: request.POST.get(name, "") for name in _FIELDS}
    context: dict[str, Any] = {"values": values, "manages": may_manage(request.user, Row)}
    if request.method != "POST":
        kind = request.GET.get("source", "")[:512] or "source.type"
        values |= {"map": json.dumps({kind: "target.type", "field": "field"}, indent=2), "strategy": MAPPED}
        return render(request, "console/event-map-new.html", context)
    try:
        made = _made(values)
    except MapError as error:
        return render(
            request,
            "console/event-map-new.html",
            {**context, "errors": {error.name: [error.problem]}},
            status=422,
        )
    if request.POST.get("do") == "save" and request.POST.get("tried") == _said(values):
        if not context["manages"]:
            raise PermissionDenied
        try:
            row = catalog.event_map_add(made, actor=request.user.get_username())
        except Conflict as error:
            return render(
                request,
                "console/event-map-new.html",
                {**context, "errors": {"map": [str(error)]}},
                status=422,
            )
        audit_made(request, "event-maps", row.pk)
        messages.success(
            request,
            gettext("Events of {source} make events of {target} from now on.").format(
                source=made.source, target=made.target
            ),
        )
        return redirect("console:event-maps")
    context |= {"trials": event_map_trials(made), "made": made, "tried": _said(values)}
    return render(request, "console/event-map-new.html", context)


@require_POST
@managers(Row)
def remove(request: HttpRequest, number: int) -> HttpResponse:
    """Remove one."""
    row = catalog.event_map_get(number)
    catalog.event_map_remove(row)
    messages.success(
        request,
        gettext("The map from {source} to {target} was removed.").format(
            source=row.source, target=row.target
        ),
    )
    return redirect("console:event-maps")


def _said(values: dict[str, str]) -> str:
    return json.dumps([values[name].replace("\r\n", "\n") for name in _FIELDS])


def _made(values: dict[str, str]) -> EventMap:
    read = {}
    for name in ("map", "constants", "templates"):
        try:
            read[name] = json.loads(values[name]) if values[name].strip() else {}
        except (ValueError, RecursionError) as error:
            raise MapError(name, gettext("is no JSON: {error}").format(error=error)) from None
    return event_map(read["map"], values["strategy"], read["constants"], read["templates"])
