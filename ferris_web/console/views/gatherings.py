"""Events that wait to run something: half-filled joins, open batches, what a throttle holds back."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from ferris.errors import Conflict
from ferris.gathering import OPEN
from ferris_web.console import filters
from ferris_web.console.paging import page
from ferris_web.console.views.executions import actor
from ferris_web.console.words import word
from ferris_web.executions import gathered
from ferris_web.executions.models import GATHERING_STATES, KINDS
from ferris_web.executions.services.gathering_hand import gathering_close, gathering_discard
from ferris_web.executions.visibility import scoped

_STATES = (("", "any"), *((state, state) for state, _ in GATHERING_STATES))
_KINDS = (("", "any"), *((kind, kind) for kind, _ in KINDS))
_MEMBERS = 500
CLOSES = {
    "batch": _("Run it now, with the events that have come?"),
    "debounce": _("Run it now, without waiting until its key has come to rest?"),
    "join": _("Close it now? It runs with what has come, complete or not; an absence is told at once."),
    "throttle": _("Let through now what it holds back, whatever its limit says?"),
    "deduplicate": _("End its window now? The next event of this key runs."),
}


def gathering_list(request: HttpRequest) -> HttpResponse:
    """Gatherings, newest first."""
    query = request.GET
    found = gathered.gathering_list(
        service=filters.text(query, "service", 200),
        kind=filters.chosen(query, "kind", _KINDS),
        state=filters.chosen(query, "state", _STATES),
        key=filters.text(query, "key", 255),
    )
    context = {
        "page": page(scoped(found, request.user), query, time="opened_at"),
        "service": filters.text(query, "service", 200),
        "key": filters.text(query, "key", 255),
        "kinds": filters.choices(query, "kind", [(value, word(text)) for value, text in _KINDS]),
        "states": filters.choices(query, "state", [(value, word(text)) for value, text in _STATES]),
        "filtered": any(value for name, value in query.items() if name != "cursor"),
        "newest": not query.get("cursor"),
    }
    return render(request, "console/gatherings.html", context)


def gathering(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One gathering: its rule, what came, what is missing, what it became."""
    row = gathered.gathering_get(pk)
    found = list(gathered.gathering_members(row)[: _MEMBERS + 1])
    context = {
        "gathering": row,
        "parts": gathered.join_parts(row),
        "members": found[:_MEMBERS],
        "more": len(found) > _MEMBERS,
        "execution": gathered.execution_of(row),
        "open": row.state == OPEN,
        "closes": CLOSES[row.kind],
        "holds": row.kind != "throttle" or row.held > 0,
    }
    return render(request, "console/gathering.html", context)


@require_POST
def close(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Do now what its time would do."""
    try:
        gathering_close(pk, actor=actor(request), now=timezone.now())
    except Conflict as error:
        messages.warning(request, f"{error}.")
    else:
        messages.success(request, gettext("Closed, with what had come."))
    return redirect("console:gathering", pk=pk)


@require_POST
def discard(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Close it without a run."""
    try:
        count = gathering_discard(pk, actor=actor(request), now=timezone.now())
    except Conflict as error:
        messages.warning(request, f"{error}.")
    else:
        messages.success(
            request,
            ngettext(
                "Discarded. {count} event run nothing here.",
                "Discarded. {count} events run nothing here.",
                count,
            ).format(count=count),
        )
    return redirect("console:gathering", pk=pk)
