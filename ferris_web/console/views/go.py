"""Going somewhere by a few letters or an id: a page of its own, which the palette (Ctrl-K) shows over any other."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ferris_web.console import filters, palette


def go(request: HttpRequest) -> HttpResponse:
    """What fits `q`; without it every page."""
    query = filters.text(request.GET, "q", 200)
    return render(request, "console/go.html", {"query": query, "entries": palette.found(request.user, query)})
