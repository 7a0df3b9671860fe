"""Records that could not be handled."""

from __future__ import annotations

import json

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from ferris.errors import Conflict
from ferris_web.console import filters, presentation
from ferris_web.console.paging import page
from ferris_web.executions import services
from ferris_web.executions.models import DeadLetter


def letter_list(request: HttpRequest) -> HttpResponse:
    """Dead letters, newest first."""
    query = request.GET
    found = DeadLetter.objects.defer("value")
    reasons = [("", "any reason"), *((r, r.replace("_", " ")) for r in _reasons())]
    if reason := filters.chosen(query, "reason", reasons):
        found = found.filter(reason=reason)
    if q := filters.text(query, "q"):
        found = found.filter(flow_id=q)
    if since := filters.since(query, timezone.now()):
        found = found.filter(created_at__gte=since)
    context = {
        "page": page(found, query),
        "q": q,
        "reasons": filters.choices(query, "reason", reasons),
        "periods": filters.choices(query, "since", filters.PERIODS),
        "filtered": any(value for name, value in query.items() if name != "cursor"),
    }
    return render(request, "console/dead-letters.html", context)


def _reasons() -> list[str]:
    return list(DeadLetter.objects.order_by("reason").values_list("reason", flat=True).distinct()[:50])


def letter(request: HttpRequest, pk: int) -> HttpResponse:
    """One dead letter: why, where from, what it held, and what can be done."""
    row = get_object_or_404(DeadLetter, pk=pk)
    raw = bytes(row.value)
    text = raw.decode("utf-8", "replace")[: presentation.TEXT_LIMIT]
    try:
        shown = presentation.json_text(json.loads(raw))
    except (ValueError, RecursionError):
        shown = ""
    context = {
        "letter": row,
        "text": text,
        "json": shown,
        "size": len(raw),
        "redrivable": services.dead_letter_event(row) is not None,
    }
    return render(request, "console/dead-letter.html", context)


@require_POST
def redrive(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the event of a dead letter again, as it is: its flow goes on."""
    row = get_object_or_404(DeadLetter, pk=pk)
    try:
        sent = services.dead_letter_redrive(row, now=timezone.now())
    except Conflict as error:
        messages.error(request, f"It was not sent: {error}.")
    else:
        messages.success(request, f"The event {sent.id} was sent again.")
    return redirect("console:dead-letter", pk=pk)
