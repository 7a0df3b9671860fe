"""The first page: what happens now and what went wrong lately."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ferris.errors import BackendError
from ferris_web import wiring
from ferris_web.accounts.permissions import reach
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.models import Service
from ferris_web.console import charts
from ferris_web.executions import overview, promised
from ferris_web.executions.visibility import Projects, scoped

# The chart counts a day of rows; changes come many times a second, and nobody sees more than this.
_CHART_SECONDS = 5


def dashboard(request: HttpRequest) -> HttpResponse:
    """Executions by status, last failures, what runs now, lag, what comes next."""
    now = timezone.now()
    projects = reach(request.user)
    whose = "" if projects is None else ":".join(map(str, sorted(projects)))
    counts, hours = cache.get_or_set(
        "console:day" if projects is None else f"console:day:{_digest(whose)}",
        lambda: _day(now, projects),
        _CHART_SECONDS,
    )
    services = scoped(Service.objects.filter(vanished_at=None), request.user).count()
    opened = overview.open_counts(projects)
    context = {
        "counts": counts,
        "open": opened,
        "waiting": opened.get("queued", 0) + opened.get("pending", 0),
        "chart": charts.hours(hours),
        "failures": overview.failures_last(6, projects),
        "running": overview.running_now(6, projects),
        "schedules": scoped(catalog.schedule_list(active=True), request.user)[:5],
        "services": services,
        "overdue": promised.overdue_count(now - timedelta(days=1), projects),
        "dead_letters": overview.dead_letter_count(now - timedelta(days=1), projects),
        "any": bool(counts) or any(True for _ in overview.failures_last(1, projects)),
        **_lag(),
    }
    return render(request, "console/dashboard.html", context)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _day(now: datetime, projects: Projects | None) -> tuple[dict[str, int], list[overview.Hour]]:
    counts = overview.status_counts(now - timedelta(days=1), projects=projects)
    return counts, overview.hours(now, projects=projects)


def _lag() -> dict[str, Any]:
    """Records that wait for the platform's own readers, by topic and group; or why that is not known."""
    try:
        topics = wiring.event_log().topics()
    except BackendError as error:
        return {"log_error": error}
    rows = [(topic.name, group, lag) for topic in topics for group, lag in topic.groups.items()]
    return {"lag": sum(lag for _, _, lag in rows), "lag_rows": [row for row in rows if row[2]]}
