"""Several platforms on one Kafka: `kafka://host:port/prefix` puts `prefix.` in front of topics and groups.

Works on either driver. Without a prefix the driver's own log is handed out, and nothing is translated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import unquote, urlsplit

from ferris.adapters.kafka_log import KafkaEventLog
from ferris.adapters.kafka_topics import SETTING
from ferris.adapters.sqlite_log_rows import check_name
from ferris.errors import ConfigError
from ferris.findings import Finding
from ferris.ports import Consumer, EventLog, LogRecord, Record, Retention, TopicInfo


def open_python(url: str, *, retention: Mapping[str, Retention] | None = None) -> EventLog:
    """The log through kafka-python."""
    from ferris.adapters.kafka_python import KafkaPythonEventLog

    return _open(KafkaPythonEventLog, url, retention)


def open_confluent(url: str, *, retention: Mapping[str, Retention] | None = None) -> EventLog:
    """The log through confluent-kafka."""
    from ferris.adapters.kafka_confluent import KafkaConfluentEventLog

    return _open(KafkaConfluentEventLog, url, retention)


def prefix_of(url: str) -> str:
    """What stands in front of the names of topics: "" or "name."; ConfigError for what cannot."""
    name = unquote(urlsplit(url).path).strip("/")
    if name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", name):
        raise ConfigError(SETTING, f"has the prefix {name!r}", "use up to 61 of A-Z a-z 0-9 _ -")
    return f"{name}." if name else ""


def _open(
    driver: Callable[..., KafkaEventLog], url: str, retention: Mapping[str, Retention] | None
) -> EventLog:
    prefix = prefix_of(url)
    if not prefix:
        return driver(url, retention=retention)
    kept = {topic if topic == "*" else prefix + topic: value for topic, value in (retention or {}).items()}
    return PrefixedEventLog(driver(urlsplit(url)._replace(path="").geturl(), retention=kept), prefix)


class PrefixedEventLog:
    """`EventLog` on a part of another one: the topics that begin with the prefix."""

    def __init__(self, log: KafkaEventLog, prefix: str) -> None:
        self._log, self._prefix = log, prefix

    @property
    def capabilities(self) -> frozenset[str]:
        """See `EventLog.capabilities`."""
        return self._log.capabilities

    def prepare(self, names: Sequence[str]) -> None:
        """Make these topics now, before anybody needs them."""
        self._log.prepare([self._prefix + name for name in names])

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        """See `EventLog.append`."""
        return self._log.append(self._name("topic", topic), records)

    def subscribe(self, group: str, topics: Sequence[str]) -> Consumer:
        """See `EventLog.subscribe`."""
        names = [self._name("topic", topic) for topic in topics]
        return _Consumer(self._log.subscribe(self._name("group", group), names), self._prefix)

    def tail(self, topics: Sequence[str]) -> Consumer:
        """See `EventLog.tail`."""
        return _Consumer(self._log.tail([self._name("topic", topic) for topic in topics]), self._prefix)

    def browse(
        self, topic: str, *, partition: int = 0, offset: int | None = None, limit: int = 100
    ) -> list[LogRecord]:
        """See `EventLog.browse`."""
        found = self._log.browse(self._name("topic", topic), partition=partition, offset=offset, limit=limit)
        return [replace(record, topic=topic) for record in found]

    def topics(self) -> list[TopicInfo]:
        """See `EventLog.topics`: only this platform's topics and groups."""
        prefix = self._prefix
        return [
            replace(
                topic,
                name=topic.name.removeprefix(prefix),
                groups={
                    group.removeprefix(prefix): lag
                    for group, lag in topic.groups.items()
                    if group.startswith(prefix)
                },
                members=tuple(
                    replace(member, group=member.group.removeprefix(prefix))
                    for member in topic.members
                    if member.group.startswith(prefix)
                ),
            )
            for topic in self._log.topics()
            if topic.name.startswith(prefix)
        ]

    def prune(self, now: datetime) -> int:
        """See `EventLog.prune`."""
        return self._log.prune(now)

    def examine(self) -> Iterator[Finding]:
        """See `findings.Examined`."""
        return self._log.examine(self._prefix)

    def close(self) -> None:
        """Give the connections back."""
        self._log.close()

    def _name(self, what: str, name: str) -> str:
        check_name(what, name)  # a prefix would make a good name of a bad one
        return self._prefix + name


class _Consumer:
    """`Consumer` whose records carry the names without the prefix."""

    def __init__(self, consumer: Consumer, prefix: str) -> None:
        self._consumer, self._prefix = consumer, prefix
        self.wake = consumer.wake
        self.close = consumer.close

    def poll(self, max_records: int = 500, timeout: float | None = None) -> list[LogRecord]:
        """See `Consumer.poll`."""
        found = self._consumer.poll(max_records, timeout)
        return [replace(record, topic=record.topic.removeprefix(self._prefix)) for record in found]

    def commit(self, records: Sequence[LogRecord]) -> None:
        """See `Consumer.commit`."""
        self._consumer.commit([replace(record, topic=self._prefix + record.topic) for record in records])
