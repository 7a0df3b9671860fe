"""Who did what: the audit log, searched and exported."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext

from ferris_web.console import filters
from ferris_web.console.paging import page
from ferris_web.executions.auditing import COLUMNS, audit_list, audit_rows
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
    rows = audit_rows(_found(request, _projects(request)))
    form = "jsonl" if request.GET.get("format") == "jsonl" else "csv"
    lines = (json.dumps(row) + "\n" for row in rows) if form == "jsonl" else _csv(rows)
    kind = "application/x-ndjson" if form == "jsonl" else "text/csv; charset=utf-8"
    answer = StreamingHttpResponse(lines, content_type=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="audit.{form}"'
    return answer


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


class _Echo:
    def write(self, text: str) -> str:
        return text


def _csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    write = csv.writer(_Echo()).writerow
    yield str(write(COLUMNS))
    for row in rows:
        yield str(write([_cell(row[name]) for name in COLUMNS]))


def _cell(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, dict) else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text  # no formula for a spreadsheet
