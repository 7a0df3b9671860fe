"""The tables of the SQLite event log: every statement on them, and how a record is written in a row.

A record's row number is `topic number << 44 | offset`, so a topic is a range of the table and needs no
index. `topics.bytes` counts what `_SIZE` says of the topic's rows.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from ferris.errors import BackendError
from ferris.ports import FencedError, LogRecord, Record

BACKEND = "event log"
APPLICATION_ID = 0x46455231  # "FER1"; marks the file as ours
_OFFSET_BITS = 44
_MAX_TOPICS = 1 << (63 - _OFFSET_BITS)
_POLL_BYTES = 16 * 1024 * 1024  # one poll holds about this much at most, and one record at least
_PRUNE_BATCH = 500
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
SCHEMA = (
    (
        "CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
        ' "end" INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0)',
        "CREATE TABLE records (id INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, key TEXT,"
        " headers TEXT, value BLOB NOT NULL)",
        "CREATE TABLE groups (topic INTEGER NOT NULL, name TEXT NOT NULL, committed INTEGER,"
        " epoch INTEGER NOT NULL, PRIMARY KEY (topic, name)) WITHOUT ROWID",
    ),
)
_COLUMNS = "id, timestamp, key, headers, value"
_INSERT = f"INSERT INTO records ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 - a constant
_ROWS_AT_ONCE = 64
_TAKE = 'UPDATE topics SET "end" = "end" + ?, bytes = bytes + ? WHERE name = ? RETURNING id, "end"'
_SIZE = (  # of a row, as counted in topics.bytes
    "32 + length(value) + coalesce(length(CAST(key AS BLOB)), 0) + coalesce(length(CAST(headers AS BLOB)), 0)"
)

Row = tuple[int, int, str | None, str | None, bytes]  # _COLUMNS


class Place(NamedTuple):
    """A topic's number, and the offset its next record gets."""

    id: int
    end: int


class Taken(NamedTuple):
    """What a member finds on taking a topic over; `committed` is None before the group's first commit."""

    topic: int
    committed: int | None
    epoch: int


# ------------------------------------------------------------------------------------------ statements


def place_of(connection: sqlite3.Connection, topic: str) -> Place | None:
    row = connection.execute('SELECT id, "end" FROM topics WHERE name = ?', (topic,)).fetchone()
    return Place(*row) if row else None


def make_topic(connection: sqlite3.Connection, topic: str) -> Place:
    place = place_of(connection, topic)
    if place is not None:
        return place
    number = connection.execute("INSERT INTO topics (name) VALUES (?)", (topic,)).lastrowid
    assert number is not None
    if number >= _MAX_TOPICS:
        raise BackendError(BACKEND, f"has {number} topics already", "use fewer topics; keys are free")
    return Place(number, 0)


def append(connection: sqlite3.Connection, topic: str, encoded: Sequence[Encoded]) -> int:
    """In as few statements as there can be, whatever the number of rows: see `SqliteFile`."""
    count, size = len(encoded), sum(row.size for row in encoded)
    taken = connection.execute(_TAKE, (count, size, topic)).fetchall()
    if not taken:
        make_topic(connection, topic)
        taken = connection.execute(_TAKE, (count, size, topic)).fetchall()
    number, end = taken[0]
    first: int = end - count
    now = time.time_ns() // 1_000_000
    at, place = 0, (number << _OFFSET_BITS) + first
    while at < count:
        # Of few lengths: each is a statement, which the connection keeps.
        some = min(_ROWS_AT_ONCE, 1 << ((count - at).bit_length() - 1))
        values: list[int | str | bytes | None] = []
        for index, row in enumerate(encoded[at : at + some], place + at):
            values += (index, now, row.key, row.headers, row.value)
        connection.execute(_INSERT + ", (?, ?, ?, ?, ?)" * (some - 1), values)
        at += some
    return first


def places(connection: sqlite3.Connection) -> list[tuple[str, Place]]:
    found = connection.execute('SELECT name, id, "end" FROM topics ORDER BY name').fetchall()
    return [(name, Place(number, end)) for name, number, end in found]


def read(connection: sqlite3.Connection, topic: int, offset: int, limit: int) -> list[Row]:
    """Rows from this offset on, `limit` or about 16 MB of them at most."""
    return _within_budget(
        connection.execute(
            f"SELECT {_COLUMNS} FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",  # noqa: S608
            ((topic << _OFFSET_BITS) + offset, (topic + 1) << _OFFSET_BITS, limit),
        )
    )


def read_last(connection: sqlite3.Connection, topic: int, limit: int) -> list[Row]:
    """The last rows, oldest of them first."""
    found = _within_budget(
        connection.execute(
            f"SELECT {_COLUMNS} FROM records WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?",  # noqa: S608
            (topic << _OFFSET_BITS, (topic + 1) << _OFFSET_BITS, limit),
        )
    )
    return found[::-1]


def _within_budget(cursor: sqlite3.Cursor) -> list[Row]:
    size = 0
    found: list[Row] = []
    for row in cursor:
        found.append(row)
        size += len(row[4])
        if size >= _POLL_BYTES:
            break
    cursor.close()
    return found


def begin_of(connection: sqlite3.Connection, place: Place) -> int:
    row = connection.execute(
        "SELECT id FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT 1",
        (place.id << _OFFSET_BITS, (place.id + 1) << _OFFSET_BITS),
    ).fetchone()
    return offset_of(row[0]) if row else place.end


def committed(connection: sqlite3.Connection, topic: int) -> dict[str, int]:
    """Each group's committed offset; 0 before its first commit."""
    found = connection.execute("SELECT name, coalesce(committed, 0) FROM groups WHERE topic = ?", (topic,))
    return dict(found.fetchall())


def take_over(connection: sqlite3.Connection, topic: str, group: str) -> Taken:
    number = make_topic(connection, topic).id
    connection.execute(
        "INSERT INTO groups (topic, name, epoch) VALUES (?, ?, 1)"
        " ON CONFLICT (topic, name) DO UPDATE SET epoch = epoch + 1",
        (number, group),
    )
    committed, epoch = connection.execute(
        "SELECT committed, epoch FROM groups WHERE topic = ? AND name = ?", (number, group)
    ).fetchone()
    return Taken(number, committed, epoch)


def commit(connection: sqlite3.Connection, group: str, taken: Sequence[tuple[str, int, int]]) -> None:
    for topic, end, epoch in taken:
        done = connection.execute(
            "UPDATE groups SET committed = ? WHERE name = ? AND epoch = ?"
            " AND topic = (SELECT id FROM topics WHERE name = ?)",
            (end, group, epoch, topic),
        )
        if done.rowcount != 1:
            raise FencedError(f"{topic} went to another member of {group}")


def prune(connection: sqlite3.Connection, topic: str, oldest: int | None, max_bytes: int | None) -> int:
    """Remove one batch from the front of a topic; give how many records went."""
    number, total = connection.execute("SELECT id, bytes FROM topics WHERE name = ?", (topic,)).fetchone()
    rows = connection.execute(
        f"SELECT id, timestamp, {_SIZE} FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",  # noqa: S608
        (number << _OFFSET_BITS, (number + 1) << _OFFSET_BITS, _PRUNE_BATCH),
    ).fetchall()
    gone, freed = [], 0
    for row, timestamp, size in rows:
        too_old = oldest is not None and timestamp < oldest
        too_much = max_bytes is not None and total - freed > max_bytes
        if not (too_old or too_much):
            break
        gone.append(row)
        freed += size
    if gone:
        connection.execute("DELETE FROM records WHERE id BETWEEN ? AND ?", (gone[0], gone[-1]))
        connection.execute("UPDATE topics SET bytes = bytes - ? WHERE id = ?", (freed, number))
    return len(gone)


# -------------------------------------------------------------------------------------------- encoding


class Encoded(NamedTuple):
    key: str | None
    headers: str | None
    value: bytes
    size: int


def encode(record: Record) -> Encoded:
    headers = None
    if record.headers:  # bytes as the 256 first characters: lossless, and readable in the file
        headers = json.dumps({name: value.decode("latin-1") for name, value in record.headers.items()})
    try:
        key = record.key.encode() if record.key is not None else b""
    except UnicodeEncodeError as error:
        raise BackendError(BACKEND, f"cannot store the key {record.key!r}", "use text as key") from error
    value = bytes(record.value)
    return Encoded(record.key, headers, value, 32 + len(value) + len(key) + len(headers or ""))


def decode(topic: str, row: Row) -> LogRecord:
    number, timestamp, key, headers, value = row
    decoded = {name: text.encode("latin-1") for name, text in json.loads(headers).items()} if headers else {}
    moment = datetime.fromtimestamp(timestamp / 1000, UTC)
    return LogRecord(topic, 0, offset_of(number), key, value, decoded, moment)


def milliseconds(moment: datetime) -> int:
    """As timestamps are stored: since 1970, in UTC."""
    return int(moment.timestamp() * 1000)


def offset_of(row: int) -> int:
    return row & ((1 << _OFFSET_BITS) - 1)


def check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BackendError(
            BACKEND,
            f"cannot have a {what} named {name!r}",
            "use up to 200 of A-Z a-z 0-9 . _ -, no dot first",
        )
