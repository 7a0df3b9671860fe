"""Events that wait to run something: half-filled joins, open batches, what a throttle holds back."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ferris_web.console import filters
from ferris_web.console.paging import page
from ferris_web.executions import gathered
from ferris_web.executions.models import GATHERING_STATES, KINDS
from ferris_web.executions.visibility import scoped

_STATES = (("", "any"), *((state, state) for state, _ in GATHERING_STATES))
_KINDS = (("", "any"), *((kind, kind) for kind, _ in KINDS))
_MEMBERS = 500


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
        "kinds": filters.choices(query, "kind", _KINDS),
        "states": filters.choices(query, "state", _STATES),
        "filtered": any(value for name, value in query.items() if name != "cursor"),
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
    }
    return render(request, "console/gathering.html", context)
