"""The tables of the SQLite store of operational records: statements, and how a record becomes a row.

The full-text indexes are filled by triggers and keep no copy of the text. SQLite's JSON functions take a
document's values apart, the same way when it comes and when it goes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ferris.errors import EventError
from ferris.ports import log_cursor
from ferris.terminal import plain

BACKEND = "ops store"
APPLICATION_ID = 0x4645524F  # "FERO"; marks the file as ours
SEQ_BITS = 40  # as in log_cursor
_MAX_ATTEMPT = 1 << 22
LARGEST = (1 << 63) - 1  # of SQLite's whole numbers
_PRUNE_BATCH = 1000
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

_VALUES = "(SELECT group_concat(atom, ' ') FROM json_tree($.body) WHERE type IN ('text', 'integer', 'real'))"
_TOKENS = "tokenize = 'unicode61 remove_diacritics 2'"
SCHEMA = (
    (
        "CREATE TABLE executions (id INTEGER PRIMARY KEY, execution TEXT NOT NULL UNIQUE, service TEXT, flow TEXT)",
        "CREATE INDEX executions_service ON executions (service)",
        "CREATE INDEX executions_flow ON executions (flow)",
        "CREATE TABLE lines (id INTEGER PRIMARY KEY, execution INTEGER NOT NULL, cursor INTEGER NOT NULL,"
        " time INTEGER NOT NULL, step TEXT, stream TEXT NOT NULL, level TEXT NOT NULL, message TEXT NOT NULL)",
        "CREATE UNIQUE INDEX lines_place ON lines (execution, cursor)",
        "CREATE INDEX lines_time ON lines (time)",
        f"CREATE VIRTUAL TABLE lines_text USING fts5(message, content = '', {_TOKENS})",
        "CREATE TRIGGER lines_come AFTER INSERT ON lines BEGIN"
        " INSERT INTO lines_text (rowid, message) VALUES (new.id, new.message); END",
        "CREATE TRIGGER lines_go AFTER DELETE ON lines BEGIN"
        " INSERT INTO lines_text (lines_text, rowid, message) VALUES ('delete', old.id, old.message); END",
        "CREATE TABLE documents (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL,"
        " time INTEGER NOT NULL, type TEXT, source TEXT, subject TEXT, service TEXT, flow TEXT, execution TEXT,"
        " body TEXT NOT NULL)",
        "CREATE UNIQUE INDEX documents_key ON documents (kind, key)",
        "CREATE INDEX documents_kind ON documents (kind)",
        "CREATE INDEX documents_type ON documents (kind, type)",
        "CREATE INDEX documents_flow ON documents (flow)",
        "CREATE INDEX documents_execution ON documents (execution)",
        "CREATE INDEX documents_time ON documents (time)",
        f"CREATE VIRTUAL TABLE documents_text USING fts5(text, content = '', {_TOKENS})",
        "CREATE TRIGGER documents_come AFTER INSERT ON documents BEGIN INSERT INTO documents_text"  # noqa: S608
        " (rowid, text) VALUES (new.id, " + _VALUES.replace("$", "new") + "); END",
        "CREATE TRIGGER documents_go AFTER DELETE ON documents BEGIN INSERT INTO documents_text"  # noqa: S608
        " (documents_text, rowid, text) VALUES ('delete', old.id, " + _VALUES.replace("$", "old") + "); END",
    ),
    (  # what terminals make of a line is no part of its text
        "INSERT INTO lines_text (lines_text, rowid, message)"
        " SELECT 'delete', id, message FROM lines WHERE instr(message, char(27))",
        "INSERT INTO lines_text (rowid, message)"
        " SELECT id, plain(message) FROM lines WHERE instr(message, char(27))",
        "DROP TRIGGER lines_come",
        "DROP TRIGGER lines_go",
        "CREATE TRIGGER lines_come AFTER INSERT ON lines BEGIN"
        " INSERT INTO lines_text (rowid, message) VALUES (new.id, plain(new.message)); END",
        "CREATE TRIGGER lines_go AFTER DELETE ON lines BEGIN"
        " INSERT INTO lines_text (lines_text, rowid, message) VALUES ('delete', old.id, plain(old.message)); END",
    ),
)

LINE_COLUMNS = "r.id, e.execution, r.cursor, r.time, r.step, r.stream, r.level, r.message, e.service, e.flow"
DOCUMENT_COLUMNS = ("type", "source", "subject", "service", "flow", "execution")

Line = tuple[str, str | None, str | None, int, int, str | None, str, str, str]  # executions, then lines
Document = tuple[str | int | None, ...]


def configure(connection: sqlite3.Connection) -> None:
    """What the triggers need of each connection."""
    connection.create_function("plain", 1, plain, deterministic=True)


# ----------------------------------------------------------------------------------------------- writing


def line(record: Mapping[str, Any]) -> Line:
    """A record of the kind "logs" as a row; EventError names what is wrong with it."""
    attempt = _whole(record, "attempt", _MAX_ATTEMPT)
    seq = _whole(record, "seq", 1 << SEQ_BITS)
    message = record.get("message")
    if not isinstance(message, str):
        raise EventError("message", "must be a text")
    return (
        _required(record, "execution"),
        _optional(record, "service"),
        _optional(record, "flow"),
        log_cursor(attempt, seq),
        _time(record),
        _optional(record, "step"),
        _optional(record, "stream") or "stdout",
        _optional(record, "level") or "info",
        _clean(message),
    )


def document(kind: str, record: Mapping[str, Any]) -> Document:
    """A record of another kind as a row; EventError names what is wrong with it."""
    try:
        body = _ENCODER.encode(dict(record))
    except (TypeError, ValueError, RecursionError) as error:
        raise EventError("record", f"is no JSON: {error}") from error
    columns = [_optional(record, name) for name in DOCUMENT_COLUMNS]
    return (kind, _required(record, "key"), _time(record), *columns, _clean(body))


def insert_lines(connection: sqlite3.Connection, lines: Sequence[Line]) -> int:
    connection.executemany(
        "INSERT OR IGNORE INTO executions (execution, service, flow) VALUES (?, ?, ?)",
        {one[:3] for one in lines},
    )
    done = connection.executemany(
        "INSERT OR IGNORE INTO lines (execution, cursor, time, step, stream, level, message)"
        " VALUES ((SELECT id FROM executions WHERE execution = ?), ?, ?, ?, ?, ?, ?)",
        [(one[0], *one[3:]) for one in lines],
    )
    return done.rowcount


def insert_documents(connection: sqlite3.Connection, documents: Sequence[Document]) -> int:
    done = connection.executemany(
        f"INSERT OR IGNORE INTO documents (kind, key, time, {', '.join(DOCUMENT_COLUMNS)}, body)"  # noqa: S608
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        documents,
    )
    return done.rowcount


def delete_older(connection: sqlite3.Connection, table: str, oldest: int) -> int:
    """One batch of what is older, of "lines" or "documents"; give how many records went."""
    done = connection.execute(
        f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE time < ? ORDER BY time LIMIT ?)",  # noqa: S608
        (oldest, _PRUNE_BATCH),
    )
    return done.rowcount


def forget_executions(connection: sqlite3.Connection) -> None:
    """Remove executions that have no line any more."""
    connection.execute(
        "DELETE FROM executions WHERE NOT EXISTS (SELECT 1 FROM lines WHERE lines.execution = executions.id)"
    )


# ----------------------------------------------------------------------------------------------- reading


def line_record(row: Sequence[Any]) -> dict[str, Any]:
    """A found line (LINE_COLUMNS) as a record; `cursor` is its place in `OpsStore.logs`."""
    _, execution, cursor, time, step, stream, level, message, service, flow = row
    return {
        "execution": execution,
        "attempt": attempt_of(cursor),
        "seq": cursor & ((1 << SEQ_BITS) - 1),
        "cursor": cursor,
        "time": f"{datetime.fromtimestamp(time // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{time % 1000:03d}Z",
        "step": step,
        "stream": stream,
        "level": level,
        "message": message,
        "service": service,
        "flow": flow,
    }


def attempt_of(cursor: int) -> int:
    return cursor >> SEQ_BITS


def milliseconds(moment: datetime) -> int:
    """As times are stored: since 1970, in UTC."""
    return round(moment.timestamp() * 1000)


def _time(record: Mapping[str, Any]) -> int:
    time = record.get("time")
    try:
        moment = time if isinstance(time, datetime) else datetime.fromisoformat(str(time))
    except ValueError:
        raise EventError("time", f"must be an RFC 3339 time, not {time!r}") from None
    if moment.tzinfo is None:
        raise EventError("time", f"must have a time zone: {time!r}")
    return milliseconds(moment)


def _required(record: Mapping[str, Any], name: str) -> str:
    value = _optional(record, name)
    if not value:
        raise EventError(name, "is missing")
    return value


def _optional(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get(name)
    if value is None or isinstance(value, str):
        return _clean(value) if value else None
    raise EventError(name, f"must be a text, not {type(value).__name__}")


def _whole(record: Mapping[str, Any], name: str, end: int) -> int:
    value = record.get(name)
    if type(value) is not int or not 0 <= value < end:
        raise EventError(name, f"must be a whole number from 0 to {end - 1}, not {value!r}")
    return value


def _clean(text: str) -> str:
    """Without half surrogates, which no UTF-8 can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
