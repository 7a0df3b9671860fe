"""What is appended: in order, whole, and lasting."""

from __future__ import annotations

import signal
import threading
from collections import Counter, defaultdict
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from ferris.errors import BackendError
from ferris.ports import Record
from tests.contract.event_log.records import LONG, everything, records, said, take


def test_places_are_given_in_order(log, topic):
    places = log.append(topic, records(1, 2, 3)) + log.append(topic, records(4))
    partitions = {partition for partition, _ in places}
    assert len(partitions) == 1  # one key
    offsets = [offset for _, offset in places]
    assert offsets == sorted(set(offsets))
    if "contiguous" in log.capabilities:
        assert offsets == list(range(4))
    assert log.append(topic, []) == []


def test_a_record_comes_back_as_it_was(log, topic):
    given = [
        Record(b"", key=""),
        Record(bytes(range(256)), key="ü 日本 \x00 🚀", headers={"ce_id": b"\xff\x00", "empty": b""}),
        Record(b"no key"),
        Record(b"{}", key="k", headers={"content-type": b"application/json"}),
    ]
    before = datetime.now(UTC) - timedelta(seconds=5)
    places = log.append(topic, given)
    found = {(one.partition, one.offset): one for one in everything(log, topic)}
    assert len(found) == len(given)
    for place, record in zip(places, given, strict=True):
        one = found[place]
        assert (one.topic, one.key, one.value) == (topic, record.key, record.value)
        assert dict(one.headers) == dict(record.headers)
        assert before < one.timestamp < datetime.now(UTC) + timedelta(seconds=5)


def test_large_records(log, topic, group):
    given = [Record(bytes([number]) * 1_000_000, key=str(number)) for number in range(20)]
    log.append(topic, given)
    with closing(log.subscribe(group, [topic])) as consumer:
        found = take(consumer, 20)
    assert sorted(one.value for one in found) == sorted(record.value for record in given)


def test_the_order_of_a_key_is_kept(log, topic, group):
    for number in range(50):
        log.append(topic, [Record(str(number).encode(), key=f"key-{key}") for key in range(7)])
    with closing(log.subscribe(group, [topic])) as consumer:
        by_key = defaultdict(list)
        for record in take(consumer, 350):
            by_key[record.key].append(int(record.value))
    assert by_key == {f"key-{key}": list(range(50)) for key in range(7)}


def test_many_threads_append(log, topic):
    places: list[tuple[int, int]] = []

    def work(thread: int) -> None:
        for number in range(40):
            places.extend(log.append(topic, records(number, f"{number}b", key=f"thread-{thread}")))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(places)) == len(places) == 640
    by_key = defaultdict(list)
    for record in everything(log, topic):
        by_key[record.key].append(record.value.decode())
    expected = [text for number in range(40) for text in (f"{number}", f"{number}b")]
    assert by_key == {f"thread-{thread}": expected for thread in range(8)}


def test_several_processes_append(log, topic, child):
    code = """
for number in range(100):
    log.append(topic, [Record(str(number).encode(), key=str(os.getpid()))])
"""
    processes = [child(code) for _ in range(3)]
    for process in processes:
        assert process.wait(LONG) == 0
    by_key = defaultdict(list)
    for record in everything(log, topic):
        by_key[record.key].append(int(record.value))
    assert by_key == {str(process.pid): list(range(100)) for process in processes}


def test_what_was_answered_survives_kill_9(log, topic, child):
    process = child("say(log.append(topic, [Record(b'kept', key='k')])); time.sleep(60)")
    place = said(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    [record] = everything(log, topic)
    assert record.value == b"kept"
    assert place == f"[({record.partition}, {record.offset})]"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # those that promise it
def test_a_batch_is_seen_whole_or_not_at_all(log, topic, child):
    assert "atomic_batch" in log.capabilities
    process = child("""
say("ready")
for number in range(100):
    log.append(topic, [Record(str(number).encode(), key="k")] * 7)
""")
    assert said(process) == "ready"
    while process.poll() is None:
        seen = Counter(record.value for record in log.browse(topic, offset=0, limit=10_000))
        assert set(seen.values()) <= {7}
    assert process.returncode == 0


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a b", "ü", "x" * 201, "a\n"])
def test_bad_names_are_refused(log, topic, name):
    for call in (
        lambda: log.append(name, records(1)),
        lambda: log.subscribe("group", [name]),
        lambda: log.subscribe(name, [topic]),
        lambda: log.tail([name]),
    ):
        with pytest.raises(BackendError):
            call()
