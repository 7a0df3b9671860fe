"""The log of an execution as it is at this moment: what is stored, and behind it what is on the log but not
stored yet. Whoever sees that an execution has ended can read its whole log.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from ferris.config import LOGS
from ferris.ports import LogLine, LogRecord, log_cursor
from ferris_web import wiring
from ferris_web.executions.backlog import INDEXER, backlog

_PIECE = 2000
_LONGEST_BACKLOG = 20_000  # log records of all executions that are read for those of one


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines in order. `more`: there are lines behind these, or there may be: ask again, behind the last."""

    lines: list[LogLine]
    more: bool


def log_read(pk: str, *, after: int = 0, limit: int) -> Piece:
    """Up to `limit` lines behind the cursor `after`."""
    waiting = unstored()  # asked first: what is stored meanwhile is found in the store
    lines = wiring.ops_store().logs(pk, after=after, limit=limit + 1)
    if len(lines) <= limit and waiting is not None:
        lines += lines_of(pk, waiting, lines[-1].seq if lines else after)
    return Piece(lines[:limit], len(lines) > limit or waiting is None)


def cursor_of_last(pk: str, count: int) -> int:
    """The cursor behind which there are the last `count` lines; 0 when there are no more than these."""
    behind = islice(lines_back(pk, piece=min(count + 1, _PIECE)), count, None)
    line = next(behind, None)
    return line.seq if line else 0


def lines_back(pk: str, *, piece: int) -> Iterator[LogLine]:
    """Every line, the last one first, read in pieces of so many as they are asked for.

    Lines that wait for a store that is far behind are not among them.
    """
    waiting = unstored()
    lines = wiring.ops_store().last_logs(pk, limit=piece)
    if waiting:
        yield from reversed(lines_of(pk, waiting, lines[-1].seq if lines else 0))
    while lines:
        yield from reversed(lines)
        if len(lines) < piece:
            return
        lines = wiring.ops_store().last_logs(pk, before=lines[0].seq, limit=piece)


def unstored() -> list[LogRecord] | None:
    """Log records that the store may not have yet; None when they are too many to look through."""
    return backlog(LOGS, INDEXER, most=_LONGEST_BACKLOG)


def lines_of(pk: str, records: Iterable[LogRecord], after: int) -> list[LogLine]:
    """The lines of one execution behind a cursor, in order."""
    return ordered((_decoded(record.value) for record in records if record.key == pk), after)


def ordered(values: Iterable[Any], after: int) -> list[LogLine]:
    """The lines behind a cursor, in order, from the values of log records. What is no line is skipped."""
    lines = {}
    for value in values:
        try:
            line = _line(value)
        except (KeyError, TypeError, ValueError, AttributeError):
            continue  # what is no line is not stored either
        if line.seq > after:
            lines[line.seq] = line
    return [lines[seq] for seq in sorted(lines)]


def _decoded(value: bytes) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return None


def _line(record: dict[str, Any]) -> LogLine:
    return LogLine(
        seq=log_cursor(record["attempt"], record["seq"]),
        attempt=record["attempt"],
        time=datetime.fromisoformat(record["time"]),
        step=record.get("step") or None,
        stream=record.get("stream") or "stdout",
        level=record.get("level") or "info",
        message=record["message"].encode("utf-8", "replace").decode(),  # no half surrogates
    )
