"""Replays of past events, and the runs that schedules missed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from ferris.errors import Conflict, FerrisError
from ferris.moments import moment
from ferris.replaying import Selection, SelectionError
from ferris_web.accounts.permissions import Action, require
from ferris_web.catalog.models import Service
from ferris_web.catalog.selectors import schedule_get, service_get
from ferris_web.console import filters
from ferris_web.console.paging import page
from ferris_web.executions import selectors
from ferris_web.executions.models import Replay
from ferris_web.executions.services import replays
from ferris_web.executions.services.schedules import schedule_backfill, schedule_gaps, window_of
from ferris_web.executions.visibility import allow, scoped

_SECONDS = 8.0
_FIELDS = ("service", "event_type", "filter", "cesql", "flow_id", "derived", "since", "until", "rate")
_PERIODS = (
    ("", _("since it was made, a week at most")),
    ("24h", _("last 24 hours")),
    ("7d", _("last 7 days")),
    ("30d", _("last 30 days")),
)

_LENGTHS = {"24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
STATUSES = (("", _("any status")), *((value, _(value)) for value, _label in Replay.Status.choices))


def replay_list(request: HttpRequest) -> HttpResponse:
    """Replays, newest first."""
    found = selectors.replay_list(status=filters.chosen(request.GET, "status", STATUSES))
    rows = page(scoped(found, request.user), request.GET)
    context = {
        "page": rows,
        "statuses": filters.choices(request.GET, "status", STATUSES),
        "filtered": bool(request.GET.get("status")),
        "running": any(row.status == "running" for row in rows),
    }
    return render(request, "console/replays.html", context)


def new(request: HttpRequest) -> HttpResponse:
    """The form; then how many events it would send, and the button that begins; then it begins."""
    said = request.POST if request.method == "POST" else request.GET
    form = {name: said.get(name, "").replace("\0", "")[:20_000].strip() for name in _FIELDS}
    form["event_type"] = form["event_type"] or "*"
    form["since"] = form["since"] or "7d"
    context: dict[str, Any] = {
        "form": form,
        "names": list(
            scoped(Service.objects.filter(vanished_at=None), request.user).values_list("name", flat=True)[
                :500
            ]
        ),
    }
    if request.method != "POST":
        return render(request, "console/replay-new.html", context)
    now = timezone.now()
    try:
        draft = _draft(request, form, now)
        if said.get("do") == "begin":
            expected = said.get("expected", "")
            begun = replays.replay_begin(
                draft,
                actor=request.user.get_username(),
                expected=int(expected) if expected.isdecimal() and len(expected) < 10 else None,
            )
            messages.success(request, gettext("The replay has begun."))
            return redirect("console:replay", pk=begun.pk)
        # What is previewed is what is sent: the window ends where it was counted.
        form["since"], form["until"] = draft.since.isoformat(), draft.until.isoformat()
        context |= {"draft": draft, "preview": replays.replay_preview(draft, most_seconds=_SECONDS)}
        return render(request, "console/replay-new.html", context)
    except SelectionError as error:
        context["errors"] = {error.name: [error.problem]}
    except FerrisError as error:
        context["errors"] = {"service": [str(error)]}
    return render(request, "console/replay-new.html", context, status=422)


def _draft(request: HttpRequest, form: dict[str, str], now: datetime) -> Replay:
    service = service_get(form["service"]) if form["service"] else None
    if service is None:
        require(request.user, Action.RUN)  # it goes to all that listen
    else:
        allow(request.user, Action.RUN, "service", service.name)
    try:
        rule = json.loads(form["filter"]) if form["filter"] else None
    except ValueError as error:
        raise SelectionError("filter", gettext("is no JSON: {error}").format(error=error)) from None
    try:
        rate = float(form["rate"] or 0)
    except ValueError:
        raise SelectionError("rate", gettext("is no number")) from None
    selection = Selection(
        event_type=form["event_type"],
        filter=rule,
        cesql=form["cesql"] or None,
        flow_id=form["flow_id"],
        derived=bool(form["derived"]) or service is not None,
    )
    return replays.replay_draft(
        selection,
        service=service,
        since=_moment("since", form["since"], now),
        until=_moment("until", form["until"] or "0s", now),
        rate=rate,
        now=now,
    )


def _moment(field: str, text: str, now: datetime) -> datetime:
    try:
        return moment(text, now)
    except ValueError as error:
        raise SelectionError(field, str(error)) from None


def replay(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One replay: how far it is, and what came of it."""
    row = replays.replay_get(pk)
    outcome = selectors.replay_outcome(row)
    fields = {
        "service": row.service.name if row.service else "",
        "event_type": row.event_type,
        "filter": "" if row.filter is None else json.dumps(row.filter),
        "cesql": row.cesql or "",
        "flow_id": row.flow_id,
        "derived": "on" if row.derived else "",
        "since": row.since.isoformat(),
        "until": row.until.isoformat(),
        "rate": f"{row.rate:g}" if row.rate else "",
    }
    context = {
        "replay": row,
        "outcome": outcome,
        "runs": sorted(outcome.executions.items()),
        "events": selectors.replay_events(row)[:10],
        "again": f"{reverse('console:replay-new')}?{urlencode(fields)}",
    }
    return render(request, "console/replay.html", context)


@require_POST
def stop(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Send no more of it."""
    return _switched(request, pk, lambda row: replays.replay_stop(row, now=timezone.now()))


@require_POST
def resume(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let it go on."""
    return _switched(request, pk, replays.replay_resume)


def _switched(request: HttpRequest, pk: UUID, act: Callable[[Replay], Replay]) -> HttpResponse:
    try:
        act(replays.replay_get(pk))
    except Conflict as error:
        messages.error(request, gettext("Nothing was changed: {error}.").format(error=error))
    return redirect("console:replay", pk=pk)


def gaps(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The due times that a schedule missed; those that are picked are run."""
    row, now = schedule_get(pk), timezone.now()
    refused, picked = "", request.POST.getlist("time")[:1000]
    if request.method == "POST":
        try:
            if not picked:
                raise Conflict(gettext("none was picked"))
            made = schedule_backfill(row, [moment(text, now) for text in picked], now=now)
        except (Conflict, ValueError) as error:
            refused = gettext("Nothing was run: {error}.").format(error=error)
        else:
            messages.success(
                request,
                ngettext("{count} run asked for.", "{count} runs asked for.", len(made)).format(
                    count=len(made)
                ),
            )
            return redirect(f"{reverse('console:schedule-gaps', args=[pk])}?{request.GET.urlencode()}")
    chosen = _LENGTHS.get(request.GET.get("since", ""))
    since, until = window_of(row, now - chosen if chosen else None, None, now=now)
    context: dict[str, Any] = {"schedule": row, "periods": filters.choices(request.GET, "since", _PERIODS)}
    try:
        context["gaps"] = schedule_gaps(row, since=since, until=until)
    except Conflict as error:
        context["problem"] = str(error)
    context |= {"refused": refused, "picked": picked}
    return render(request, "console/schedule-gaps.html", context, status=422 if refused else 200)
