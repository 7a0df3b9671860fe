"""What the platform needs from the outside, as small interfaces. Adapters live in `ferris.adapters`, one
per backend.

A port promises what every one of its adapters keeps: ordering, durability and errors stand in the
docstrings, and `tests/contract/` checks them on each backend. Where backends honestly differ, the adapter
says so in `capabilities`.

Every method may be called from any thread unless it says otherwise. What a backend cannot do right now (it is
down, the disk is full, rights are missing) is a `BackendError` with a remedy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Protocol, runtime_checkable

from ferris.errors import Conflict

MAX_CONFIG_VALUE = 512 * 1024  # bytes; the limit of Consul's key-value store, kept on every backend


class FencedError(Conflict):
    """The partition went to another member of the group: what was read from it must not be committed here."""


# ----------------------------------------------------------------------------------------------- event log


@dataclass(frozen=True, slots=True)
class Record:
    """What is appended. Records of one key keep their order; without a key any partition may get it."""

    value: bytes
    key: str | None = None
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogRecord:
    """What is read: a record and its place. (topic, partition, offset) identifies it for ever."""

    topic: str
    partition: int
    offset: int
    key: str | None
    value: bytes
    headers: Mapping[str, bytes]
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Retention:
    """How long records stay: until they are older than `max_age` or the topic holds more than `max_bytes`.

    None means no limit. Whether a consumer group has read a record makes no difference. Records that need not be
    `lasting` are of use for moments only: a crash of the machine may lose the newest, a crash of a process none.
    """

    max_age: timedelta | None = None
    max_bytes: int | None = None
    lasting: bool = True


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """Offsets `begin` (the oldest still there) up to, not including, `end` (what the next record gets)."""

    partition: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Member:
    """Who is connected as one of a group: what it calls itself, where it is, which partitions it reads. Without
    partitions it stands by.
    """

    group: str
    client: str
    host: str
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """One topic as a screen shows it. `groups` gives each group's lag: records appended and not yet
    committed. `members`: who is connected and reads it for a group, by group and client; those who stand by as far
    as the backend knows them.
    """

    name: str
    partitions: tuple[PartitionInfo, ...]
    groups: Mapping[str, int]
    retention: Retention
    members: tuple[Member, ...] = ()


class Consumer(Protocol):
    """One reader. `poll` and `commit` belong to one thread; `wake` and `close` may be called from any."""

    def poll(self, max_records: int = 500, timeout: float | None = None) -> list[LogRecord]:
        """The next records, each partition's in offset order, at most `max_records`.

        Waits up to `timeout` seconds (None: for ever) for the first one and returns [] when none came, when
        `wake` was called, or when `close` was called meanwhile. A member that has no partition yet (a
        standby) waits in the same way until it gets one. Records are handed out again after a restart until
        committed.
        """
        ...

    def commit(self, records: Sequence[LogRecord]) -> None:
        """Move the group's offset behind the last of these records, for each partition among them.

        It survives the end of this process, however it ends. After a crash of the machine the offset may be an
        earlier one again: what was handled since is read once more. `FencedError` if one of the partitions is no
        longer this member's; nothing is committed then. A reader from `EventLog.tail` has no group: `BackendError`.
        """
        ...

    def wake(self) -> None:
        """Make the `poll` under way, or else the next one, return at once."""
        ...

    def close(self) -> None:
        """Leave the group at once; another member takes over from the committed offset. May be called
        twice.
        """
        ...


class EventLog(Protocol):
    """Topics of records, appended at the end and read by any number of readers.

    Capabilities: `atomic_batch` (one `append` is seen and survives whole or not at all), `one_partition`
    (every topic has exactly one, so that the whole topic is in order), `contiguous` (offsets have no gaps).
    """

    @property
    def capabilities(self) -> frozenset[str]:
        """What this backend does beyond the promises of the port."""
        ...

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        """Append in this order; give (partition, offset) for each record. The topic is made when missing.

        Durable when it returns: a crash of this process or of the machine loses none of them (but see
        `Retention.lasting`). After an
        error none, or without `atomic_batch` some, are on the log. Records of one key are read in the order
        appended.
        """
        ...

    def subscribe(self, group: str, topics: Sequence[str]) -> Consumer:
        """Join a group. Reading starts at the group's committed offset, or at the earliest record.

        Members of one group share the partitions; each partition is read by one member at a time, and another
        takes over when that one closes or dies. Groups do not disturb each other.
        """
        ...

    def tail(self, topics: Sequence[str]) -> Consumer:
        """Read what is appended from now on, without a group: every reader sees everything."""
        ...

    def browse(
        self, topic: str, *, partition: int = 0, offset: int | None = None, limit: int = 100
    ) -> list[LogRecord]:
        """Up to `limit` records from `offset` on, newest last; without an offset the last `limit`.

        Disturbs no group. An offset that was pruned away means the earliest record; an unknown topic is
        empty.
        """
        ...

    def topics(self) -> list[TopicInfo]:
        """Every topic by name, with its offsets, the lag of every group that has read from it, and its members."""
        ...

    def prune(self, now: datetime) -> int:
        """Apply the retention; give the number of records removed (0 where the backend does it by itself)."""
        ...


# -------------------------------------------------------------------------------------------- object store


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object. `etag` changes exactly when the content does; `size` is in bytes."""

    bucket: str
    key: str
    size: int
    etag: str
    content_type: str
    modified: datetime


class ObjectStore(Protocol):
    """Named byte strings in buckets.

    A bucket's name is 3 to 63 of a-z 0-9 . - (as S3 has it). A key is 1 to 1024 bytes of UTF-8 in segments
    parted by '/': no segment is empty, '.', '..' or longer than 255 bytes, none holds a backslash or a
    control character. Anything else is a `BackendError`, before anything is touched.

    Where one key is a folder of the other ("a" and "a/b") the second of them may be a `BackendError`:
    stores that keep files, MinIO among them, cannot have both.
    """

    def put(
        self, bucket: str, key: str, data: BinaryIO | bytes, content_type: str | None = None
    ) -> ObjectInfo:
        """Store under this key, replacing what was there; the bucket is made when missing.

        Durable when it returns. A reader sees the old content or the new, never a part; after an error the
        old. Without a content type it is guessed from the key's ending.
        """
        ...

    def open(self, bucket: str, key: str) -> BinaryIO:
        """The content as a stream the caller closes; it outlives a replacement. `NotFound`."""
        ...

    def stat(self, bucket: str, key: str) -> ObjectInfo | None:
        """What is known of an object, or None."""
        ...

    def buckets(self) -> list[str]:
        """The buckets by name."""
        ...

    def list(
        self, bucket: str, prefix: str = "", after: str | None = None, limit: int = 1000
    ) -> list[ObjectInfo]:
        """Objects whose key starts with `prefix`, in the order of the keys' UTF-8 bytes, behind `after`.

        Page by giving the last key as `after`. An unknown bucket is empty.
        """
        ...

    def delete(self, bucket: str, key: str) -> None:
        """Remove; not there is as good."""
        ...


@runtime_checkable
class TellsUploads(Protocol):
    """An object store that can tell by itself, on the topic `ferris.uploads`, that a file came: an S3 with
    notifications. Only while `tells` is true; else whoever puts a file says so.
    """

    tells: bool
    prefix: str

    def watch(self) -> Sequence[str]:
        """Have it tell about every bucket that there is, but the platform's own; those of which it does now."""
        ...


# -------------------------------------------------------------------------------------------- config store


@dataclass(frozen=True, slots=True)
class Entry:
    """One key and its value; `index` is the store's index at the last change of this key (Consul:
    ModifyIndex).
    """

    key: str
    value: bytes
    index: int


class ConfigStore(Protocol):
    """Small values by key, with compare-and-set. Configuration and the state of services.

    Keys are 1 to 512 characters without NUL; values up to `MAX_CONFIG_VALUE` bytes: `BackendError` otherwise.
    Every change is durable when the call returns, and is seen by every later call of any process.

    Capabilities: `transactional` (calls are part of the caller's transaction of the platform's database).
    """

    @property
    def capabilities(self) -> frozenset[str]:
        """What this backend does beyond the promises of the port."""
        ...

    def get(self, key: str) -> Entry | None:
        """The entry, or None."""
        ...

    def get_many(self, keys: Collection[str]) -> dict[str, Entry]:
        """Those of these entries that there are, by key. One round trip, up to 64 keys at a time."""
        ...

    def put(self, key: str, value: bytes, *, cas: int | None = None) -> bool:
        """Set. With `cas`: only if the entry's index is still that, 0 meaning that there is no entry.

        False: the condition did not hold and nothing was changed. Of several callers with the same `cas`
        one wins.
        """
        ...

    def delete(self, key: str, *, cas: int | None = None) -> bool:
        """Remove; not there is as good. With `cas`: only if the entry's index is still that (and not 0)."""
        ...

    def list(self, prefix: str) -> list[Entry]:
        """Every entry whose key starts with `prefix` (case matters), in the order of the keys."""
        ...

    def index(self) -> int:
        """A number that grows with every change to any key, deletions too; 0 before the first."""
        ...


# ----------------------------------------------------------------------------------------------- ops store

OPS_KINDS = ("logs", "events", "lifecycle", "metrics")


def log_cursor(attempt: int, seq: int) -> int:
    """The cursor of a log line (`LogLine.seq`) from the attempt and sequence number that its record has.

    The same on every backend, so that lines read from the store and from the log can be put in one order.
    """
    return (attempt << 40) + seq


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of an execution's log. `seq` is its `log_cursor`: it grows over attempts and lines."""

    seq: int
    attempt: int
    time: datetime
    step: str | None
    stream: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Page:
    """Records found, newest first, and the cursor of the next page (None: there is none)."""

    records: tuple[Mapping[str, Any], ...]
    cursor: str | None


class OpsStore(Protocol):
    """Searchable records of what went on. Everything in it can be made again from the event log.

    Kinds: "logs" (records as on `ferris.logs`), and "events", "lifecycle", "metrics": JSON objects with
    `key` (their identity within the kind) and `time` (RFC 3339), and whatever else; `type source subject
    service flow execution` are found fastest.
    """

    def write(self, kind: str, records: Sequence[Mapping[str, Any]]) -> int:
        """Store all or none, durably; give how many were new.

        What is there already changes nothing: a log line is known by (execution, attempt, seq), others by
        `key`. `EventError` for a record without what its kind needs.
        """
        ...

    def logs(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Lines of one execution in order (attempt, then sequence), behind the cursor `after`."""
        ...

    def last_logs(self, execution_id: str, *, before: int | None = None, limit: int = 1000) -> list[LogLine]:
        """The last lines of one execution, of those before the cursor `before`; in the order of `logs`.

        What it reads is what it gives, however many lines there are.
        """
        ...

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
        """Newest first: what came last. `since` is included, `until` is not.

        The query is in the language of `ferris.searching`. `among`: for a field, the values of which a record must
        have one; no query gets around it. `patience`: seconds after which an answer is of no use.
        `EventError(attribute="query")` says what is wrong with a bad query, or that it takes too long.
        """
        ...

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
        """How many records match, by the value of a field, or by time for `by` in "minute", "hour", "day".

        Times are keys like "2026-11-24T03:00:00Z", oldest first; values of a field by falling count, 100 at
        most.
        """
        ...

    def prune(self, before: datetime) -> int:
        """Remove what is older; give the number of records removed."""
        ...
