"""What runs by the clock."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ferris_web.catalog import selectors as catalog
from ferris_web.console import filters
from ferris_web.console.views.services import next_times
from ferris_web.executions.visibility import scoped

STATES = (("", "active and ended"), ("active", "active"), ("ended", "ended or off"))


def schedule_list(request: HttpRequest) -> HttpResponse:
    """Every schedule with its next times."""
    state = filters.chosen(request.GET, "state", STATES)
    found = catalog.schedule_list(active={"active": True, "ended": False}.get(state))
    q = filters.text(request.GET, "q", 200)
    if q:
        found = found.filter(service__name__icontains=q)
    page = Paginator(scoped(found, request.user), 50).get_page(request.GET.get("page"))
    now = timezone.now()
    context = {
        "page": page,
        "rows": [(schedule, next_times(schedule, now, 3) if schedule.active else []) for schedule in page],
        "q": q,
        "states": filters.choices(request.GET, "state", STATES),
        "filtered": bool(q or state),
    }
    return render(request, "console/schedules.html", context)
