"""Groups: who reads what, and where they go on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import closing, suppress

import pytest

from ferris.errors import BackendError
from ferris.ports import Consumer, FencedError, LogRecord, Record
from tests.contract.event_log.records import LONG, records, said, take, values


def test_a_group_begins_at_the_earliest_and_resumes_behind_its_commit(log, topic, group):
    log.append(topic, records(*range(10)))
    with closing(log.subscribe(group, [topic])) as consumer:
        found = take(consumer, 10)
        assert values(found) == [str(number) for number in range(10)]
        consumer.commit(found[:4])
    with closing(log.subscribe(group, [topic])) as consumer:
        found = take(consumer, 6)  # what was not committed comes again
        assert values(found) == ["4", "5", "6", "7", "8", "9"]
        consumer.commit(found)
        assert consumer.poll(timeout=0.05) == []
        log.append(topic, records("new"))
        assert values(take(consumer, 1)) == ["new"]


def test_nothing_committed_means_everything_again(log, topic, group):
    log.append(topic, records(1, 2))
    for _ in range(2):
        with closing(log.subscribe(group, [topic])) as consumer:
            assert values(take(consumer, 2)) == ["1", "2"]


def test_committing_nothing_is_fine(log, topic, group):
    with closing(log.subscribe(group, [topic])) as consumer:
        consumer.commit([])


def test_a_commit_is_durable_and_known_to_other_processes(log, topic, group, child):
    log.append(topic, records(1, 2, 3))
    process = child("""
consumer = log.subscribe(group, [topic])
found = []
while len(found) < 3:
    found += consumer.poll(timeout=60)
consumer.commit(found[:2])
say("committed")
time.sleep(60)
""")
    assert said(process) == "committed"
    process.kill()
    process.wait()
    with closing(log.subscribe(group, [topic])) as consumer:
        assert values(take(consumer, 1)) == ["3"]


def test_groups_do_not_disturb_each_other(log, topic, group):
    log.append(topic, records(1, 2))
    with closing(log.subscribe(group, [topic])) as one, closing(log.subscribe(f"{group}-2", [topic])) as two:
        one.commit(take(one, 2))
        assert values(take(two, 2)) == ["1", "2"]


def test_members_share_and_each_record_goes_to_one(log, topic, group):
    log.append(topic, [Record(str(number).encode(), key=f"key-{number % 10}") for number in range(200)])
    seen: list[str] = []
    stop = threading.Event()

    def member(consumer: Consumer) -> None:
        while not stop.is_set():
            found = consumer.poll(max_records=20)
            seen.extend(values(found))
            consumer.commit(found)

    members = [log.subscribe(group, [topic]) for _ in range(3)]
    threads = [threading.Thread(target=member, args=(consumer,)) for consumer in members]
    for thread in threads:
        thread.start()
    end = time.monotonic() + LONG
    while len(seen) < 200 and time.monotonic() < end:
        stop.wait(0.01)
    log.append(topic, records("last"))
    while len(seen) < 201 and time.monotonic() < end:
        stop.wait(0.01)
    stop.set()
    for consumer in members:
        consumer.wake()
    for thread in threads:
        thread.join()
    for consumer in members:
        consumer.close()
    assert Counter(seen) == Counter([*map(str, range(200)), "last"])


def test_nothing_is_passed_over_while_members_come_and_go(log, topic, group):
    """A commit may fail while partitions are shared out anew; what was read ahead of those that stay is kept."""
    count = 12_000
    for start in range(0, count, 1000):
        log.append(topic, [Record(str(n).encode(), key=f"k{n}") for n in range(start, start + 1000)])
    handled: list[str] = []

    def work(consumer: Consumer, most: float) -> None:
        end = time.monotonic() + most
        while len(set(handled)) < count and time.monotonic() < end:
            found = consumer.poll(max_records=100, timeout=0.2)
            handled.extend(values(found))
            time.sleep(0.05)  # the work: meanwhile the group may begin to share out its partitions
            with suppress(FencedError):
                consumer.commit(found)

    with closing(log.subscribe(group, [topic])) as steady:
        staying = threading.Thread(target=work, args=(steady, 90.0))
        staying.start()
        while len(set(handled)) < count and staying.is_alive():
            with closing(log.subscribe(group, [topic])) as guest:
                work(guest, 0.5)
        staying.join()
    assert len(set(handled)) == count


def test_another_member_takes_over_when_one_leaves(log, topic, group):
    log.append(topic, records(1, 2, 3))
    first = log.subscribe(group, [topic])
    first.commit(take(first, 3)[:1])
    with closing(log.subscribe(group, [topic])) as second:
        leaver = threading.Timer(0.1, first.close)
        leaver.start()
        found = take(second, 2)
        leaver.join()
        assert values(found) == ["2", "3"]
        second.commit(found)


def test_another_member_takes_over_after_kill_9(log, topic, group, child):
    log.append(topic, records(1, 2, 3))
    process = child("""
consumer = log.subscribe(group, [topic])
found = consumer.poll(timeout=60)
consumer.commit(found[:1])
say("reading")
time.sleep(60)
""")
    assert said(process) == "reading"
    with closing(log.subscribe(group, [topic])) as standby:
        threading.Timer(0.1, process.kill).start()
        assert values(take(standby, 2)) == ["2", "3"]


def test_several_standbys_and_one_succeeds(log, topic, group):
    log.append(topic, records(1))
    holder = log.subscribe(group, [topic])
    take(holder, 1)
    got: list[list[str]] = []
    standbys = [log.subscribe(group, [topic]) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda one=one: got.append(values(one.poll(timeout=LONG))))
        for one in standbys
    ]
    for thread in threads:
        thread.start()
    holder.close()
    end = time.monotonic() + LONG
    while not got and time.monotonic() < end:
        time.sleep(0.005)
    for standby in standbys:
        standby.wake()
    for thread in threads:
        thread.join()
    for standby in standbys:
        standby.close()
    assert sorted(got) == [[], [], [], ["1"]]


def test_a_member_that_left_cannot_commit(log, topic, group):
    log.append(topic, records(1, 2))
    consumer = log.subscribe(group, [topic])
    found = take(consumer, 2)
    consumer.close()
    with pytest.raises((FencedError, BackendError)):
        consumer.commit(found)
    with closing(log.subscribe(group, [topic])) as second:
        assert values(take(second, 2)) == ["1", "2"]


def test_a_topic_may_come_into_being_after_its_reader(log, topic, group):
    with closing(log.subscribe(group, [topic])) as consumer:
        assert consumer.poll(timeout=0.05) == []
        log.append(topic, records("first"))
        assert values(take(consumer, 1)) == ["first"]


def test_several_topics_and_no_one_starves(log, topic, group):
    topics = [f"{topic}-{number}" for number in range(3)]
    backlog = 5000
    log.append(topics[0], records(*range(backlog)))
    log.append(topics[2], records("small"))
    with closing(log.subscribe(group, topics)) as consumer:
        found: list[LogRecord] = []
        while not any(record.topic == topics[2] for record in found):
            found += consumer.poll(max_records=100, timeout=LONG)
        assert len(found) < backlog  # the small topic did not wait for the end of the backlog
        rest = take(consumer, backlog + 1 - len(found))
        consumer.commit(found + rest)
        assert Counter(record.topic for record in found + rest) == {topics[0]: backlog, topics[2]: 1}
    with closing(log.subscribe(group, topics)) as consumer:
        log.append(topics[1], records("late"))
        assert [record.topic for record in take(consumer, 1)] == [topics[1]]


def test_a_poll_takes_no_more_than_it_was_told(log, topic, group):
    log.append(topic, records(*range(25)))
    with closing(log.subscribe(group, [topic])) as consumer:
        sizes = [len(consumer.poll(max_records=10, timeout=LONG)) for _ in range(3)]
        assert sum(sizes) <= 25
        assert max(sizes) <= 10
