"""A whole list as CSV or JSON lines, written while it is read: the memory it takes does not grow with the list."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

import orjson
from django.db.models import Model, QuerySet

from ferris.events import rfc3339
from ferris_web import keyset
from ferris_web.catalog.models import Service
from ferris_web.executions.listings.fields import Listing, Rows
from ferris_web.executions.models import DeadLetter, Event, Execution, Flow

FORMS: Final = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
_AT_ONCE = 1000
_PIECE = 500
_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")

COLUMNS: Final[dict[type[Model], tuple[tuple[str, str], ...]]] = {
    Execution: (
        ("id", "id"), ("service", "service__name"), ("project", "service__project__name"), ("status", "status"),
        ("trigger_type", "trigger_type"), ("correlation_id", "correlation_id"), ("flow_id", "flow_id"),
        ("event_key", "event_id"), ("parent_execution_id", "parent_id"), ("attempt", "attempt"), ("lane", "lane"),
        ("priority", "priority"), ("created_at", "created_at"), ("started_at", "started_at"),
        ("finished_at", "finished_at"), ("reason", "reason"), ("error", "error"), ("worker", "worker"),
    ),
    Event: (
        ("key", "key"), ("id", "event_id"), ("source", "source"), ("type", "type"), ("subject", "subject"),
        ("time", "time"), ("received_at", "received_at"), ("flow_id", "flow_id"),
        ("parent_execution_id", "causation_id"), ("hops", "hops"), ("matched", "matched"), ("copies", "copies"),
    ),
    Flow: (
        ("flow_id", "id"), ("root_type", "root_type"), ("started_at", "started_at"),
        ("last_event_at", "last_event_at"), ("executions", "sequence"),
    ),
    DeadLetter: (
        ("id", "id"), ("reason", "reason"), ("detail", "detail"), ("topic", "topic"), ("partition", "partition"),
        ("offset", "offset"), ("event_type", "event_type"), ("event_id", "event_id"), ("flow_id", "flow_id"),
        ("created_at", "created_at"), ("redriven_at", "redriven_at"),
    ),
    Service: (
        ("id", "id"), ("name", "name"), ("project", "project__name"), ("description", "description"),
        ("tags", "tags"), ("active", "active"), ("vanished_at", "vanished_at"), ("version", "version__number"),
        ("priority", "priority"), ("paused_at", "paused_at"),
    ),
}  # fmt: skip
"""What is written of each list, by the names of the API. Events without their data."""


def written(listing: Listing, rows: Rows, form: str) -> Iterator[bytes]:
    """The rows in the list's order, in pieces of some hundred lines. CSV begins with a line of names."""
    columns = COLUMNS[listing.model]
    names = [name for name, _ in columns]
    found = values(rows, listing.order, [path for _, path in columns])
    return lines(names, (dict(zip(names, map(_plain, row), strict=True)) for row in found), form)


def lines(
    names: Sequence[str],
    records: Iterable[Mapping[str, Any]],
    form: str,
    value: Callable[[Mapping[str, Any], str], Any] = lambda record, name: record.get(name),
) -> Iterator[bytes]:
    """Records as a file: CSV of what has these `names` (by `value`), or the whole of each as a line of JSON."""
    if form == "csv":
        yield csv_lines([names])
    coming = iter(records)
    while piece := list(islice(coming, _PIECE)):
        if form == "csv":
            yield csv_lines([[safe_cell(value(record, name)) for name in names] for record in piece])
        else:
            yield b"".join(orjson.dumps(dict(record)) + b"\n" for record in piece)


def values(rows: QuerySet[Any], order: Sequence[str], paths: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """What stands in these columns of all rows, in this order, the last field of which is unique.

    Each page is a query of its own: a file is written by whichever thread is free, and with the connection of another
    one no cursor would last.
    """
    ordered = rows.order_by(*order).values_list(*paths, *(field.lstrip("-") for field in order))
    place: tuple[Any, ...] | None = None
    while True:
        behind = ordered if place is None else ordered.filter(keyset.behind(order, place))
        page = list(behind[:_AT_ONCE])
        yield from (row[: len(paths)] for row in page)
        if len(page) < _AT_ONCE:
            return
        place = page[-1][len(paths) :]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    return value if isinstance(value, (int, float, list, dict)) or value is None else str(value)


def safe_cell(value: Any) -> Any:
    """No cell is taken for a formula by the programs that open such files."""
    plain = _plain(value)
    if isinstance(plain, (list, dict)):
        plain = orjson.dumps(plain).decode()
    if isinstance(plain, str) and plain.startswith(_RISKY):
        return "'" + plain
    return "" if plain is None else plain


def csv_lines(lines: Sequence[Sequence[Any]]) -> bytes:
    """Lines of a CSV file (RFC 4180)."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode()
