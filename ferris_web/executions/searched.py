"""What a search found as a file, written while it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final

from ferris_web.executions.listings.export import lines
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


def written(search: Search, form: str, most: int = MOST) -> Iterator[bytes]:
    """CSV with a line of names, or whole records as JSON lines. EventError comes now and not while it is read."""
    records = search.all(most)
    first = list(islice(records, 1))
    names = _LINE if search.kind == "logs" else _DOCUMENT
    return lines(names, chain(first, records), form, _value)


def _value(record: Mapping[str, Any], name: str) -> Any:
    return dict(record) if name == "record" else record.get(name)
