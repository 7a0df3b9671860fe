"""Tails, browsing, how far groups are, and who reads."""

from __future__ import annotations

from contextlib import closing

import pytest

from ferris.errors import BackendError
from ferris.ports import EventLog
from tests.contract.event_log.records import records, said, take, values
from tests.waiting import until


def test_a_tail_sees_what_comes_from_now_on(log, topic, group):
    log.append(topic, records("old"))
    with closing(log.tail([topic, f"{topic}-later"])) as one, closing(log.tail([topic])) as two:
        log.append(topic, records("a", "b"))
        log.append(f"{topic}-later", records("c"))
        assert sorted(values(take(one, 3))) == ["a", "b", "c"]
        assert values(take(two, 2)) == ["a", "b"]
        assert two.poll(timeout=0.05) == []
        with pytest.raises(BackendError):
            one.commit(log.browse(topic))
    assert all(not info.groups for info in log.topics() if info.name == topic)


def test_browsing(log, topic):
    assert log.browse(topic) == []
    places = log.append(topic, records(*range(10)))
    partition = places[0][0]
    assert values(log.browse(topic, partition=partition)) == [str(number) for number in range(10)]
    assert values(log.browse(topic, partition=partition, limit=3)) == ["7", "8", "9"]
    assert values(log.browse(topic, partition=partition, offset=places[4][1], limit=2)) == ["4", "5"]
    assert values(log.browse(topic, partition=partition, offset=places[9][1])) == ["9"]
    assert log.browse(topic, partition=partition, offset=places[9][1] + 1) == []
    assert log.browse(f"{topic}-unknown", offset=5) == []


def test_lag(log, topic, group):
    log.append(topic, records(*range(10)))
    with closing(log.subscribe(group, [topic])) as consumer:
        found = take(consumer, 10)
        consumer.commit(found[:7])
        [info] = [info for info in log.topics() if info.name == topic]
        assert dict(info.groups) == {group: 3}
        assert sum(partition.end - partition.begin for partition in info.partitions) == 10
        consumer.commit(found)
        log.append(topic, records("one more"))
    [info] = [info for info in log.topics() if info.name == topic]
    assert dict(info.groups) == {group: 1}
    names = [info.name for info in log.topics()]
    assert names == sorted(names)


def test_who_reads_is_told(log, topic, group, child):
    """Members with what they read; nobody once they left, or were killed and nobody stands by."""
    log.append(topic, records(*range(10)))
    assert members(log, topic) == {}
    another = f"{group}-2"
    with (
        closing(log.subscribe(group, [topic])) as consumer,
        closing(log.subscribe(another, [topic])) as other,
    ):
        consumer.commit(take(consumer, 10))
        other.commit(take(other, 10))
        [info] = [info for info in log.topics() if info.name == topic]
        everywhere = [partition.partition for partition in info.partitions]
        assert members(log, topic) == {group: everywhere, another: everywhere}
        for member in info.members:
            assert member.client
            assert member.host
    until(lambda: members(log, topic) == {})
    reader = child(
        """
consumer = log.subscribe(group, [topic])
say("up")
while True: consumer.poll(timeout=1)
"""
    )
    assert said(reader) == "up"
    until(lambda: group in members(log, topic))
    reader.kill()
    until(lambda: members(log, topic) == {})


def members(log: EventLog, topic: str) -> dict[str, list[int]]:
    """The partitions of a topic that are read, by group."""
    [info] = [info for info in log.topics() if info.name == topic]
    found: dict[str, list[int]] = {}
    for member in info.members:
        found[member.group] = sorted([*found.get(member.group, []), *member.partitions])
    return found
