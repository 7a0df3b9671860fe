"""The event log on Kafka through librdkafka: `kafka+confluent://host:port`. Faster, same promises."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
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

from ferris.adapters import kafka_topics as topics
from ferris.adapters.kafka_log import ANSWER_SECONDS, KafkaEventLog, KafkaReader, key_of
from ferris.adapters.kafka_membership import Place
from ferris.errors import BackendError
from ferris.ports import LogRecord, Record, Retention

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


class KafkaConfluentEventLog(KafkaEventLog):
    """`EventLog` on Kafka; `url` is `kafka+confluent://host:port[,host:port]?partitions=4&replicas=3`."""

    def __init__(self, url: str, *, retention: Mapping[str, Retention] | None = None) -> None:
        super().__init__(url, retention=retention)
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def _produce(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        delivery = _Delivery(len(records))
        producer = self._producing()
        try:
            for index, record in enumerate(records):
                producer.produce(
                    topic,
                    value=record.value,
                    key=key_of(record),
                    headers=list(record.headers.items()),
                    on_delivery=delivery.callback(index),
                )
            deadline = time.monotonic() + ANSWER_SECONDS
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
                        "delivery.timeout.ms": int((ANSWER_SECONDS - 1) * 1000),
                    }
                )
            return self._producer

    def _consume(self, wanted: list[str], group: str | None) -> KafkaConfluentConsumer:
        return KafkaConfluentConsumer(self._address, self._topics, wanted, group)

    def _hang_up(self) -> None:
        with self._lock:
            if self._producer is not None:
                self._producer.flush(5)
                self._producer = None


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
                topics.BACKEND, f"did not answer within {ANSWER_SECONDS:.0f} s", "check that Kafka runs"
            )
        return places


class KafkaConfluentConsumer(KafkaReader):
    """`Consumer`: a member of a group, or a tail when there is none."""

    def __init__(
        self, address: topics.Address, administration: topics.Topics, wanted: Sequence[str], group: str | None
    ) -> None:
        super().__init__(group)
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

    def _fetch(self, room: int, seconds: float) -> None:
        try:
            first = self._consumer.poll(seconds)
            if first is None:
                return
            # `consume` with a wait would go on until it has as many as it was told.
            messages = [first, *self._consumer.consume(max(1, room - 1), 0)]
        except (KafkaException, RuntimeError) as error:
            raise _fault(error) from error
        self._membership.read(_record(message) for message in messages if self._usable(message))

    def _check(self) -> None:
        if self._down is not None:
            error, self._down = self._down, None
            raise _fault(KafkaException(error))

    def _usable(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if not error.retriable() and error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._down = error
        return False

    def _send(self, ends: Mapping[Place, int]) -> str:
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

    def _leave(self) -> None:
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
