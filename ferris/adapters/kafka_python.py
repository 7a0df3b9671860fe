"""The event log on Kafka through kafka-python: `kafka://host:port`.

The driver has no way to wake a reader that waits: a wait is cut in slices of a tenth of a second, between
which wake-ups are noticed. Records come at once all the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
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

from ferris.adapters import kafka_checkup
from ferris.adapters import kafka_topics as topics
from ferris.adapters.kafka_membership import AHEAD, Membership, Place
from ferris.errors import BackendError
from ferris.findings import Finding
from ferris.ports import LogRecord, Record, Retention, TopicInfo

_SLICE = 0.1
_ANSWER_SECONDS = 30.0
_UNSETTLED = (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class KafkaPythonEventLog:
    """`EventLog` on Kafka; `url` is `kafka://host:port[,host:port]?partitions=4&replicas=3`."""

    capabilities: frozenset[str] = frozenset()

    def __init__(self, url: str, *, retention: Mapping[str, Retention] | None = None) -> None:
        self._address = topics.Address.parse(url)
        self._topics = topics.Topics(self._address, retention)
        self._lock = threading.Lock()
        self._producer: Any = None

    def prepare(self, names: Sequence[str]) -> None:
        """Make these topics now, before anybody needs them."""
        self._topics.ensure(topics.names("topic", names))

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        """See `EventLog.append`. The producer is idempotent: what it sends again is not written twice."""
        topics.names("topic", [topic])
        if not records:
            return []
        self._topics.ensure([topic])
        deadline = time.monotonic() + _ANSWER_SECONDS
        try:
            sent = [self._send(topic, record) for record in records]
            told = [future.get(timeout=max(0.0, deadline - time.monotonic())) for future in sent]
        except (KafkaError, AssertionError) as error:
            self._topics.forget(topic)
            raise topics.fault(error) from error
        return [(one.partition, one.offset) for one in told]

    def _send(self, topic: str, record: Record) -> Any:
        key = None if record.key is None else record.key.encode("utf-8", "replace")
        headers = list(record.headers.items())
        return self._producing().send(topic, value=record.value, key=key, headers=headers)

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
                    delivery_timeout_ms=(_ANSWER_SECONDS - 1) * 1000,
                    request_timeout_ms=10_000,
                    allow_auto_create_topics=False,
                    reconnect_backoff_max_ms=1000,
                    metrics_enabled=False,
                )
            return self._producer

    def subscribe(self, group: str, topics_: Sequence[str]) -> KafkaPythonConsumer:
        """See `EventLog.subscribe`. A member that was killed is missed after 10 s."""
        topics.names("group", [group])
        wanted = topics.names("topic", topics_)
        self._topics.ensure(wanted)
        return KafkaPythonConsumer(self._topics, wanted, group)

    def tail(self, topics_: Sequence[str]) -> KafkaPythonConsumer:
        """See `EventLog.tail`."""
        wanted = topics.names("topic", topics_)
        self._topics.ensure(wanted)
        return KafkaPythonConsumer(self._topics, wanted, None)

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
                self._producer.close(timeout=5)
                self._producer = None
        self._topics.close()


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


class KafkaPythonConsumer:
    """`Consumer`: a member of a group, or a tail when there is none."""

    def __init__(self, administration: topics.Topics, wanted: Sequence[str], group: str | None) -> None:
        self._group = group
        self._membership = Membership(group or "a tail")
        self._polling = threading.RLock()
        self._woken = threading.Event()
        self._closed = False
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
    def poll(self, max_records: int = 500, timeout: float | None = None) -> list[LogRecord]:
        """See `Consumer.poll`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._polling:
            if self._closed:
                raise BackendError(topics.BACKEND, "was asked to poll a closed consumer", "subscribe again")
            while not self._closed and not self._woken.is_set():
                left = _SLICE if deadline is None else deadline - time.monotonic()
                if room := self._membership.room:
                    self._fetch(room, max(0.0, min(left, _SLICE)) if room == AHEAD else 0.0)
                found = self._membership.take(max_records)
                if found:
                    return found
                if deadline is not None and time.monotonic() >= deadline:
                    return []
            self._woken.clear()
            return []

    def _fetch(self, room: int, wait: float) -> None:
        """What has come, after a wait for the first record; takes part in the sharing out of partitions."""
        self._finish_joining()
        read = self._consumer.poll(timeout_ms=wait * 1000, max_records=room)
        self._membership.read(topics.record(one) for records in read.values() for one in records)

    def _finish_joining(self) -> None:
        """kafka-python 3.0.12 forgets an answer to its joining that comes between two polls, if the reason to
        join again (a topic's partitions) went away meanwhile; it would wait for ever. Asked again, it takes it.
        """
        coordinator = self._consumer._coordinator
        if self._group is not None and coordinator.rejoining and not coordinator.rejoin_needed:
            coordinator.request_rejoin()

    def commit(self, records: Sequence[LogRecord]) -> None:
        """See `Consumer.commit`."""
        if self._group is None:
            raise BackendError(topics.BACKEND, "cannot commit for a tail, which has no group", "subscribe")
        self._membership.commit(records, self._send, self._settle)

    def _send(self, ends: Mapping[Place, int]) -> str:
        if self._closed:
            raise self._membership.fenced("this member has left")
        offsets = {TopicPartition(*place): OffsetAndMetadata(end, "", -1) for place, end in ends.items()}
        try:
            self._consumer.commit(offsets, timeout_ms=_ANSWER_SECONDS * 1000)
        except _UNSETTLED as error:
            return type(error).__name__
        except KafkaError as error:
            raise topics.fault(error) from error
        return ""

    @topics.explained
    def _settle(self) -> None:
        with self._polling:
            if not self._closed:
                self._fetch(max(1, self._membership.room), _SLICE)

    def wake(self) -> None:
        """See `Consumer.wake`."""
        self._woken.set()

    def close(self) -> None:
        """See `Consumer.close`. Waits for a `poll` under way, which returns within a tenth of a second."""
        self._closed = True
        with self._polling:
            self._consumer.close(autocommit=False, timeout_ms=5000)
