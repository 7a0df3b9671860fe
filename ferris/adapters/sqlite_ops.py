"""Operational records in an SQLite file of its own, with full-text search (FTS5).

Log lines are kept in columns, the other kinds as JSON documents. Row numbers grow as records arrive, and so
"newest first" means arrived last; times only filter. The text of a log line is its message without
colours; the text of a document is every value in it. Service and flow of a log line are those of its execution.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ferris.adapters import local_path
from ferris.adapters import sqlite_ops_rows as rows
from ferris.adapters.sqlite_file import SqliteFile
from ferris.adapters.sqlite_ops_search import Where, field
from ferris.errors import BackendError, EventError
from ferris.ports import OPS_KINDS, LogLine, Page
from ferris.searching import too_slow

_BUCKETS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_GROUPS = 100  # of `counts`, but for times
_TIMES = 10_000
_STEPS = 5000  # of SQLite's machine, about a millisecond: so often somebody's patience is looked at


class SqliteOpsStore:
    """`OpsStore` in a file; `url` is `sqlite:////absolute/path/ops.db`."""

    def __init__(self, url: str) -> None:
        path = local_path("FERRIS_OPS_STORE", url)
        self._file = SqliteFile(
            path,
            backend=rows.BACKEND,
            application_id=rows.APPLICATION_ID,
            schema=rows.SCHEMA,
            configure=rows.configure,
        )

    def write(self, kind: str, records: Sequence[Mapping[str, Any]]) -> int:
        """See `OpsStore.write`."""
        _check_kind(kind)
        if not records:
            return 0
        if kind == "logs":
            lines = [rows.line(record) for record in records]
            return self._file.write(lambda connection: rows.insert_lines(connection, lines))
        documents = [rows.document(kind, record) for record in records]
        return self._file.write(lambda connection: rows.insert_documents(connection, documents))

    def logs(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """See `OpsStore.logs`. The cursor is `attempt << 40 | seq`."""
        return self._lines(execution_id, "cursor > ? ORDER BY cursor", after, limit)

    def last_logs(self, execution_id: str, *, before: int | None = None, limit: int = 1000) -> list[LogLine]:
        """See `OpsStore.last_logs`."""
        behind_all = rows.LARGEST if before is None else before
        return self._lines(execution_id, "cursor < ? ORDER BY cursor DESC", behind_all, limit)[::-1]

    def _lines(self, execution_id: str, place: str, cursor: int, limit: int) -> list[LogLine]:
        with self._file.reading() as connection:
            found = connection.execute(
                "SELECT cursor, time, step, stream, level, message FROM lines"  # noqa: S608
                f" WHERE execution = (SELECT id FROM executions WHERE execution = ?) AND {place} LIMIT ?",
                (execution_id, cursor, limit),
            ).fetchall()
        return [
            LogLine(cursor, rows.attempt_of(cursor), _moment(time), step, stream, level, message)
            for cursor, time, step, stream, level, message in found
        ]

    def search(
        self,
        kind: str,
        query: str = "",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
        among: Mapping[str, Collection[str]] | None = None,
        patience: float | None = None,
    ) -> Page:
        """See `OpsStore.search`."""
        _check_kind(kind)
        where = Where(kind, query, among)
        where.page(since, until)
        if cursor is not None:
            where.add("r.id < ?", _place(cursor))
        columns = rows.LINE_COLUMNS if kind == "logs" else "r.id, r.body"
        sql = f"SELECT {columns} FROM {where.source} WHERE {where.text} ORDER BY r.id DESC LIMIT ?"  # noqa: S608
        with self._patient(patience) as connection:
            found = connection.execute(sql, (*where.values, limit + 1)).fetchall()
        page = found[:limit]
        records = [rows.line_record(row) if kind == "logs" else json.loads(row[1]) for row in page]
        return Page(tuple(records), str(page[-1][0]) if len(found) > limit and page else None)

    def counts(
        self,
        kind: str,
        by: str,
        query: str = "",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        among: Mapping[str, Collection[str]] | None = None,
        patience: float | None = None,
    ) -> dict[str, int]:
        """See `OpsStore.counts`."""
        _check_kind(kind)
        where = Where(kind, query, among)
        where.span(since, until)
        if by in _BUCKETS:
            size = _BUCKETS[by]
            value, values, order, most = "r.time / ? * ?", [size, size], "1", _TIMES
        else:
            value, values = field(kind, by)
            order, most = "2 DESC, 1", _GROUPS
        with self._patient(patience) as connection:
            found = connection.execute(
                f"SELECT value, count(*) FROM (SELECT {value} AS value FROM {where.source} WHERE {where.text})"  # noqa: S608
                f" WHERE value IS NOT NULL GROUP BY 1 ORDER BY {order} LIMIT ?",
                (*values, *where.values, most),
            ).fetchall()
        if by in _BUCKETS:
            return {f"{_moment(start):%Y-%m-%dT%H:%M:%SZ}": count for start, count in found}
        return {str(name): count for name, count in found}

    @contextmanager
    def _patient(self, seconds: float | None) -> Iterator[sqlite3.Connection]:
        """A connection whose statements end with an EventError when they take longer."""
        with self._file.reading() as connection:
            if seconds is not None:
                deadline = time.monotonic() + seconds
                connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
            try:
                yield connection
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                    raise
                raise too_slow(seconds) from error
            finally:
                connection.set_progress_handler(None, 0)

    def prune(self, before: datetime) -> int:
        """See `OpsStore.prune`. Works in small transactions, so that writes get between."""
        removed, oldest = 0, rows.milliseconds(before)
        for table in ("lines", "documents"):
            while batch := self._prune_batch(table, oldest):
                removed += batch
        if removed:
            self._file.write(rows.forget_executions)
            self._file.shrink()
        return removed

    def _prune_batch(self, table: str, oldest: int) -> int:
        return self._file.write(lambda connection: rows.delete_older(connection, table, oldest))

    def close(self) -> None:
        """Close the file in this process; the next call opens it again."""
        self._file.close()


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _place(cursor: str) -> int:
    if not cursor.isdecimal() or len(cursor) > 18:
        raise EventError("cursor", "is none that a search gave")
    return int(cursor)


def _check_kind(kind: str) -> None:
    if kind not in OPS_KINDS:
        raise BackendError(
            rows.BACKEND, f"knows no records of kind {kind!r}", f"use one of {', '.join(OPS_KINDS)}"
        )
