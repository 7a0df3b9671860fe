"""The event log on Kafka through librdkafka: `kafka+confluent://host:port`. Faster, same promises.

Topics, lag and browsing go through kafka-python: one description of them is enough. The driver has no way to
wake a reader that waits: a wait is cut in slices of a tenth of a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from ferris.adapters import kafka_checkup
from ferris.adapters import kafka_topics as topics
from ferris.adapters.kafka_membership import AHEAD, Membership, Place
from ferris.errors import BackendError
from ferris.findings import Finding
from ferris.ports import LogRecord, Record, Retention, TopicInfo

_SLICE = 0.1
_ANSWER_SECONDS = 30.0
_UNSETTLED = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._STATE,
        KafkaError._ASSIGNMENT_LOST,
    }
)


class KafkaConfluentEventLog:
    """`EventLog` on Kafka; `url` is `kafka+confluent://host:port[,host:port]?partitions=4&replicas=3`."""

    capabilities: frozenset[str] = frozenset()

    def __init__(self, url: str, *, retention: Mapping[str, Retention] | None = None) -> None:
        self._address = topics.Address.parse(url)
        self._topics = topics.Topics(self._address, retention)
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def prepare(self, names: Sequence[str]) -> None:
        """Make these topics now, before anybody needs them."""
        self._topics.ensure(topics.names("topic", names))

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        """See `EventLog.append`. The producer is idempotent: what it sends again is not written twice."""
        topics.names("topic", [topic])
        if not records:
            return []
        self._topics.ensure([topic])
        delivery = _Delivery(len(records))
        producer = self._producing()
        try:
            for index, record in enumerate(records):
                producer.produce(
                    topic,
                    value=record.value,
                    key=None if record.key is None else record.key.encode("utf-8", "replace"),
                    headers=list(record.headers.items()),
                    on_delivery=delivery.callback(index),
                )
            deadline = time.monotonic() + _ANSWER_SECONDS
            # Whoever polls serves the callbacks of every thread: the wait is short, so that nobody waits for
            # an answer that another thread has fetched.
            while not delivery.done and time.monotonic() < deadline:
                producer.poll(0.005)
        except (KafkaException, BufferError) as error:
            self._topics.forget(topic)
            raise _fault(error) from error
        return delivery.places()

    def _producing(self) -> Producer:
        with self._lock:
            if self._producer is None:
                self._producer = Producer(
                    _connection(self._address)
                    | {
                        "acks": "all",
                        "enable.idempotence": True,
                        "linger.ms": 0,
                        "partitioner": "murmur2_random",  # as Kafka's own clients and kafka-python
                        "message.max.bytes": topics.MAX_RECORD,
                        "delivery.timeout.ms": int((_ANSWER_SECONDS - 1) * 1000),
                    }
                )
            return self._producer

    def subscribe(self, group: str, topics_: Sequence[str]) -> KafkaConfluentConsumer:
        """See `EventLog.subscribe`. A member that was killed is missed after 10 s."""
        topics.names("group", [group])
        wanted = topics.names("topic", topics_)
        self._topics.ensure(wanted)
        return KafkaConfluentConsumer(self._address, self._topics, wanted, group)

    def tail(self, topics_: Sequence[str]) -> KafkaConfluentConsumer:
        """See `EventLog.tail`."""
        wanted = topics.names("topic", topics_)
        self._topics.ensure(wanted)
        return KafkaConfluentConsumer(self._address, self._topics, wanted, None)

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
        with self._lock:
            if self._producer is not None:
                self._producer.flush(5)
                self._producer = None
        self._topics.close()


class _Delivery:
    """Collects the places of one batch, whichever thread the driver tells them to."""

    def __init__(self, count: int) -> None:
        self._places: list[tuple[int, int] | None] = [None] * count
        self._left = count
        self._error: Any = None

    def callback(self, index: int) -> Any:
        def told(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._error = error
            else:
                self._places[index] = (message.partition() or 0, message.offset() or 0)
            self._left -= 1

        return told

    @property
    def done(self) -> bool:
        return self._left == 0

    def places(self) -> list[tuple[int, int]]:
        if self._error is not None:
            raise _fault(KafkaException(self._error))
        places = [place for place in self._places if place is not None]
        if len(places) < len(self._places):
            raise BackendError(
                topics.BACKEND, f"did not answer within {_ANSWER_SECONDS:.0f} s", "check that Kafka runs"
            )
        return places


class KafkaConfluentConsumer:
    """`Consumer`: a member of a group, or a tail when there is none."""

    def __init__(
        self, address: topics.Address, administration: topics.Topics, wanted: Sequence[str], group: str | None
    ) -> None:
        self._group = group
        self._membership = Membership(group or "a tail")
        self._polling = threading.RLock()
        self._woken = threading.Event()
        self._closed = False
        self._down: KafkaError | None = None
        self._consumer = Consumer(
            _connection(address)
            | {
                "group.id": group or "ferris-tail",  # a tail assigns by itself and never commits
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": int(topics.SESSION_SECONDS * 1000),
                "heartbeat.interval.ms": int(topics.SESSION_SECONDS * 1000 / 4),
                "max.partition.fetch.bytes": topics.MAX_RECORD,
                "fetch.error.backoff.ms": 100,
                "error_cb": self._on_error,
            }
        )
        if group is None:
            ends = administration.ends(administration.partitions(wanted))
            self._consumer.assign([TopicPartition(p.topic, p.partition, end) for p, end in ends.items()])
        else:
            self._consumer.subscribe(list(wanted), on_revoke=self._on_lost, on_lost=self._on_lost)

    def _on_lost(self, _consumer: Consumer, lost: Sequence[TopicPartition]) -> None:
        self._membership.lost((place.topic, place.partition) for place in lost)

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION) or error.fatal():
            self._down = error

    def poll(self, max_records: int = 500, timeout: float | None = None) -> list[LogRecord]:
        """See `Consumer.poll`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._polling:
            if self._closed:
                raise BackendError(topics.BACKEND, "was asked to poll a closed consumer", "subscribe again")
            while not self._closed and not self._woken.is_set():
                left = _SLICE if deadline is None else max(0.0, deadline - time.monotonic())
                if self._membership.room:
                    self._fetch(min(left, _SLICE) if self._membership.room == AHEAD else 0)
                found = self._membership.take(max_records)
                if found:
                    return found
                if self._down is not None:
                    error, self._down = self._down, None
                    raise _fault(KafkaException(error))
                if deadline is not None and time.monotonic() >= deadline:
                    return []
            self._woken.clear()
            return []

    def _fetch(self, seconds: float) -> None:
        """What has come, after a wait for the first record."""
        try:
            first = self._consumer.poll(seconds)
            if first is None:
                return
            # `consume` with a wait would go on until it has as many as it was told.
            messages = [first, *self._consumer.consume(max(1, self._membership.room - 1), 0)]
        except (KafkaException, RuntimeError) as error:
            raise _fault(error) from error
        self._membership.read(_record(message) for message in messages if self._usable(message))

    def _usable(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if not error.retriable() and error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._down = error
        return False

    def commit(self, records: Sequence[LogRecord]) -> None:
        """See `Consumer.commit`."""
        if self._group is None:
            raise BackendError(topics.BACKEND, "cannot commit for a tail, which has no group", "subscribe")
        self._membership.commit(records, self._send, self._settle)

    def _send(self, ends: Mapping[Place, int]) -> str:
        if self._closed:
            raise self._membership.fenced("this member has left")
        try:
            told = self._consumer.commit(
                offsets=[TopicPartition(topic, number, end) for (topic, number), end in ends.items()],
                asynchronous=False,
            )
            error = next((place.error for place in told or () if place.error is not None), None)
            if error is not None:
                raise KafkaException(error)
        except KafkaException as caught:
            if caught.args[0].code() in _UNSETTLED:
                return str(caught.args[0].str())
            raise _fault(caught) from caught
        return ""

    def _settle(self) -> None:
        with self._polling:
            if not self._closed:
                self._fetch(_SLICE)

    def wake(self) -> None:
        """See `Consumer.wake`."""
        self._woken.set()

    def close(self) -> None:
        """See `Consumer.close`. Waits for a `poll` under way, which returns within a tenth of a second."""
        self._closed = True
        with self._polling:
            try:
                self._consumer.close()
            except RuntimeError:
                pass  # closed already


def _connection(address: topics.Address) -> dict[str, Any]:
    return {
        "bootstrap.servers": ",".join(address.servers),
        "allow.auto.create.topics": False,
        "reconnect.backoff.max.ms": 1000,
        "socket.nagle.disable": True,  # else a request may wait for the answer to the one before
        "log_level": 3,
    }


def _record(message: Message) -> LogRecord:
    key = message.key()
    kind, milliseconds = message.timestamp()
    headers: Any = message.headers() or ()
    return LogRecord(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        None if key is None else _bytes(key).decode("utf-8", "replace"),
        _bytes(message.value()),
        {name: _bytes(value) for name, value in headers},
        topics.moment(0 if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds),
    )


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value or b"")


def _fault(error: Exception) -> BackendError:
    told = error.args[0].str() if error.args and isinstance(error.args[0], KafkaError) else str(error)
    return BackendError(
        topics.BACKEND, f"did not answer as it should ({told})", "check that Kafka runs; its log says more"
    )
