"""What a search found as a file, written while it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

import orjson

from ferris_web.executions.listings.export import csv_lines, safe_cell
from ferris_web.executions.searching import Search

MOST: Final = 100_000
"""Records in one file; a shorter time gives the rest."""

_LINE: Final = (
    "time",
    "level",
    "service",
    "step",
    "stream",
    "message",
    "execution",
    "attempt",
    "cursor",
    "flow",
)
_DOCUMENT: Final = ("time", "key", "type", "source", "subject", "service", "flow", "execution", "record")
_PIECE: Final = 200


def written(search: Search, form: str, most: int = MOST) -> Iterator[bytes]:
    """CSV with a line of names, or whole records as JSON lines. EventError comes now and not while it is read."""
    records = search.all(most)
    first = list(islice(records, 1))
    return _pieces(search.kind, chain(first, records), form)


def _pieces(kind: str, records: Iterator[Mapping[str, Any]], form: str) -> Iterator[bytes]:
    names = _LINE if kind == "logs" else _DOCUMENT
    if form == "csv":
        yield csv_lines([names])
    while piece := list(islice(records, _PIECE)):
        if form == "csv":
            yield csv_lines([_cells(names, record) for record in piece])
        else:
            yield b"".join(orjson.dumps(dict(record)) + b"\n" for record in piece)


def _cells(names: Sequence[str], record: Mapping[str, Any]) -> list[Any]:
    return [safe_cell(dict(record) if name == "record" else record.get(name)) for name in names]
