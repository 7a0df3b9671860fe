"""Searches of operational records as conditions of SQL. Every text of a query is bound, none becomes part of a
statement; names of fields do, as JSON paths that are bound as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from ferris import searching
from ferris.adapters import sqlite_ops_rows as rows
from ferris.errors import EventError
from ferris.searching import COLUMNS, All, Compare, Either, Match, Not, Query, Word

_LINE_FIELDS: Final = {
    "execution": "e.execution",
    "service": "e.service",
    "flow": "e.flow",
    "step": "r.step",
    "stream": "r.stream",
    "level": "r.level",
    "attempt": f"(r.cursor >> {rows.SEQ_BITS})",
    "cursor": "r.cursor",
}
_PATH = re.compile(r"[^\W\d][\w.-]*")
_MARKS = re.compile(r"[*?\[]")
_WHOLE = "CAST(json_extract(r.body, ?) AS INTEGER)"
_LEAF: Final = (
    "CASE json_type(r.body, ?) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'"
    " WHEN 'text' THEN json_extract(r.body, ?) WHEN 'integer' THEN CAST(json_extract(r.body, ?) AS TEXT)"
    f" WHEN 'real' THEN CASE WHEN json_extract(r.body, ?) = {_WHOLE} AND abs({_WHOLE}) < 1e15"
    f" THEN CAST({_WHOLE} AS TEXT) ELSE CAST(json_extract(r.body, ?) AS TEXT) END END"
)
"""The text, number or truth at a path as a text; NULL for what holds others, and for what is not there."""


class Where:
    """Conditions with their values, on the records `r` of one kind."""

    def __init__(self, kind: str, query: str, among: Mapping[str, Collection[str]] | None) -> None:
        self._kind = kind
        self.source = "lines r JOIN executions e ON e.id = r.execution" if kind == "logs" else "documents r"
        self.table = "lines" if kind == "logs" else "documents"
        self.conditions: list[str] = []
        self.values: list[Any] = []
        if kind != "logs":
            self.add("r.kind = ?", kind)
        self.add(self._condition(searching.parse(query, kind)))
        for name, known in (among or {}).items():
            # `+`: these are many, an index would sort all that they have
            column = field(kind, name)[0]
            self.add(f"+{column} IN (SELECT value FROM json_each(?))", json.dumps(sorted(known)))  # noqa: S608

    def add(self, condition: str, *values: Any) -> None:
        """One more that must hold."""
        self.conditions.append(condition)
        self.values += values

    def page(self, since: datetime | None, until: datetime | None) -> None:
        """Limits by time for a walk from the newest record back, which ends at the first that can be so late."""
        if since is not None:
            begin = rows.milliseconds(since)
            self.add("+r.time >= ?", begin)
            self.add(f"r.id >= (SELECT min(id) FROM {self.table} WHERE time >= ?)", begin)  # noqa: S608
        if until is not None:
            self.add("+r.time < ?", rows.milliseconds(until))

    def span(self, since: datetime | None, until: datetime | None) -> None:
        """Limits by time for all records between."""
        if since is not None:
            self.add("r.time >= ?", rows.milliseconds(since))
        if until is not None:
            self.add("r.time < ?", rows.milliseconds(until))

    @property
    def text(self) -> str:
        """All of them."""
        return " AND ".join(self.conditions)

    def _condition(self, query: Query) -> str:
        """As SQL; its values are added in the order of their marks."""
        match query:
            case All(parts):
                return " AND ".join(self._condition(part) for part in parts) or "1"
            case Either(parts):
                return "(" + " OR ".join(f"({self._condition(part)})" for part in parts) + ")"
            case Not(part):
                return f"NOT coalesce(({self._condition(part)}), 0)"
            case Word(value, prefix):
                self.values.append('"' + value.replace('"', '""') + '"' + ("*" if prefix else ""))
                texts = f"{self.table}_text"
                return f"r.id IN (SELECT rowid FROM {texts} WHERE {texts} MATCH ?)"  # noqa: S608
            case Match():
                return self._match(query)
            case Compare():
                return self._compare(query)

    def _match(self, query: Match) -> str:
        expression, values = field(self._kind, query.field)
        path = values[0] if values else None
        if query.any:
            self.values += values
            return f"({expression}) IS NOT NULL"
        if not query.exact:
            self.values += [*values, "*".join(_MARKS.sub(r"[\g<0>]", part) for part in query.parts)]
            return f"CAST(({expression}) AS TEXT) GLOB ?"
        if path is None and query.field in ("level", "stream"):
            self.values.append(query.value)
            return f"{expression} = ? COLLATE NOCASE"
        if path is None:
            whole = self._kind == "logs" and query.field in ("attempt", "cursor")
            self.values.append(int(query.value) if whole and len(query.value) < 19 else query.value)
            return f"{expression} = ?"
        self.values += [*values, query.value]
        found = f"({expression}) = ?"
        number = _number(query.value)
        if number is None:
            return found
        self.values += [path, path, number]
        return f"({found} OR (json_type(r.body, ?) IN ('integer', 'real') AND json_extract(r.body, ?) = ?))"

    def _compare(self, query: Compare) -> str:
        expression, values = field(self._kind, query.field)
        if not values:
            self.values.append(query.number)
            return f"{expression} {query.sign} ?"
        self.values += [values[0], values[0], query.number]
        return f"(json_type(r.body, ?) IN ('integer', 'real') AND json_extract(r.body, ?) {query.sign} ?)"


def field(kind: str, name: str) -> tuple[str, list[Any]]:
    """A field as an SQL expression, and the values it binds."""
    if kind == "logs":
        if name not in _LINE_FIELDS:
            raise EventError("by", f"knows no field {name!r}; use one of {', '.join(sorted(_LINE_FIELDS))}")
        return _LINE_FIELDS[name], []
    if name in COLUMNS:
        return f"r.{name}", []
    if not _PATH.fullmatch(name):
        raise EventError("by", f"is no field's name: {name!r}")
    path = "$" + "".join(f'."{part}"' for part in name.split("."))
    return _LEAF, [path] * _LEAF.count("?")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
