"""The event log on Kafka through kafka-python: `kafka://host:port`."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from ferris.adapters import kafka_topics as topics
from ferris.adapters.kafka_log import ANSWER_SECONDS, KafkaEventLog, KafkaReader, key_of
from ferris.adapters.kafka_membership import Membership, Place
from ferris.ports import Record, Retention

_UNSETTLED = (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class KafkaPythonEventLog(KafkaEventLog):
    """`EventLog` on Kafka; `url` is `kafka://host:port[,host:port]?partitions=4&replicas=3`."""

    def __init__(self, url: str, *, retention: Mapping[str, Retention] | None = None) -> None:
        super().__init__(url, retention=retention)
        self._lock = threading.Lock()
        self._producer: Any = None

    def _produce(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            sent = [self._send(topic, record) for record in records]
            told = [future.get(timeout=max(0.0, deadline - time.monotonic())) for future in sent]
        except (KafkaError, AssertionError) as error:
            self._topics.forget(topic)
            raise topics.fault(error) from error
        return [(one.partition, one.offset) for one in told]

    def _send(self, topic: str, record: Record) -> Any:
        headers = list(record.headers.items())
        return self._producing().send(topic, value=record.value, key=key_of(record), headers=headers)

    def _producing(self) -> Any:
        with self._lock:
            if self._producer is None:
                self._producer = KafkaProducer(
                    bootstrap_servers=list(self._address.servers),
                    bootstrap_timeout_ms=topics.REACH_SECONDS * 1000,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=0,
                    batch_size=256 * 1024,
                    max_request_size=topics.MAX_RECORD,
                    max_block_ms=topics.REACH_SECONDS * 1000,
                    delivery_timeout_ms=(ANSWER_SECONDS - 1) * 1000,
                    request_timeout_ms=10_000,
                    allow_auto_create_topics=False,
                    reconnect_backoff_max_ms=1000,
                    metrics_enabled=False,
                )
            return self._producer

    def _consume(self, wanted: list[str], group: str | None) -> KafkaPythonConsumer:
        return KafkaPythonConsumer(self._topics, wanted, group)

    def _hang_up(self) -> None:
        with self._lock:
            if self._producer is not None:
                self._producer.close(timeout=5)
                self._producer = None


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells the membership what went to others."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        self._membership.lost((place.topic, place.partition) for place in revoked)

    def on_partitions_lost(self, lost: Sequence[TopicPartition]) -> None:
        self.on_partitions_revoked(lost)

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Nothing to do: what is handed out from now on may be committed."""


class KafkaPythonConsumer(KafkaReader):
    """`Consumer`: a member of a group, or a tail when there is none."""

    def __init__(self, administration: topics.Topics, wanted: Sequence[str], group: str | None) -> None:
        super().__init__(group)
        if group is None:
            self._consumer = administration.consumer()
            ends = administration.ends(administration.partitions(wanted))
            self._consumer.assign(list(ends))
            for place, end in ends.items():
                self._consumer.seek(place, end)
            return
        self._consumer = administration.consumer(
            group_id=group,
            partition_assignment_strategy=[CooperativeStickyAssignor],
            session_timeout_ms=int(topics.SESSION_SECONDS * 1000),
            heartbeat_interval_ms=int(topics.SESSION_SECONDS * 1000 / 4),
        )
        self._consumer.subscribe(list(wanted), listener=_Listener(self._membership))

    @topics.explained
    def _fetch(self, room: int, seconds: float) -> None:
        self._finish_joining()
        read = self._consumer.poll(timeout_ms=seconds * 1000, max_records=room)
        self._membership.read(topics.record(one) for records in read.values() for one in records)

    def _finish_joining(self) -> None:
        """kafka-python 3.0.12 forgets an answer to its joining that comes between two polls, if the reason to
        join again (a topic's partitions) went away meanwhile; it would wait for ever. Asked again, it takes it.
        """
        coordinator = self._consumer._coordinator
        if self._group is not None and coordinator.rejoining and not coordinator.rejoin_needed:
            coordinator.request_rejoin()

    def _send(self, ends: Mapping[Place, int]) -> str:
        offsets = {TopicPartition(*place): OffsetAndMetadata(end, "", -1) for place, end in ends.items()}
        try:
            self._consumer.commit(offsets, timeout_ms=ANSWER_SECONDS * 1000)
        except _UNSETTLED as error:
            return type(error).__name__
        except KafkaError as error:
            raise topics.fault(error) from error
        return ""

    def _leave(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=5000)
