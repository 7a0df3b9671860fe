"""The tables a step shows: the first rows of each of its queries. Small enough to travel in the step's report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ferris.artifacts import name_problem
from tasks.mask import Masker

MOST: Final = 20
LARGEST: Final = 256 * 1024
"""Bytes of all tables of a step."""


class Tables:
    """Collects what a step tells, checked and masked."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._tables: list[dict[str, Any]] = []
        self._left = LARGEST

    def take(self, message: Mapping[str, Any]) -> None:
        """A table as it came through the channel; one that is none, or that is too much, is left out."""
        table = _checked(message)
        if table is None or len(self._tables) >= MOST:
            return
        masked, _ = self._masker.value(table)
        self._left -= len(json.dumps(masked))
        if self._left >= 0:
            self._tables.append(masked)

    def of_step(self) -> list[dict[str, Any]]:
        """The tables since the last call."""
        found, self._tables, self._left = self._tables, [], LARGEST
        return found


def _checked(message: Mapping[str, Any]) -> dict[str, Any] | None:
    columns: Any = message.get("columns")
    rows: Any = message.get("rows")
    count, line, file = message.get("count"), message.get("line"), message.get("file")
    good = (
        isinstance(columns, list)
        and all(isinstance(name, str) for name in columns)
        and isinstance(rows, list)
        and all(isinstance(row, list) and len(row) == len(columns) for row in rows)
        and all(cell is None or isinstance(cell, str) for row in rows for cell in row)
        and isinstance(count, int)
        and (line is None or isinstance(line, int))
        and (file is None or (isinstance(file, str) and not name_problem(file)))
    )
    if not good:
        return None
    return {
        "columns": [_clean(name) for name in columns],
        "rows": [[None if cell is None else _clean(cell) for cell in row] for row in rows],
        "count": count,
        "truncated": bool(message.get("truncated")),
        "file": file,
        "line": line,
    }


def _clean(text: str) -> str:
    """No database keeps NUL or half a surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
