"""The pages that problem documents point to. Open to everybody: they hold nothing but explanations."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from ferris_web.api.problems import KINDS


def problem_list(request: HttpRequest) -> HttpResponse:
    """All kinds of problems."""
    return render(request, "api/problem.html", {"kinds": KINDS.items()})


def problem_page(request: HttpRequest, name: str) -> HttpResponse:
    """One kind of problem."""
    kind = KINDS.get(name)
    if kind is None:
        raise Http404
    return render(request, "api/problem.html", {"name": name, "kind": kind})
