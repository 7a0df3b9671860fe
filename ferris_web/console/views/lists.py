"""What all long lists have: their histogram, and themselves as a file."""

from __future__ import annotations

from typing import Final

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ferris_web.accounts.permissions import access_of, reach
from ferris_web.console import exports, filterbar
from ferris_web.console.histogram import drawn
from ferris_web.executions.listings import LISTINGS, Asked, Listing
from ferris_web.executions.listings.export import FORMS, written
from ferris_web.executions.listings.fields import Rows
from ferris_web.executions.listings.histogram import histogram as counted
from ferris_web.executions.services import bulk


def found(request: HttpRequest, listing: Listing, asked: Asked) -> Rows:
    """The rows that fit, of those that who asks may see."""
    return listing.shown(request.user, asked)


BULK: Final = {"cancel": _("Cancel"), "retry": _("Retry"), "send": _("Send again"), "delete": _("Delete")}


def bulk_of(request: HttpRequest, listing: Listing) -> list[tuple[str, str]]:
    """What this person may do with all that fits, and its word."""
    access = access_of(request.user)
    return [
        (action, BULK[action])
        for action in bulk.ACTIONS.get(listing.name, ())
        if access.may_somewhere(bulk.NEEDS[action])
    ]


def _listing(name: str) -> Listing:
    if name not in LISTINGS:
        raise Http404(f"there is no list {name}")
    return LISTINGS[name]


def histogram(request: HttpRequest, name: str) -> HttpResponse:
    """The histogram of a list with the filters of the address: a part of its page."""
    listing, now = _listing(name), timezone.now()
    asked = listing.read(request.GET, now)
    made = counted(listing, asked, now, whose=reach(request.user))
    chart = drawn(made, reverse(f"console:{name}"), filterbar.timeless(request.GET)) if made else None
    return render(request, "console/parts/histogram.html", {"chart": chart})


def export(request: HttpRequest, name: str) -> HttpResponse | StreamingHttpResponse:
    """The list with the filters of the address as a file."""
    listing, now = _listing(name), timezone.now()
    form = request.GET.get("format", "csv")
    asked = listing.read(request.GET, now)
    if form not in FORMS or asked.errors:
        errors = [f"{field}: {text}" for field, text in asked.errors.items()]
        text = "; ".join(errors) or f"format: expected {' or '.join(FORMS)}"
        return HttpResponse(f"{text}\n", status=400, content_type="text/plain; charset=utf-8")
    return exports.export(written(listing, found(request, listing, asked), form), listing.name, form)
