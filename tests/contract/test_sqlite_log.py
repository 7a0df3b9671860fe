"""What the SQLite log promises beyond the port: crashes, forks, full disks, foreign files, retention, fencing."""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ferris.adapters import open_event_log
from ferris.adapters.sqlite_log import SqliteEventLog
from ferris.errors import BackendError, ConfigError
from ferris.ports import FencedError, Record, Retention

ROOT = Path(__file__).resolve().parent.parent.parent
LONG = 20.0  # shorter than the adapter's safety interval


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "log.db"


@pytest.fixture
def log(path: Path) -> SqliteEventLog:
    return SqliteEventLog(f"sqlite:///{path}")


def records(*values: object) -> list[Record]:
    return [Record(str(value).encode(), key="k") for value in values]


def sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def in_child(work: Callable[[], object]) -> int:
    """Run in a forked child; give its exit code (0 when `work` did not raise)."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# ---------------------------------------------------------------------------------------------- crashes

WRITER = """
import sys
from ferris.adapters import open_event_log
from ferris.ports import Record
log, name = open_event_log(sys.argv[1]), sys.argv[2]
number = 0
while True:
    size = number % 5 + 1
    log.append("topic", [Record(f"{name} {number + index}".encode() * 50, key=name) for index in range(size)])
    number += size
    print(number, flush=True)
"""


def test_writers_killed_at_any_moment_leave_a_sound_log(log, path):
    random.seed(7)
    answered: dict[str, int] = {}
    for turn in range(4):
        writers = {}
        for number in range(2):
            name = f"writer-{turn}-{number}"
            writers[name] = subprocess.Popen(
                [sys.executable, "-c", WRITER, f"sqlite:///{path}", name],
                cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        for writer in writers.values():
            assert writer.stdout is not None
            writer.stdout.readline()  # it is at work
        time.sleep(random.random() / 5)
        for name, writer in writers.items():
            writer.send_signal(signal.SIGKILL)
            output, _ = writer.communicate()
            answered[name] = max([1, *map(int, output.split("\n")[:-1])])
        assert sound(path)
    kept = log.browse("topic", offset=0, limit=1_000_000)
    assert [record.offset for record in kept] == list(range(len(kept)))
    for name, count in answered.items():
        own = [record.value for record in kept if record.key == name]
        assert 0 < count <= len(own)  # the last batch may be on the log and not answered
        assert own == [f"{name} {number}".encode() * 50 for number in range(len(own))]
    assert log.append("topic", records("on")) == [(0, len(kept))]


FULL = """
import resource, sys
from ferris.adapters import open_event_log
from ferris.errors import BackendError
from ferris.ports import Record
log = open_event_log(sys.argv[1])
log.append("topic", [Record(b"before", key="k")])
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
try:
    log.append("topic", [Record(b"x" * 1000, key=str(n)) for n in range(5000)])
except BackendError as error:
    assert error.remedy, error
    print("refused:", error)
assert len(log.browse("topic", offset=0, limit=10_000)) == 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert log.append("topic", [Record(b"after", key="k")]) == [(0, 1)]
"""


def test_a_full_disk_writes_nothing_and_is_got_over(log, path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, f"sqlite:///{path}"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "refused: event log cannot use" in done.stdout
    assert "nothing of this call was written" in done.stdout
    assert [record.value for record in log.browse("topic")] == [b"before", b"after"]
    assert sound(path)


# ------------------------------------------------------------------------------------------------- fork


def test_parent_and_child_go_on_after_a_fork(log, path):
    log.append("topic", records("before"))
    log.browse("topic")

    def child() -> None:
        for number in range(50):
            log.append("topic", records(f"child {number}"))

    stop = threading.Event()
    appended = []

    def busy() -> None:
        while not stop.is_set():
            appended.append(log.append("topic", records("parent")))

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert [in_child(child) for _ in range(5)] == [0] * 5
    stop.set()
    for thread in threads:
        thread.join()
    kept = [record.value.decode() for record in log.browse("topic", offset=0, limit=1_000_000)]
    assert len(kept) == 1 + 5 * 50 + len(appended)
    assert [text for text in kept if text.startswith("child")] == [
        f"child {number}" for number in range(50)
    ] * 5
    assert sound(path)


def test_a_forked_child_inherits_nothing_open(log, path):
    log.append("topic", records(1))
    consumer = log.subscribe("group", ["topic"])
    consumer.poll(timeout=0)

    def child() -> None:
        inherited = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
        assert not [name for name in inherited if name.startswith(str(path.parent))]

    assert in_child(child) == 0
    log.append("topic", records(2))
    assert len(consumer.poll(timeout=LONG)) == 1
    consumer.close()


def test_a_forked_child_holds_no_seat_and_no_bell(log, path):
    consumer = log.subscribe("group", ["topic"])
    consumer.poll(timeout=0)
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    try:
        consumer.close()
        log.append("topic", records(1))
        with closing(log.subscribe("group", ["topic"])) as second:
            assert len(second.poll(timeout=LONG)) == 1
        assert list((path.parent / "bells" / "topic").iterdir()) == []
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_program_started_meanwhile_holds_no_seat(log):
    consumer = log.subscribe("group", ["topic"])
    consumer.poll(timeout=0)
    log.append("topic", records(1))
    sleeper = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        consumer.close()
        with closing(log.subscribe("group", ["topic"])) as second:
            assert len(second.poll(timeout=LONG)) == 1
    finally:
        sleeper.kill()
        sleeper.wait()


FULL_SEAT = """
import resource, sys
from pathlib import Path
from ferris.adapters.bells import Seat, holder
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
seat, other = (Seat(Path(sys.argv[1]), "x") for _ in range(2))
print(seat.take(), seat.held, other.take(), holder(Path(sys.argv[1]), "x") == "")
seat.release()
print(other.take())
"""


def test_a_full_disk_keeps_nobody_from_its_seat(tmp_path):
    """Who holds it cannot be noted then; it is held all the same."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_SEAT, str(tmp_path)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("True True False True\nTrue\n", "")


# --------------------------------------------------------------------------------------------- the file


def test_another_program_s_file_is_left_alone(log, path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(BackendError, match="another program") as caught:
        log.append("topic", records(1))
    assert caught.value.remedy
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(log, path):
    path.parent.mkdir()
    path.write_bytes(b"something else entirely, and long enough for a page" * 100)
    before = path.read_bytes()
    for call in (lambda: log.append("topic", records(1)), log.topics, lambda: log.subscribe("g", ["t"])):
        with pytest.raises(BackendError, match="not a database") as caught:
            call()
        assert "move it away" in caught.value.remedy
    assert path.read_bytes() == before


def test_a_damaged_file_is_reported(log, path):
    log.append("topic", [Record(b"x" * 3000, key=str(number)) for number in range(500)])
    log.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096 * 8)
        file.write(b"\xff" * 4096 * 300)
    with pytest.raises(BackendError) as caught:
        log.browse("topic", offset=0, limit=1000)
    assert caught.value.remedy


def test_a_file_of_a_newer_release_is_left_alone(log, path):
    log.append("topic", records(1))
    log.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(BackendError, match="newer release"):
        log.append("topic", records(2))


def test_a_file_removed_while_in_use_is_noticed(log, path):
    log.append("topic", records(1))
    path.unlink()
    with pytest.raises(BackendError, match="removed or replaced"):
        log.append("topic", records(2))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    log = open_event_log(f"sqlite:///{tmp_path}/file/log.db")
    with pytest.raises(BackendError) as caught:
        log.append("topic", records(1))
    assert caught.value.remedy


@pytest.mark.parametrize(
    "url", ["sqlite:log.db", "sqlite://host/log.db", "sqlite:///", "file:///x", "kafka", ""]
)
def test_urls_that_mean_nothing(url):
    with pytest.raises(ConfigError, match="FERRIS_EVENT_LOG"):
        open_event_log(url)


def test_opening_touches_nothing(log, path):
    assert not path.parent.exists()
    assert log.topics() == []


# ------------------------------------------------------------------------------------------- retention


@pytest.fixture
def aged(path: Path) -> SqliteEventLog:
    keep = {"aged": Retention(max_age=timedelta(hours=1)), "*": Retention(max_bytes=50_000)}
    return SqliteEventLog(f"sqlite:///{path}", retention=keep)


def test_retention_by_age(aged):
    aged.append("aged", records(*range(1200)))
    now = datetime.now(UTC)
    assert aged.prune(now) == 0
    assert aged.prune(now + timedelta(minutes=59)) == 0
    aged.append("aged", records("x"))
    assert aged.prune(now + timedelta(minutes=61)) == 1201
    [info] = aged.topics()
    assert (info.partitions[0].begin, info.partitions[0].end) == (1201, 1201)
    assert info.retention.max_age == timedelta(hours=1)
    assert aged.append("aged", records("next")) == [(0, 1201)]  # offsets are never given out twice
    assert [record.value for record in aged.browse("aged", offset=0)] == [b"next"]


def test_retention_by_size(aged):
    aged.append("other", [Record(b"x" * 1000, key="ü", headers={"h": b"\xff"}) for _ in range(1000)])
    removed = aged.prune(datetime.now(UTC))
    kept = aged.browse("other", offset=0, limit=10_000)
    assert removed + len(kept) == 1000
    assert 40 <= len(kept) <= 50
    assert kept[-1].offset == 999
    assert aged.prune(datetime.now(UTC)) == 0


def test_pruned_space_is_given_back(aged, path):
    aged.append("other", [Record(b"x" * 10_000) for _ in range(800)])
    aged.prune(datetime.now(UTC))
    aged.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < 4_500_000


def test_a_group_whose_place_was_pruned_goes_on_at_the_earliest_and_says_so(aged, caplog):
    aged.append("other", [Record(b"x" * 1000) for _ in range(100)])
    with closing(aged.subscribe("group", ["other"])) as consumer:
        consumer.commit(consumer.poll(max_records=10))
        aged.prune(datetime.now(UTC))
        [info] = aged.topics()
        begin = info.partitions[0].begin
        assert info.groups == {"group": 100 - begin}
        with caplog.at_level(logging.WARNING):
            assert consumer.poll()[0].offset == begin
    assert f"offsets 10 to {begin - 1} of other were pruned" in caplog.text
    caplog.clear()
    with closing(aged.subscribe("group", ["other"])) as consumer, caplog.at_level(logging.WARNING):
        assert consumer.poll()[0].offset == begin
    assert "group" in caplog.text
    with closing(aged.subscribe("new", ["other"])) as consumer:
        caplog.clear()
        assert consumer.poll()[0].offset == begin
        assert not caplog.records  # nothing was promised to it


# ------------------------------------------------------------------------------------ fencing, bells


def test_a_member_that_lost_its_seat_is_fenced(log, path):
    log.append("topic", records(1, 2, 3))
    first = log.subscribe("group", ["topic"])
    found = first.poll()
    first.commit(found[:1])
    shutil.rmtree(path.parent / "groups")  # someone tidied up: the lock is no lock any more
    with closing(log.subscribe("group", ["topic"])) as second:
        assert [record.value for record in second.poll()] == [b"2", b"3"]
        with pytest.raises(FencedError):
            first.commit(found)
        [info] = log.topics()
        assert info.groups == {"group": 2}
    first.close()


def test_a_standby_cannot_commit(log):
    log.append("topic", records(1))
    with (
        closing(log.subscribe("group", ["topic"])) as first,
        closing(log.subscribe("group", ["topic"])) as second,
    ):
        found = first.poll()
        assert second.poll(timeout=0) == []
        with pytest.raises(FencedError):
            second.commit(found)


def test_a_standby_survives_the_loss_of_its_folders(log, path):
    log.append("topic", records(1))
    with (
        closing(log.subscribe("group", ["topic"])) as first,
        closing(log.subscribe("group", ["topic"])) as second,
    ):
        assert len(first.poll()) == 1
        assert second.poll(timeout=0) == []
        shutil.rmtree(path.parent / "groups")
        shutil.rmtree(path.parent / "bells")
        assert len(second.poll(timeout=LONG)) == 1
        log.append("topic", records(2))  # no bell to ring: said by no error


def test_bells_of_dead_readers_are_removed(log, path):
    code = "log.tail(['topic']); sys.stdout.write('ready'); sys.stdout.flush(); sys.stdin.read()"
    reader = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys; from ferris.adapters import open_event_log; log = open_event_log(sys.argv[1]); keep = "
            + code, f"sqlite:///{path}",
        ],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stdin=subprocess.PIPE,
    )  # fmt: skip
    assert reader.stdout is not None
    assert reader.stdout.read(5) == b"ready"
    bells = path.parent / "bells" / "topic"
    assert len(list(bells.iterdir())) == 1
    reader.kill()
    reader.communicate()
    log.append("topic", records(1))
    assert list(bells.iterdir()) == []


def test_a_bell_without_a_name_yet_is_not_rung_and_swept_later(log, path):
    bells = path.parent / "bells" / "topic"
    bells.mkdir(parents=True)
    os.mkfifo(bells / ".fresh")
    os.mkfifo(bells / ".old")
    os.utime(bells / ".old", (1, 1))
    log.append("topic", records(1))
    log.tail(["topic"]).close()
    assert [entry.name for entry in bells.iterdir()] == [".fresh"]


def test_a_full_bell_holds_no_one_up(log):
    with closing(log.tail(["topic"])) as reader:
        bell = reader._alarm._bells[0]
        while True:
            try:
                os.write(bell, b"!" * 65536)
            except BlockingIOError:
                break
        log.append("topic", records(1))
        assert len(reader.poll()) == 1
        assert reader.poll(timeout=0.05) == []
