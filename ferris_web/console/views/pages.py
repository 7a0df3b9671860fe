"""Pages without data of their own."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def help_page(request: HttpRequest) -> HttpResponse:
    """What things are, which commands there are, where the API is described."""
    return render(request, "console/help.html")
