"""What both drivers of Kafka share: the address, topics and their partitions, lag, browsing.

Topics are made by this platform when they are missing, with the number of partitions that the URL asks for:
`kafka://host:port[,host:port]?partitions=4&replicas=3`. A key's partition is chosen as Kafka's own clients do
(murmur2), so that drivers may be mixed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qs, urlsplit

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import (
    KafkaConfigurationError,
    KafkaError,
    KafkaTimeoutError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
)
from kafka.protocol.consumer import OffsetSpec

from ferris.adapters.sqlite_log_rows import check_name
from ferris.errors import BackendError, ConfigError
from ferris.ports import LogRecord, Member, PartitionInfo, Retention, TopicInfo

P = ParamSpec("P")
T = TypeVar("T")

BACKEND = "event log"
SETTING = "FERRIS_EVENT_LOG"
MAX_RECORD = 4 * 1024 * 1024
REACH_SECONDS = 5.0
SESSION_SECONDS = 10.0  # a member that died is missed after this; Kafka's default would be 45
_INTERNAL = "__"
_BROWSE_SECONDS = 5.0
_NEVER = (1 << 63) - 1  # records: Kafka's default


@dataclass(frozen=True, slots=True)
class Address:
    """Where Kafka is, and how topics are made."""

    servers: tuple[str, ...]
    partitions: int
    replicas: int

    @classmethod
    def parse(cls, url: str) -> Address:
        """ConfigError for a URL that names no broker."""
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        servers = tuple(server for server in parts.netloc.split(",") if server)
        if (
            not servers
            or parts.path.strip("/")
            or "@" in parts.netloc
            or set(options) - {"partitions", "replicas"}
        ):
            raise _misspelled("does not name brokers in the form that is understood")
        for server in servers:
            host, _, port = server.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise _misspelled(f"names the broker {server!r}, which is no host:port")
        numbers = {"partitions": options.get("partitions", "4"), "replicas": options.get("replicas", "-1")}
        for name, value in numbers.items():
            if not value.removeprefix("-").isdecimal() or not (0 < int(value) <= 10_000 or value == "-1"):
                raise _misspelled(f"has {name}={value}, which is no number of {name}")
        return cls(servers, int(numbers["partitions"]), int(numbers["replicas"]))

    def __str__(self) -> str:
        return ",".join(self.servers)


def _misspelled(problem: str) -> ConfigError:
    return ConfigError(SETTING, problem, "write kafka://host:9092 or kafka://one:9092,two:9092?partitions=4")


def explained(method: Callable[P, T]) -> Callable[P, T]:
    """What kafka-python raises leaves as BackendError."""

    @wraps(method)
    def explained_method(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except KafkaError as error:
            raise fault(error) from error

    return explained_method


def fault(error: Exception) -> BackendError:
    """An error of kafka-python, with what a person can do about it."""
    told = f"{type(error).__name__}: {error}".rstrip(": ")[:300]
    if isinstance(error, TopicAuthorizationFailedError):
        return BackendError(
            BACKEND, f"is not allowed to do this ({told})", "grant this client the topic's rights"
        )
    if isinstance(error, KafkaConfigurationError):
        return BackendError(BACKEND, f"cannot be set up ({told})", f"correct {SETTING}")
    return BackendError(
        BACKEND, f"did not answer as it should ({told})", "check that Kafka runs; its log says more"
    )


def record(found: Any) -> LogRecord:
    """A record of kafka-python as the port has it. A record without a value (a tombstone) has an empty one."""
    return LogRecord(
        found.topic,
        found.partition,
        found.offset,
        None if found.key is None else found.key.decode("utf-8", "replace"),
        found.value or b"",
        {name: value or b"" for name, value in found.headers},
        moment(found.timestamp),
    )


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(max(milliseconds, 0) / 1000, UTC)


def names(what: str, given: Iterable[str]) -> list[str]:
    """Names that a topic or a group may have, each once; BackendError for others."""
    found = list(dict.fromkeys(given))
    for name in found:
        check_name(what, name)
    return found


class Topics:
    """Administration of one Kafka, over one connection that is opened when it is first needed."""

    def __init__(self, address: Address, retention: Mapping[str, Retention] | None) -> None:
        self.address = address
        self._retention = dict(retention or {})
        self._there: set[str] = set()
        self._lock = threading.RLock()
        self._client: Any = None

    def admin(self) -> Any:
        """The administration client; BackendError when no broker answers."""
        with self._lock:
            if self._client is None:
                self._client = self._reach(KafkaAdminClient)
            return self._client

    def _reach(self, kind: Callable[..., Any], **options: Any) -> Any:
        try:
            return kind(
                bootstrap_servers=list(self.address.servers),
                bootstrap_timeout_ms=REACH_SECONDS * 1000,
                **options,
            )
        except KafkaConfigurationError as error:
            raise fault(error) from error
        except KafkaError as error:
            raise BackendError(
                BACKEND,
                f"cannot reach Kafka at {self.address} ({type(error).__name__})",
                f"start it, or correct {SETTING}",
            ) from error

    def consumer(self, **options: Any) -> Any:
        """A reader of kafka-python with the options that all of ours have."""
        return self._reach(
            KafkaConsumer,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            reconnect_backoff_max_ms=1000,
            max_partition_fetch_bytes=MAX_RECORD,
            metrics_enabled=False,
            **options,
        )

    @explained
    def ensure(self, topics: Sequence[str]) -> None:
        """Make those that are missing. Known ones are not asked for again."""
        missing = [topic for topic in topics if topic not in self._there]
        if not missing:
            return
        with self._lock:
            known = set(self.admin().list_topics())
            for topic in missing:
                if topic not in known:
                    self._make(topic)
            self._there.update(missing)

    def _make(self, topic: str) -> None:
        kept = self.retention(topic)
        settings = {"max.message.bytes": str(MAX_RECORD), "cleanup.policy": "delete"}
        if kept.max_age is not None:
            settings["retention.ms"] = str(int(kept.max_age.total_seconds() * 1000))
        if kept.max_bytes is not None:
            settings["retention.bytes"] = str(max(1, kept.max_bytes // self.address.partitions))
        if (
            not kept.lasting
        ):  # also where the broker is told to bring each record to the disk before it answers
            settings["flush.messages"] = str(_NEVER)
        wanted = {
            "num_partitions": self.address.partitions,
            "replication_factor": self.address.replicas,
            "configs": settings,
        }
        try:
            self.admin().create_topics({topic: wanted}, wait_for_metadata=True)
        except TopicAlreadyExistsError:
            self.admin().wait_for_topics([topic])
        except KafkaError as error:
            raise BackendError(
                BACKEND,
                f"has no topic {topic} and cannot make it ({type(error).__name__}: {error})",
                f"make it by hand with {self.address.partitions} partitions, or grant the right to make topics",
            ) from error

    def forget(self, topic: str) -> None:
        """It may be gone: look again before the next use."""
        self._there.discard(topic)

    def retention(self, topic: str) -> Retention:
        return self._retention.get(topic) or self._retention.get("*") or Retention()

    @explained
    def partitions(self, topics: Sequence[str]) -> list[TopicPartition]:
        """Every partition of these topics, as far as they exist."""
        found = self.admin().describe_topics(list(topics))
        return [
            TopicPartition(topic["name"], part["partition_index"])
            for topic in found
            if not topic["error_code"]
            for part in topic["partitions"]
        ]

    @explained
    def offsets(self, partitions: Sequence[TopicPartition], spec: Any) -> dict[TopicPartition, int]:
        """The earliest or the latest offset of each."""
        if not partitions:
            return {}
        asked = dict.fromkeys(partitions, spec)
        return {place: told.offset for place, told in self.admin().list_partition_offsets(asked).items()}

    def ends(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return self.offsets(partitions, OffsetSpec.LATEST)

    @explained
    def describe(self) -> list[TopicInfo]:
        """See `EventLog.topics`: topics that begin with `__` are Kafka's own."""
        topics = sorted(name for name in self.admin().list_topics() if not name.startswith(_INTERNAL))
        places = self.partitions(topics) if topics else []
        begins, ends = self.offsets(places, OffsetSpec.EARLIEST), self.ends(places)
        groups = sorted({group["group_id"] for group in self.admin().list_groups()})
        committed, members = self._committed(groups), self._members(groups)
        return [
            TopicInfo(
                topic,
                tuple(
                    PartitionInfo(place.partition, begins[place], ends[place])
                    for place in sorted(place for place in places if place.topic == topic)
                ),
                _lags([place for place in places if place.topic == topic], begins, ends, committed),
                self.retention(topic),
                tuple(members.get(topic, ())),
            )
            for topic in topics
        ]

    def _members(self, groups: Sequence[str]) -> dict[str, list[Member]]:
        """By topic: those who read partitions of it, and those who asked for it and stand by."""
        found: dict[str, list[Member]] = {}
        told = self.admin().describe_groups(groups) if groups else {}
        for group in groups:
            members = sorted(told[group]["members"], key=lambda one: (one["client_id"], one["member_id"]))
            for member in members:
                assigned, asked = member["member_assignment"] or {}, member["member_metadata"] or {}
                places = {one["topic"]: one["partitions"] for one in assigned.get("assigned_partitions", ())}
                for topic in {*places, *asked.get("topics", ())}:
                    read = tuple(sorted(places.get(topic, ())))
                    host = member["client_host"].removeprefix("/")
                    found.setdefault(topic, []).append(Member(group, member["client_id"], host, read))
        return found

    def _committed(self, groups: Sequence[str]) -> dict[str, dict[TopicPartition, int]]:
        if not groups:
            return {}
        told = self.admin().list_group_offsets(groups)
        return {
            group: {place: offset.offset for place, offset in offsets.items() if offset.offset >= 0}
            for group, offsets in told.items()
        }

    @explained
    def browse(self, topic: str, partition: int, offset: int | None, limit: int) -> list[LogRecord]:
        """See `EventLog.browse`. A record that takes longer than 5 s to come is left out."""
        place = TopicPartition(topic, partition)
        if place not in self.partitions([topic]):
            return []
        begin, end = self.offsets([place], OffsetSpec.EARLIEST)[place], self.ends([place])[place]
        start = max(begin, end - limit) if offset is None else max(begin, offset)
        wanted = min(limit, end - start)
        found: list[LogRecord] = []
        if wanted <= 0:
            return found
        consumer = self.consumer()
        try:
            consumer.assign([place])
            consumer.seek(place, start)
            while len(found) < wanted:
                read = consumer.poll(timeout_ms=_BROWSE_SECONDS * 1000, max_records=wanted - len(found))
                if not read:
                    break  # compacted away, or the broker is too slow for a screen
                found += [record(one) for one in read[place]]
            return found
        finally:
            consumer.close()

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


def _lags(
    places: Sequence[TopicPartition],
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    committed: Mapping[str, Mapping[TopicPartition, int]],
) -> dict[str, int]:
    """What each group that ever committed in these partitions has not committed yet."""
    return {
        group: sum(ends[place] - max(begins[place], offsets.get(place, 0)) for place in places)
        for group, offsets in committed.items()
        if any(place in offsets for place in places)
    }


__all__ = [
    "BACKEND", "MAX_RECORD", "REACH_SECONDS", "SESSION_SECONDS", "SETTING", "Address", "KafkaTimeoutError",
    "Topics", "explained", "fault", "moment", "names", "record",
]  # fmt: skip
