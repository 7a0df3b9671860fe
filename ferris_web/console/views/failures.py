"""What failed, in groups; a group of dead letters or of failed executions on its way again, piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from ferris_web.accounts.permissions import Action, reach
from ferris_web.console import filters
from ferris_web.console.views.executions import actor
from ferris_web.executions import failures
from ferris_web.executions.failures import FailureGroup, LetterGroup
from ferris_web.executions.services import Piece, dead_letters_redrive, failures_retry

_READ = 5_000  # the command and the API look further back
_SHOWN = 50
_PERIODS = (
    ("24h", _("last 24 hours")),
    ("1h", _("last hour")),
    ("7d", _("last 7 days")),
    ("", _("any time")),
)


def failure_list(request: HttpRequest) -> HttpResponse:
    """Failed executions that nobody retried, by service, reason and kind of error."""
    query = request.GET.copy()
    query.setdefault("since", "24h")
    since = filters.since(query, timezone.now())
    wanted = FailureGroup(service=filters.text(query, "service", 200), since=since)
    context = {
        "kinds": failures.failure_groups(wanted, _READ, most=_SHOWN, projects=reach(request.user)),
        "service": wanted.service,
        "since": since.isoformat() if since else "",
        "periods": filters.choices(query, "since", _PERIODS),
        "filtered": bool(wanted.service) or query["since"] != "24h",
        "most": _READ,
    }
    return render(request, "console/failures.html", context)


@require_POST
def retry(request: HttpRequest) -> HttpResponse:
    """Retry a piece of a group of failed executions."""
    until = _moment(request, "until") or timezone.now()
    group = FailureGroup(
        service=filters.text(request.POST, "service", 200),
        reason=filters.text(request.POST, "reason", 60),
        kind=filters.text(request.POST, "kind", 60),
        since=_moment(request, "since"),
        until=until,
    )
    who, projects = actor(request), reach(request.user, Action.RUN)
    retries = urlencode({"service": group.service, "trigger": "retried"})
    return _piece(
        request,
        until,
        gettext("retried"),
        (
            f"{reverse('console:executions')}?{retries}",
            gettext("The retries"),
        ),
        named=bool(group.service or group.reason or group.kind),
        work=lambda after: failures_retry(
            group, actor=who, now=timezone.now(), after=after, projects=projects
        ),
    )


@require_POST
def redrive(request: HttpRequest) -> HttpResponse:
    """Send a piece of a group of dead letters on its way again."""
    until = _moment(request, "until") or timezone.now()
    group = LetterGroup(
        reason=filters.text(request.POST, "reason", 60),
        topic=filters.text(request.POST, "topic", 255),
        event_type=filters.text(request.POST, "event_type") if "event_type" in request.POST else None,
        since=_moment(request, "since"),
        until=until,
    )
    return _piece(
        request,
        until,
        gettext("sent on their way again"),
        (reverse("console:dead-letters"), gettext("Dead letters")),
        named=bool(group.reason or group.topic or group.event_type is not None),
        work=lambda after: dead_letters_redrive(
            group, now=timezone.now(), after=after, projects=reach(request.user, Action.RUN)
        ),
    )


def _moment(request: HttpRequest, name: str) -> datetime | None:
    try:
        found = parse_datetime(request.POST.get(name, ""))
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


def _piece(
    request: HttpRequest,
    until: datetime,
    word: str,
    back: tuple[str, str],
    *,
    named: bool,
    work: Callable[[str], Piece],
) -> HttpResponse:
    """One piece, and the page that asks for the next one by itself until none is left."""
    said = request.POST
    context: dict[str, Any] = {"word": word, "back": back[0], "back_to": back[1]}
    try:
        if not named:
            raise ValueError("no group")
        before, refused, total = (int(said.get(name) or 0) for name in ("sent", "refused", "total"))
        piece = work(said.get("after", "")[:200])
    except ValueError:
        raise BadRequest("which group?") from None
    sent, refused = before + piece.sent, refused + piece.refused
    kept = {
        name: said[name]
        for name in ("service", "reason", "kind", "topic", "event_type", "since")
        if name in said
    }
    context |= {
        "sent": sent,
        "refused": refused,
        "total": max(total, sent + refused),
        "done": piece.following is None,
        "fields": {
            **kept,
            "until": until.isoformat(),
            "after": piece.following or "",
            "sent": sent,
            "refused": refused,
            "total": total,
        },
    }
    return render(request, "console/working.html", context)
