"""What a file that many write promises: transactions are shared, fail alone, and wait for the disk if asked."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from ferris.adapters.sqlite_file import SqliteFile
from ferris.errors import BackendError

LONG = 20.0  # no test waits so long unless a wake-up is missed


@pytest.fixture
def file(tmp_path: Path) -> SqliteFile:
    made = SqliteFile(
        str(tmp_path / "file.db"), backend="test", application_id=1, schema=[["CREATE TABLE t (x UNIQUE)"]]
    )
    made.write(lambda connection: None)
    return made


def test_jobs_share_a_transaction_and_fail_alone(file, tmp_path):
    outcomes: dict[int, object] = {}

    def job(number: int) -> None:
        def work(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO t VALUES (?)", (number,))
            if number % 10 == 3:
                raise KeyError(number)
            if number % 10 == 5:
                connection.execute("INSERT INTO t VALUES (?)", (number,))  # UNIQUE fails
            return number

        try:
            outcomes[number] = file.write(work)
        except Exception as error:
            outcomes[number] = type(error)

    with open(tmp_path / "file.db.lock", "rb") as lock:  # as another process would hold it
        fcntl.flock(lock, fcntl.LOCK_EX)
        threads = [threading.Thread(target=job, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        while len(file._queue) < 39:
            time.sleep(0.005)
    for thread in threads:
        thread.join()
    expected = {number: number for number in range(40)}
    expected |= dict.fromkeys(range(3, 40, 10), KeyError)
    expected |= dict.fromkeys(range(5, 40, 10), BackendError)
    assert outcomes == expected
    with file.reading() as connection:
        kept = {x for (x,) in connection.execute("SELECT x FROM t")}
    assert kept == {number for number in range(40) if number % 10 not in (3, 5)}


def test_a_leader_interrupted_by_a_signal_leaves_no_one_waiting(file):
    class Interrupted(BaseException):
        pass

    def interrupted(connection: sqlite3.Connection) -> None:
        raise Interrupted

    for _ in range(3):
        with pytest.raises(Interrupted):
            file.write(interrupted)
    assert file.write(lambda connection: 5) == 5
    done = []
    threads = [threading.Thread(target=lambda: done.append(file.write(lambda c: 1))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert done == [1] * 5


def test_a_transaction_waits_for_the_disk_if_one_in_it_has_to(file):
    def synchronous(connection: sqlite3.Connection) -> int:
        return int(connection.execute("PRAGMA synchronous").fetchone()[0])

    normal, full = 1, 2
    for lasting, wanted in ((False, normal), (True, full), (False, normal)):
        assert file.write(synchronous, lasting=lasting) == wanted
    entered, go, found = threading.Event(), threading.Event(), {}

    def first(connection: sqlite3.Connection) -> None:
        entered.set()
        go.wait(LONG)

    def join(name: str, lasting: bool) -> threading.Thread:
        thread = threading.Thread(
            target=lambda: found.update({name: file.write(synchronous, lasting=lasting)})
        )
        thread.start()
        return thread

    threads = [threading.Thread(target=file.write, args=(first,))]
    threads[0].start()
    entered.wait(LONG)
    threads += [join("momentary", False), join("lasting", True)]
    while len(file._queue) < 2:
        time.sleep(0.001)
    go.set()
    for thread in threads:
        thread.join(LONG)
    assert found == {"momentary": full, "lasting": full}
