"""What every event log keeps. To add a backend: one parameter of `url`, and nothing else in this file.

Nothing here assumes one partition; where a backend may differ honestly, the test asks for its capability.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ferris.adapters import open_event_log
from ferris.errors import BackendError
from ferris.ports import Consumer, EventLog, FencedError, LogRecord, Record

ROOT = Path(__file__).resolve().parent.parent.parent
LONG = 20.0  # seconds no test waits unless a wake-up is missed; shorter than any safety interval


@pytest.fixture(
    params=[
        pytest.param("sqlite", id="sqlite"),
        pytest.param("kafka:", id="kafka-python", marks=pytest.mark.real),
        pytest.param("kafka+confluent:", id="kafka-confluent", marks=pytest.mark.real),
        pytest.param("prefix", id="kafka-prefix", marks=pytest.mark.real),
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log/log.db"
    real = request.getfixturevalue("real")
    if request.param == "prefix":
        return real("FERRIS_EVENT_LOG").replace("?", f"/p{uuid.uuid4().hex}?", 1)
    return real("FERRIS_EVENT_LOG").replace("kafka:", request.param, 1)


@pytest.fixture
def log(url: str) -> EventLog:
    return open_event_log(url)


@pytest.fixture
def topic() -> str:
    return f"topic-{uuid.uuid4().hex}"


@pytest.fixture
def group() -> str:
    return f"group-{uuid.uuid4().hex}"


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


CHILD = """
import sys, time, os
from ferris.adapters import open_event_log
from ferris.ports import Record
url, topic, group = sys.argv[1:4]
log = open_event_log(url)
def say(*what): print(*what, flush=True)
"""


@pytest.fixture
def child(url: str, topic: str, group: str) -> Iterator:
    """Start a Python process that has `log`, `topic`, `group` and `say`."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD + code, url, topic, group],
            cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


# ---------------------------------------------------------------------------------------------- append


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


# ---------------------------------------------------------------------------------------------- groups


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
    found += consumer.poll(timeout=20)
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
found = consumer.poll(timeout=20)
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


# ---------------------------------------------------------------------------------- waiting and waking


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


# ------------------------------------------------------------------------------------ tail, browse, lag


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


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


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
