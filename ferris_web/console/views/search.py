"""Searching all operational records: the page, its histogram, the values of a field, a file of it, one record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ferris.adapters import kibana
from ferris.errors import EventError
from ferris.highlighting import MOST_READ, Sought, Span, sought
from ferris.searching import COLUMNS, QueryError, parse, text_of
from ferris.terminal import plain
from ferris_web import wiring
from ferris_web.console import exports, filterbar, presentation
from ferris_web.console.filters import Choice
from ferris_web.console.histogram import drawn
from ferris_web.console.paging import PAGE_SIZE
from ferris_web.executions import searched
from ferris_web.executions.listings.export import FORMS
from ferris_web.executions.searching import (
    KINDS,
    SEARCH,
    belongs,
    leaves,
    over_time,
    record_get,
    record_key,
    search_for,
)

PERIODS: Final = (
    ("24h", _("last 24 hours")),
    ("15m", _("last 15 minutes")),
    ("1h", _("last hour")),
    ("7d", _("last 7 days")),
    ("30d", _("last 30 days")),
    ("3650d", _("any time")),
)
_NOT_TOLD: Final = frozenset((*COLUMNS, "time", "id", "specversion", "datacontenttype"))
_LINE_FIELDS: Final = ("level", "service", "step", "stream", "attempt", "execution", "flow")
_MOST_FIELDS = 40
_WIDEST = 300  # characters of a record in the list


@dataclass(frozen=True)
class Row:
    """One record as the list shows it, with what fits the query marked."""

    url: str
    time: datetime
    title: SafeString
    service: SafeString
    level: str
    level_fits: bool
    text: SafeString


def _bar(request: HttpRequest) -> filterbar.Bar:
    made = filterbar.bar(SEARCH, request, timezone.now(), ("query", "kind"), periods=PERIODS)
    kind = made.asked.values.get("kind", KINDS[0][0])
    options = [Choice(value, text, value == kind) for value, text in KINDS]
    made.main[1] = replace(made.main[1], options=options)  # of one kind at a time: none of them is "any"
    return made


def search(request: HttpRequest) -> HttpResponse:
    """What fits, newest first."""
    bar = _bar(request)
    kind = bar.asked.values.get("kind", "logs")
    context: dict[str, Any] = {
        "bar": bar,
        "kind": kind,
        "kinds": dict(KINDS)[kind],
        "kibana": _kibana(request, bar, kind),
    }
    try:
        asked = search_for(request.user, bar.asked)
        try:
            found = asked.page(limit=PAGE_SIZE, cursor=request.GET.get("cursor") or None)
        except EventError as error:
            if error.attribute != "cursor":
                raise
            found = asked.page(limit=PAGE_SIZE)
        wanted = sought(parse(asked.query, kind))
        context |= {
            "rows": [_row(kind, record, wanted) for record in found.records],
            "older": _link(request.GET, cursor=found.cursor) if found.cursor else "",
            "newest": _link(request.GET) if request.GET.get("cursor") else "",
            "fields": _fields(kind, found.records),
            "narrowed": asked.narrowed,
        }
    except EventError as error:
        context |= {"error": error, "pointed": error.pointed() if isinstance(error, QueryError) else None}
    return render(request, "console/search.html", context)


def histogram(request: HttpRequest) -> HttpResponse:
    """How much fits, over the time: a part of the page."""
    bar = _bar(request)
    try:
        made = over_time(search_for(request.user, bar.asked), timezone.now())
    except EventError:  # the page says it
        made = None
    chart = drawn(made, reverse("console:search"), bar.timeless) if made else None
    return render(request, "console/parts/histogram.html", {"chart": chart})


def values(request: HttpRequest) -> HttpResponse:
    """The most frequent values of one field in what fits, each with links that ask for it or exclude it."""
    bar, name = _bar(request), request.GET.get("field", "")[:200]
    context: dict[str, Any] = {"field": name}
    try:
        found = search_for(request.user, bar.asked).counts(name)
        most = max(found.values(), default=1)
        context["values"] = [
            (
                value,
                amount,
                round(100 * amount / most),
                _more(request, name, value),
                _more(request, name, value, "-"),
            )
            for value, amount in list(found.items())[:10]
        ]
        context["others"] = len(found) - 10 if len(found) > 10 else 0
    except EventError as error:
        context["error"] = error.problem
    return render(request, "console/parts/search-values.html", context)


def export(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """What fits as a file, newest first, `searched.MOST` records at most."""
    form = request.GET.get("format", "csv")
    try:
        if form not in FORMS:
            raise EventError("format", f"expected {' or '.join(FORMS)}")
        lines = searched.written(search_for(request.user, _bar(request).asked), form)
    except EventError as error:
        return HttpResponse(f"{error}\n", status=400, content_type="text/plain; charset=utf-8")
    return exports.export(lines, "search", form)


def record(request: HttpRequest) -> HttpResponse:
    """One record, whole, with the ways to what it names."""
    kind, key = request.GET.get("kind", ""), request.GET.get("key", "")
    found = record_get(request.user, kind, key)
    context = {
        "source": json.dumps(found, indent=2, ensure_ascii=False),
        "time": datetime.fromisoformat(str(found["time"])),
        "back": f"{reverse('console:search')}?kind={kind}",
        "title": {
            "logs": gettext("Log line"),
            "events": gettext("Event"),
            "lifecycle": gettext("Report"),
            "metrics": gettext("Metric"),
        }[kind],
        "fields": [(path, str(value), _one(kind, path, value)) for path, value in leaves(found)],
        "names": belongs(request.user, found),
        "event": key if kind == "events" else "",
    }
    return render(request, "console/search-record.html", context)


# --- parts -------------------------------------------------------------------------------------------


def _row(kind: str, record: Mapping[str, Any], wanted: Sought) -> Row:
    who = "service" if record.get("service") else "source"
    if kind == "logs":
        field = "step" if record["step"] else "stream"
        text = plain(record["message"])
        spans = wanted.spans(text)
    else:
        field = "type"
        text, spans = _told(record, wanted)
    url = f"{reverse('console:search-record')}?{urlencode({'kind': kind, 'key': record_key(kind, record)})}"
    level = str(record.get("level") or "").lower()
    return Row(
        url,
        datetime.fromisoformat(str(record["time"])),
        _cell(kind, field, record, wanted, 50),
        _cell(kind, who, record, wanted, 40),
        level,
        bool(wanted.value("level", level)),
        presentation.marked(text, spans, _WIDEST),
    )


def _cell(kind: str, field: str, record: Mapping[str, Any], wanted: Sought, width: int) -> SafeString:
    value = presentation.shorten(str(record.get(field) or ""), width)
    spans = wanted.value(field, record.get(field)) and [(0, len(value))]
    return presentation.marked(value, spans or ([] if kind == "logs" else wanted.spans(value)), width)


def _told(record: Mapping[str, Any], wanted: Sought) -> tuple[str, list[Span]]:
    """What a record holds beside its columns as one text, with the places to mark in its values."""
    text, spans = "", list[Span]()
    for path, value in leaves(record, 60):
        if path not in _NOT_TOLD and len(text) < MOST_READ:
            text += f"{'  ' if text else ''}{path}="
            said = text_of(value)[:MOST_READ]
            within = wanted.value(path, value) or ([] if isinstance(value, bool) else wanted.spans(said))
            spans += [(len(text) + start, len(text) + min(end, MOST_READ)) for start, end in within]
            text += said
    return text, spans


def _fields(kind: str, records: Any) -> list[str]:
    """Those of these records by which one can search on."""
    if kind == "logs":
        return list(_LINE_FIELDS) if records else []
    found = dict.fromkeys(path for record in records for path, _ in leaves(record, 100))
    known = [name for name in COLUMNS if name in found and name != "key"]
    rest = sorted(path for path in found if path not in COLUMNS and path.isascii() and '"' not in path)
    return [*known, *rest][:_MOST_FIELDS]


def _link(query: QueryDict, **changed: Any) -> str:
    rest = filterbar.plain(query)
    for name, value in changed.items():
        rest[name] = str(value)
    return f"{reverse('console:search')}?{rest.urlencode()}"


def _more(request: HttpRequest, field: str, value: str, sign: str = "") -> str:
    """The same search with one more condition; "" for a value that no query can hold."""
    if '"' in value or "\0" in value:
        return ""
    before = request.GET.get("q", "").strip()
    before = f"({before})" if " OR " in before else before
    return _link(_without(request.GET, "field"), q=f'{before} {sign}{field}:"{value}"'.strip())


def _without(query: QueryDict, *names: str) -> QueryDict:
    rest = query.copy()
    for name in names:
        rest.pop(name, None)
    return rest


def _one(kind: str, path: str, value: Any) -> str:
    """The search for all records with this value."""
    text = text_of(value)
    if '"' in text or "\0" in text or len(text) > 200 or path in ("time", "seq", "message", "cursor"):
        return ""
    query = {"kind": kind, "q": f'{path}:"{text}"', "since": PERIODS[-1][0]}
    return f"{reverse('console:search')}?{urlencode(query)}"


def _kibana(request: HttpRequest, bar: filterbar.Bar, kind: str) -> tuple[str, str] | None:
    """The address of the same search in Kibana, and what that lacks."""
    address = wiring.config().kibana_url
    if not address or not request.user.is_staff:
        return None
    values = bar.asked.values
    since, until = values.get("since"), values.get("until")
    try:
        return kibana.discover(address, kind, values.get("query", ""), since, until), ""
    except EventError as error:
        lacks = gettext("Without the query, which Kibana cannot take: it {problem}").format(
            problem=error.problem
        )
        return kibana.discover(address, kind, "", since, until), lacks
