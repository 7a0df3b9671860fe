"""The REST API, to read and to try."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ferris_web.console import api_reference


def index(request: HttpRequest) -> HttpResponse:
    """Every operation by what it is about, or those that hold the words of `q`."""
    query = request.GET.get("q", "").strip()[:200]
    found = api_reference.groups(query)
    context = {"groups": found, "query": query, "amount": sum(len(group.operations) for group in found)}
    return render(request, "console/api-docs.html", context)


def operation(request: HttpRequest, name: str) -> HttpResponse:
    """One of them; NotFound. What is tried from its page is done as the person who looks at it."""
    shown = api_reference.operation(name)
    group = next(group for group in api_reference.groups() if group.name == shown.group)
    return render(request, "console/api-operation.html", {"operation": shown, "group": group})
