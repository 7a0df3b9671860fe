"""Something done with all of a list that fits: asked first, with a count; then watched, and stopped."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from ferris.errors import Conflict
from ferris_web.accounts.models import User
from ferris_web.console import filterbar
from ferris_web.console.paging import page
from ferris_web.executions.listings import LISTINGS
from ferris_web.executions.models import BulkJob
from ferris_web.executions.services import bulk

WORDS = {
    "cancel": (
        _("Cancel"),
        _("cancelled"),
        _("Those that run are stopped within some seconds; the others never start."),
    ),
    "retry": (
        _("Retry"),
        _("retried"),
        _("Each runs once more, with the same parameters and its service's version of today."),
    ),
    "send": (_("Send again"), _("sent again"), _("Each event keeps its id, so that nothing runs twice.")),
    "delete": (_("Delete"), _("deleted"), _("They cannot be had back.")),
}


def confirm(request: HttpRequest, name: str) -> HttpResponse:
    """What would be done with how many; a POST begins it."""
    listing = LISTINGS.get(name)
    actions = bulk.ACTIONS.get(name)
    if listing is None or actions is None:
        raise Http404(f"nothing is done with all of {name}")
    given, now = request.POST if request.method == "POST" else request.GET, timezone.now()
    action = given.get("action", "")
    asked = listing.read(request.GET, now)
    if action not in actions or asked.errors:
        raise BadRequest("; ".join(asked.errors.values()) or f"action: expected {' or '.join(actions)}")
    user = request.user
    assert isinstance(user, User)
    back = f"{reverse(f'console:{name}')}?{filterbar.plain(request.GET).urlencode()}"
    if request.method == "POST":
        expected = given.get("expected", "")
        try:
            job = bulk.bulk_begin(
                listing, action, asked, user, now, expected=int(expected) if expected.isdecimal() else None
            )
        except Conflict as error:
            messages.warning(request, gettext("Nothing was done: {error}.").format(error=error))
            return redirect(back)
        return redirect("console:bulk-job", pk=job.pk)
    context = {
        "listing": listing,
        "action": action,
        "words": WORDS[action],
        "count": bulk.bulk_rows(listing, action, asked, user, now).count(),
        "asked": [(one.label, asked.texts[one.name]) for one in listing.fields if one.name in asked.texts],
        "back": back,
    }
    return render(request, "console/bulk-confirm.html", context)


def job(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One job and how far it has come."""
    row = bulk.bulk_get(pk, _user(request))
    context = {
        "job": row,
        "words": WORDS[row.action],
        "asked": _asked(row),
        "back": f"{reverse(f'console:{row.listing}')}?{urlencode(row.filter, doseq=True)}",
    }
    return render(request, "console/bulk-job.html", context)


def job_list(request: HttpRequest) -> HttpResponse:
    """One's jobs, newest first."""
    shown = page(bulk.bulk_list(_user(request)), request.GET)
    rows = [(row, WORDS[row.action], LISTINGS[row.listing].title) for row in shown]
    return render(request, "console/bulk-jobs.html", {"page": shown, "rows": rows})


@require_POST
def stop(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Do no more."""
    try:
        bulk.bulk_stop(bulk.bulk_get(pk, _user(request)), timezone.now())
    except Conflict as error:
        messages.warning(request, f"{error}.".capitalize())
    return redirect("console:bulk-job", pk=pk)


def _asked(row: BulkJob) -> list[tuple[str, str]]:
    labels = {one.name: one.label for one in LISTINGS[row.listing].fields}
    return [
        (labels.get(name, name), ", ".join(value) if isinstance(value, list) else str(value))
        for name, value in row.filter.items()
    ]


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
