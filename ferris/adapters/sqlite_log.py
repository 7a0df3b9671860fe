"""The event log in one SQLite file: every topic has one partition, several processes write and read.

Offsets are contiguous: they are given out inside the transaction that appends. Readers are woken by bells
beside the file (`<folder>/bells/<topic>/`), groups are seated by locks (`<folder>/groups/<topic>/`): see
`bells.py`. A writer killed between its commit and the bell is heard with the next record, after 30 s at the
latest. Fencing: taking a topic over counts the group's epoch up, and a commit must bring the epoch its
member took over with.
"""

from __future__ import annotations

import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ferris.adapters import local_path
from ferris.adapters import sqlite_log_rows as rows
from ferris.adapters.bells import Alarm, Seat, holder, ring
from ferris.adapters.sqlite_file import SqliteFile
from ferris.errors import BackendError
from ferris.ports import FencedError, LogRecord, Member, PartitionInfo, Record, Retention, TopicInfo

logger = logging.getLogger(__name__)


class SqliteEventLog:
    """`EventLog` in a file of its own; `url` is `sqlite:////absolute/path/log.db`."""

    capabilities = frozenset({"atomic_batch", "one_partition", "contiguous"})

    def __init__(self, url: str, *, retention: Mapping[str, Retention] | None = None) -> None:
        path = local_path("FERRIS_EVENT_LOG", url)
        self._retention = dict(retention or {})
        self._file = SqliteFile(
            path, backend=rows.BACKEND, application_id=rows.APPLICATION_ID, schema=rows.SCHEMA
        )
        self._bells = Path(path).parent / "bells"
        self._seats = Path(path).parent / "groups"

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        """See `EventLog.append`. Threads that append at the same time share one disk flush."""
        rows.check_name("topic", topic)
        encoded = [rows.encode(record) for record in records]
        if not encoded:
            return []
        first = self._file.write(
            lambda connection: rows.append(connection, topic, encoded),
            lasting=self._retention_of(topic).lasting,
        )
        ring(self._bells / topic)
        return [(0, first + index) for index in range(len(encoded))]

    def subscribe(self, group: str, topics: Sequence[str]) -> SqliteConsumer:
        """See `EventLog.subscribe`. A standby takes over within milliseconds, after a kill -9 too."""
        rows.check_name("group", group)
        for topic in topics:
            rows.check_name("topic", topic)
        return SqliteConsumer(self._file, self._bells, topics, seats=self._seats, group=group)

    def tail(self, topics: Sequence[str]) -> SqliteConsumer:
        """See `EventLog.tail`."""
        for topic in topics:
            rows.check_name("topic", topic)
        return SqliteConsumer(self._file, self._bells, topics)

    def browse(
        self, topic: str, *, partition: int = 0, offset: int | None = None, limit: int = 100
    ) -> list[LogRecord]:
        """See `EventLog.browse`. About 16 MB at most."""
        with self._file.reading() as connection:
            place = rows.place_of(connection, topic)
            if place is None or partition != 0:
                return []
            if offset is None:
                found = rows.read_last(connection, place.id, limit)
            else:
                found = rows.read(connection, place.id, max(offset, 0), limit)
        return [rows.decode(topic, row) for row in found]

    def topics(self) -> list[TopicInfo]:
        """See `EventLog.topics`."""
        with self._file.reading() as connection:
            connection.execute("BEGIN")  # one state of the file for all of it
            try:
                return [self._describe(connection, *topic) for topic in rows.places(connection)]
            finally:
                connection.execute("ROLLBACK")

    def _describe(self, connection: sqlite3.Connection, name: str, place: rows.Place) -> TopicInfo:
        begin = rows.begin_of(connection, place)
        lags = {
            group: place.end - max(begin, committed)
            for group, committed in rows.committed(connection, place.id).items()
        }
        members = tuple(
            Member(group, f"process {process}", socket.gethostname(), (0,))
            for group in sorted(lags)
            if (process := holder(self._seats / name, group))
        )
        return TopicInfo(name, (PartitionInfo(0, begin, place.end),), lags, self._retention_of(name), members)

    def prune(self, now: datetime) -> int:
        """See `EventLog.prune`. Works in small transactions, so that appends get between."""
        removed = 0
        for topic in self.topics():
            retention = topic.retention
            if retention == Retention():
                continue
            oldest = None if retention.max_age is None else rows.milliseconds(now - retention.max_age)
            while batch := self._prune_batch(topic.name, oldest, retention.max_bytes):
                removed += batch
        if removed:
            self._file.shrink()
        return removed

    def _prune_batch(self, topic: str, oldest: int | None, max_bytes: int | None) -> int:
        return self._file.write(lambda connection: rows.prune(connection, topic, oldest, max_bytes))

    def _retention_of(self, topic: str) -> Retention:
        return self._retention.get(topic) or self._retention.get("*") or Retention()

    def close(self) -> None:
        """Close the file in this process; the next call opens it again. Consumers close themselves."""
        self._file.close()


class SqliteConsumer:
    """`Consumer`: a member of a group, or a tail when there is none."""

    def __init__(
        self,
        file: SqliteFile,
        bells: Path,
        topics: Sequence[str],
        *,
        seats: Path | None = None,
        group: str | None = None,
    ) -> None:
        self._file, self._group = file, group
        self._order = list(dict.fromkeys(topics))
        self._numbers: dict[str, int] = {}
        self._positions: dict[str, int] = {}  # of the topics that are ours to read
        self._epochs: dict[str, int] = {}
        self._polling = threading.RLock()
        self._closed = False
        with file.reading() as connection:  # a file that cannot be used is reported here and not later
            if group is None:
                for topic in self._order:
                    place = rows.place_of(connection, topic)
                    self._positions[topic] = place.end if place else 0
        try:
            self._alarm = Alarm(bells / topic for topic in self._order)
            self._seats = {t: Seat(seats / t, group) for t in self._order} if seats and group else {}
        except OSError as error:
            raise BackendError(
                rows.BACKEND,
                f"cannot make its bells in {bells.parent} ({error})",
                "give this user the right to write that folder",
            ) from error

    def poll(self, max_records: int = 500, timeout: float | None = None) -> list[LogRecord]:
        """See `Consumer.poll`. About 16 MB at once at most."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._polling:
            if self._closed:
                raise BackendError(rows.BACKEND, "was asked to poll a closed consumer", "subscribe again")
            while True:
                self._alarm.clear()
                self._take_seats()
                found = self._fetch(max_records)
                left = float("inf") if deadline is None else deadline - time.monotonic()
                if found or left <= 0:
                    return found
                waiting = [seat for seat in self._seats.values() if not seat.held]
                if self._alarm.wait(left, waiting) or self._closed:
                    return []

    def commit(self, records: Sequence[LogRecord]) -> None:
        """See `Consumer.commit`."""
        group = self._group
        if group is None:
            raise BackendError(rows.BACKEND, "cannot commit for a tail, which has no group", "subscribe")
        ends: dict[str, int] = {}
        for record in records:
            ends[record.topic] = max(ends.get(record.topic, 0), record.offset + 1)
        taken: list[tuple[str, int, int]] = []
        for topic, end in ends.items():
            epoch = self._epochs.get(topic)
            if epoch is None or self._closed:
                raise FencedError(f"{topic} is not read by this member of {group}")
            taken.append((topic, end, epoch))
        if taken:
            self._file.write(lambda connection: rows.commit(connection, group, taken), lasting=False)

    def wake(self) -> None:
        """See `Consumer.wake`."""
        self._alarm.wake()

    def close(self) -> None:
        """See `Consumer.close`. Waits for a `poll` under way, which returns at once."""
        self._closed = True
        self._alarm.wake()
        with self._polling:
            for seat in self._seats.values():
                seat.release()
            self._alarm.close()

    def _take_seats(self) -> None:
        for topic, seat in self._seats.items():
            if seat.held:
                continue
            try:
                taken = seat.take()
            except OSError as error:
                raise BackendError(
                    rows.BACKEND,
                    f"cannot join {self._group} ({error})",
                    "give this user the right to write that folder",
                ) from error
            if taken:
                self._take_over(topic, seat)

    def _take_over(self, topic: str, seat: Seat) -> None:
        group = self._group
        assert group is not None
        try:
            taken = self._file.write(lambda connection: rows.take_over(connection, topic, group))
        except BaseException:
            seat.release()
            raise
        self._numbers[topic] = taken.topic
        self._epochs[topic] = taken.epoch
        self._positions[topic] = taken.committed or 0

    def _fetch(self, max_records: int) -> list[LogRecord]:
        found: list[LogRecord] = []
        with self._file.reading() as connection:
            for topic in self._order:
                if topic in self._positions and len(found) < max_records:
                    found += self._fetch_topic(connection, topic, max_records - len(found))
        if found:  # let the next topic go first: a long backlog must not hold up the others
            self._order.append(self._order.pop(0))
        return found

    def _fetch_topic(self, connection: sqlite3.Connection, topic: str, limit: int) -> list[LogRecord]:
        position = self._positions[topic]
        if topic not in self._numbers:
            place = rows.place_of(connection, topic)
            if place is None:
                return []
            self._numbers[topic] = place.id
        found = rows.read(connection, self._numbers[topic], position, limit)
        records = [rows.decode(topic, row) for row in found]
        if not records:
            return []
        if records[0].offset > position > 0:
            logger.warning(
                "%s: offsets %d to %d of %s were pruned before they were read; going on at the earliest",
                self._group or "a tail",
                position,
                records[0].offset - 1,
                topic,
            )
        self._positions[topic] = records[-1].offset + 1
        return records
