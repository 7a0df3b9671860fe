"""Waiting for what comes, and being woken."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from ferris.errors import BackendError
from ferris.ports import Record
from tests.contract.event_log.records import records, take, values


def test_an_empty_topic_times_out(log, topic, group):
    with closing(log.subscribe(group, [topic])) as consumer:
        start = time.monotonic()
        assert consumer.poll(timeout=0.2) == []
        assert time.monotonic() - start >= 0.2
        assert consumer.poll(timeout=0) == []


def test_the_bell_of_another_process_ends_the_wait(log, topic, group, child):
    process = child("sys.stdin.readline(); log.append(topic, [Record(b'ding', key='k')])")
    with closing(log.subscribe(group, [topic])) as consumer:
        assert consumer.poll(timeout=0.05) == []
        process.stdin.write("go\n")
        process.stdin.flush()
        assert values(take(consumer, 1)) == ["ding"]


def test_no_ring_is_missed(log, topic, group):
    """Two readers answer each other: a bell missed once would stop them for as long as a poll may wait."""
    there, back = f"{topic}-there", f"{topic}-back"

    def answer() -> None:
        with closing(log.subscribe(group, [there])) as consumer:
            for record in (record for _ in range(150) for record in take(consumer, 1)):
                log.append(back, [Record(record.value, key="k")])

    thread = threading.Thread(target=answer)
    thread.start()
    with closing(log.subscribe(group, [back])) as consumer:
        for number in range(150):
            log.append(there, records(number))
            assert values(take(consumer, 1)) == [str(number)]
    thread.join()


def test_waking(log, topic, group):
    with closing(log.subscribe(group, [topic])) as consumer:
        threading.Timer(0.1, consumer.wake).start()
        assert consumer.poll() == []
        consumer.wake()
        consumer.wake()
        assert consumer.poll() == []  # a wake before the poll counts, and once only
        log.append(topic, records(1))
        assert values(take(consumer, 1)) == ["1"]


def test_closing_ends_a_poll_and_may_be_repeated(log, topic, group):
    consumer = log.subscribe(group, [topic])
    threading.Timer(0.1, consumer.close).start()
    assert consumer.poll() == []
    consumer.close()
    consumer.close()
    consumer.wake()
    with pytest.raises(BackendError):
        consumer.poll(timeout=0)


def test_waiting_costs_nothing(log, topic, group):
    with closing(log.subscribe(group, [topic])) as consumer:
        consumer.poll(timeout=0.01)
        spent = time.process_time()
        consumer.poll(timeout=0.5)
        assert time.process_time() - spent < 0.1
