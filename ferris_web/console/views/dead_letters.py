"""Records that could not be handled."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from ferris import events as cloudevents
from ferris.config import EVENTS
from ferris.errors import Conflict, EventError
from ferris_web.accounts.permissions import reach
from ferris_web.console import filterbar, letters, presentation
from ferris_web.console.paging import page
from ferris_web.console.views import lists
from ferris_web.executions import services
from ferris_web.executions.failures import LetterGroup, letter_groups
from ferris_web.executions.listings import DEAD_LETTERS
from ferris_web.executions.models import DeadLetter
from ferris_web.executions.selectors import execution_sender

_GROUPED = {"reason", "topic", "since", "until"}


def letter_list(request: HttpRequest) -> HttpResponse:
    """Dead letters, newest first."""
    bar = filterbar.bar(DEAD_LETTERS, request, timezone.now(), ("flow_id", "reason", "sent"))
    values = bar.asked.values
    found = lists.found(request, DEAD_LETTERS, bar.asked)
    since, until = values.get("since"), values.get("until")
    groups = LetterGroup(values.get("reason", ""), values.get("topic", ""), since=since, until=until)
    context = {
        "bar": bar,
        "bulk": lists.bulk_of(request, DEAD_LETTERS),
        "page": page(found.defer("value"), request.GET),
        "groups": letter_groups(groups, most=50, projects=reach(request.user))
        if set(values) <= _GROUPED and not bar.errors
        else [],
        "since": since.isoformat() if since else "",
    }
    return render(request, "console/dead-letters.html", context)


def letter(request: HttpRequest, pk: int) -> HttpResponse:
    """One dead letter: why, where from, what it held, and what can be done."""
    return _page(request, get_object_or_404(DeadLetter, pk=pk))


def _page(
    request: HttpRequest, row: DeadLetter, edited: str = "", problem: str = "", status: int = 200
) -> HttpResponse:
    """`edited`: what was written in the form and refused, for `problem`."""
    raw = bytes(row.value)
    text = raw.decode("utf-8", "replace")[: presentation.TEXT_LIMIT]
    try:
        shown = presentation.json_text(json.loads(raw))
    except (ValueError, RecursionError):
        shown = ""
    event = services.dead_letter_event(row)
    mendable = row.topic == EVENTS
    context = {
        "letter": row,
        "told": letters.told(row.reason),
        "text": text,
        "json": shown,
        "size": len(raw),
        "sender": execution_sender(request.user, event.causation_id) if event else None,
        "redrivable": event is not None,
        "mendable": mendable,
        "problem": problem,
        "edited": edited or (json.dumps(_document(row), indent=2, ensure_ascii=False) if mendable else ""),
    }
    return render(request, "console/dead-letter.html", context, status=status)


def _document(row: DeadLetter) -> Any:
    """The event as a form offers it for mending: what was read of it, or what its bytes say, or an empty frame."""
    event = services.dead_letter_event(row)
    if event is not None:
        return cloudevents.as_dict(event)
    try:
        return json.loads(bytes(row.value))
    except (ValueError, RecursionError):
        return {"specversion": "1.0", "id": row.event_id, "source": "", "type": row.event_type, "data": None}


@require_POST
def redrive(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the event of a dead letter again, as it is or as it was mended: its flow goes on."""
    row = get_object_or_404(DeadLetter, pk=pk)
    written = request.POST.get("event", "")
    try:
        edited = json.loads(written) if "event" in request.POST else None
        sent = services.dead_letter_redrive(row, now=timezone.now(), edited=edited)
    except (Conflict, EventError) as error:
        problem = gettext("It was not sent: {error}.").format(error=error)
    except (ValueError, RecursionError) as error:
        problem = gettext("It was not sent: the event is no JSON, {error}.").format(error=error)
    else:
        messages.success(request, gettext("The event {id} was sent again.").format(id=sent.id))
        return redirect("console:dead-letter", pk=pk)
    if "event" in request.POST:
        return _page(request, row, written, problem, status=422)
    messages.error(request, problem)
    return redirect("console:dead-letter", pk=pk)


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """It is not wanted any more."""
    services.dead_letter_delete(get_object_or_404(DeadLetter, pk=pk))
    messages.success(request, gettext("The dead letter was deleted."))
    return redirect("console:dead-letters")
