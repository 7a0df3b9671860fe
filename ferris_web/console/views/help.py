"""The documentation, and what it says about a word."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ferris_web.console import manual


def index(request: HttpRequest) -> HttpResponse:
    """The table of contents, or the sections that hold the words of `q`."""
    query = request.GET.get("q", "").strip()[:200]
    context = {
        "groups": manual.groups(),
        "query": query,
        "hits": manual.search(query),
        "most": manual.MOST_FOUND,
        "decisions": manual.decisions(),
    }
    return render(request, "console/help.html", context)


def page(request: HttpRequest, name: str) -> HttpResponse:
    """One page of it; NotFound."""
    shown = manual.page(name)
    return render(request, "console/help-page.html", {"groups": manual.groups(), "page": shown})
