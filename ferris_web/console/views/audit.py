"""Who did what: the audit log, searched and exported."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext

from ferris_web.console import exports, filters
from ferris_web.console.paging import page
from ferris_web.executions.auditing import audit_list, audit_written
from ferris_web.executions.visibility import visible_projects


def audit(request: HttpRequest) -> HttpResponse:
    """The entries that one may read, newest first."""
    query = request.GET
    projects = _projects(request)
    context = {
        "page": page(_found(request, projects), query, time="at"),
        "q": filters.text(query, "q", 200),
        "projects": filters.choices(query, "project", projects),
        "periods": filters.choices(query, "since", filters.PERIODS),
        "filtered": any(value for name, value in query.items() if name != "cursor"),
    }
    return render(request, "console/audit.html", context)


def export(request: HttpRequest) -> StreamingHttpResponse:
    """All of them that the filter finds, oldest first: `format` is csv or jsonl."""
    form = "jsonl" if request.GET.get("format") == "jsonl" else "csv"
    written = audit_written(_found(request, _projects(request)), form)
    return exports.export(written, "audit", form)


def _projects(request: HttpRequest) -> list[tuple[str, str]]:
    return [
        ("", gettext("all projects")),
        *((name, name) for name in visible_projects(request.user).values_list("name", flat=True)),
    ]


def _found(request: HttpRequest, projects: list[tuple[str, str]]) -> Any:
    query = request.GET
    return audit_list(
        request.user,
        query=filters.text(query, "q", 200),
        project=filters.chosen(query, "project", projects),
        since=filters.since(query, timezone.now()),
    )
