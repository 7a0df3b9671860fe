"""Why services ran for an event, or did not: by event, and by service."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ferris.errors import NotFound
from ferris_web.accounts.permissions import Action, reach
from ferris_web.catalog import selectors as catalog
from ferris_web.console import filters
from ferris_web.executions import selectors, why
from ferris_web.executions.models import Event
from ferris_web.executions.visibility import allow, scoped

_ON_THE_EVENT = 20  # services told on the event's own page
_ON_A_PAGE = 50


def near(request: HttpRequest, row: Event) -> dict[str, Any]:
    """For the page of an event: the services that listen for its type and did not run, the first of them."""
    page = why.verdict_page(row, stages=(why.NEAR,), limit=_ON_THE_EVENT, projects=reach(request.user))
    return {"others": page.verdicts, "more_others": _following(page.following, "", False)}


def event(request: HttpRequest, key: UUID) -> HttpResponse:
    """Every service that ran, then those that listen for the type, then all others, some at a time."""
    row = Event.objects.filter(pk=key).first()
    if row is None:
        raise NotFound(f"there is no event {key}")
    query = filters.text(request.GET, "q", 200)
    everything = bool(query) or filters.text(request.GET, "all", 5) == "1"
    stages = why.STAGES if everything else why.STAGES[:2]
    place = _place(request, stages)
    page = why.verdict_page(
        row, query=query, stages=stages, after=place, limit=_ON_A_PAGE, projects=reach(request.user)
    )
    context = {
        "event": row,
        "verdicts": page.verdicts,
        "q": query,
        "all": everything,
        "first": place is None,
        "older": _following(page.following, query, everything),
        "newest": "?" + urlencode({"q": query} if query else {"all": "1"} if everything else {}),
    }
    return render(request, "console/event-why.html", context)


def _following(place: why.Place | None, query: str, everything: bool) -> str:
    if place is None:
        return ""
    said = {"q": query} if query else {"all": "1"} if everything else {}
    return "?" + urlencode({**said, "stage": place[0], "behind": place[1]})


def _place(request: HttpRequest, stages: tuple[str, ...]) -> why.Place | None:
    """Where the page begins; a damaged address means at the first."""
    stage, behind = filters.text(request.GET, "stage", 10), filters.text(request.GET, "behind", 200)
    if stage not in stages or not behind or (stage == why.RAN and not behind.isdecimal()):
        return None
    return stage, behind


def service(request: HttpRequest, name: str) -> HttpResponse:
    """Why this service did or did not run for the event whose id is asked for."""
    row = catalog.service_get(name)
    wanted = filters.text(request.GET, "event")
    context: dict[str, Any] = {"service": row, "tab": "why", "wanted": wanted}
    if wanted:
        try:
            found = selectors.event_get(wanted)
            allow(request.user, Action.VIEW, "event", found.pk)
        except NotFound:
            context["missing"] = True
        else:
            context |= {"event": found, "verdicts": [why.verdict_of(found, row)]}
    else:
        types = [trigger.event_type for trigger in row.triggers.all()[:20] if "*" not in trigger.event_type]
        recent = Event.objects.filter(type__in=types).defer("data", "extensions")
        context["recent"] = (
            scoped(recent, request.user).order_by("-received_at", "-key")[:10] if types else []
        )
    return render(request, "console/service-why.html", context)
