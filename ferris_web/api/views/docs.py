"""The page that shows the API to people who are signed in, and lets them try it."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie


@login_required
@ensure_csrf_cookie
def docs(request: HttpRequest) -> HttpResponse:
    """What is tried from it is done as the person who looks at it."""
    return render(request, "api/docs.html")
