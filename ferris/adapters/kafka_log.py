"""The event log on Kafka, as far as no driver has a say: `kafka_python` and `kafka_confluent` fill it in.

Topics, lag and browsing go through kafka-python for both: one description of them is enough. Neither driver has a
way to wake a reader that waits: a wait is cut in slices of a tenth of a second, between which wake-ups are noticed.
Records come at once all the same.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from ferris.adapters import kafka_checkup
from ferris.adapters import kafka_topics as topics
from ferris.adapters.kafka_membership import AHEAD, Membership, Place
from ferris.errors import BackendError
from ferris.findings import Finding
from ferris.ports import Consumer, LogRecord, Record, Retention, TopicInfo

ANSWER_SECONDS = 30.0
SLICE = 0.1


class KafkaEventLog(ABC):
    """`EventLog` on Kafka; `url` is as in `Address.parse`."""

    capabilities: frozenset[str] = frozenset()

    def __init__(self, url: str, *, retention: Mapping[str, Retention] | None = None) -> None:
        self._address = topics.Address.parse(url)
        self._topics = topics.Topics(self._address, retention)

    def prepare(self, names: Sequence[str]) -> None:
        """Make these topics now, before anybody needs them."""
        self._topics.ensure(topics.names("topic", names))

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        """See `EventLog.append`. The producer is idempotent: what it sends again is not written twice."""
        topics.names("topic", [topic])
        if not records:
            return []
        self._topics.ensure([topic])
        return self._produce(topic, records)

    def subscribe(self, group: str, topics_: Sequence[str]) -> Consumer:
        """See `EventLog.subscribe`. A member that was killed is missed after 10 s."""
        topics.names("group", [group])
        return self._reader(topics_, group)

    def tail(self, topics_: Sequence[str]) -> Consumer:
        """See `EventLog.tail`."""
        return self._reader(topics_, None)

    def _reader(self, topics_: Sequence[str], group: str | None) -> Consumer:
        wanted = topics.names("topic", topics_)
        self._topics.ensure(wanted)
        return self._consume(wanted, group)

    def browse(
        self, topic: str, *, partition: int = 0, offset: int | None = None, limit: int = 100
    ) -> list[LogRecord]:
        """See `EventLog.browse`."""
        topics.names("topic", [topic])
        return self._topics.browse(topic, partition, offset, limit)

    def topics(self) -> list[TopicInfo]:
        """See `EventLog.topics`."""
        return self._topics.describe()

    def prune(self, now: datetime) -> int:
        """See `EventLog.prune`: Kafka removes old records by itself, by the settings its topics were made with."""
        return 0

    def examine(self, prefix: str = "") -> Iterator[Finding]:
        """See `findings.Examined`."""
        return kafka_checkup.examine(self._topics, prefix)

    def close(self) -> None:
        """Give the connections back; the next call opens them again. Consumers close themselves."""
        self._hang_up()
        self._topics.close()

    @abstractmethod
    def _produce(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        """Append to a topic that is there; BackendError unless all were taken."""

    @abstractmethod
    def _consume(self, wanted: list[str], group: str | None) -> Consumer:
        """A reader of topics that are there; a tail without a group."""

    @abstractmethod
    def _hang_up(self) -> None:
        """Give the producer's connections back."""


class KafkaReader(ABC):
    """`Consumer`: a member of a group, or a tail when there is none."""

    def __init__(self, group: str | None) -> None:
        self._group = group
        self._membership = Membership(group or "a tail")
        self._polling = threading.RLock()
        self._woken = threading.Event()
        self._closed = False

    def poll(self, max_records: int = 500, timeout: float | None = None) -> list[LogRecord]:
        """See `Consumer.poll`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._polling:
            if self._closed:
                raise BackendError(topics.BACKEND, "was asked to poll a closed consumer", "subscribe again")
            while not self._closed and not self._woken.is_set():
                left = SLICE if deadline is None else max(0.0, deadline - time.monotonic())
                if room := self._membership.room:
                    self._fetch(room, min(left, SLICE) if room == AHEAD else 0.0)
                found = self._membership.take(max_records)
                if found:
                    return found
                self._check()
                if deadline is not None and time.monotonic() >= deadline:
                    return []
            self._woken.clear()
            return []

    def commit(self, records: Sequence[LogRecord]) -> None:
        """See `Consumer.commit`."""
        if self._group is None:
            raise BackendError(topics.BACKEND, "cannot commit for a tail, which has no group", "subscribe")
        self._membership.commit(records, self._send_open, self._settle)

    def _send_open(self, ends: Mapping[Place, int]) -> str:
        if self._closed:
            raise self._membership.fenced("this member has left")
        return self._send(ends)

    def _settle(self) -> None:
        with self._polling:
            if not self._closed:
                self._fetch(max(1, self._membership.room), SLICE)

    def wake(self) -> None:
        """See `Consumer.wake`."""
        self._woken.set()

    def close(self) -> None:
        """See `Consumer.close`. Waits for a `poll` under way, which returns within a tenth of a second."""
        self._closed = True
        with self._polling:
            self._leave()

    @abstractmethod
    def _fetch(self, room: int, seconds: float) -> None:
        """Give the membership what has come, `room` records at most, after a wait for the first one.

        Takes part in the sharing out of partitions. BackendError when Kafka does not answer.
        """

    def _check(self) -> None:  # noqa: B027  a driver that tells of faults in `_fetch` has nothing to say here
        """BackendError for what the driver told of the connection since the last call."""

    @abstractmethod
    def _send(self, ends: Mapping[Place, int]) -> str:
        """Commit these offsets, or say why the group must settle first. BackendError when it will not settle."""

    @abstractmethod
    def _leave(self) -> None:
        """Leave the group and give the connection back; a second time does nothing."""


def key_of(record: Record) -> bytes | None:
    """The key as Kafka has it."""
    return None if record.key is None else record.key.encode("utf-8", "replace")
