"""Records that are made, taken, looked at; what another process says."""

from __future__ import annotations

import subprocess
import time

from ferris.ports import Consumer, EventLog, LogRecord, Record

LONG = 20.0  # seconds no test waits unless a wake-up is missed; shorter than any safety interval


def records(*values: object, key: str | None = "key") -> list[Record]:
    return [Record(str(value).encode(), key=key) for value in values]


def take(consumer: Consumer, count: int, *, seconds: float = LONG, commit: bool = False) -> list[LogRecord]:
    """Poll until there are `count` records."""
    found: list[LogRecord] = []
    end = time.monotonic() + seconds
    while len(found) < count:
        left = end - time.monotonic()
        assert left > 0, f"only {len(found)} of {count} records came"
        polled = consumer.poll(timeout=left)
        assert time.monotonic() < end, "a poll took its whole timeout: nothing woke it"
        if commit:
            consumer.commit(polled)
        found += polled
    assert len(found) == count, f"{len(found)} records instead of {count}"
    return found


def values(found: list[LogRecord]) -> list[str]:
    return [record.value.decode() for record in found]


def everything(log: EventLog, topic: str) -> list[LogRecord]:
    [info] = [info for info in log.topics() if info.name == topic]
    return [
        record
        for partition in info.partitions
        for record in log.browse(topic, partition=partition.partition, offset=0, limit=1_000_000)
    ]


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
