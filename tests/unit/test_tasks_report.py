"""The writer of the event log: order, durability, a log that is away for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from ferris.config import EVENTS, LIFECYCLE, LOGS
from ferris.errors import BackendError
from ferris.ports import Record
from tasks.report import Reporter
from tests.waiting import until


class Log:
    """Notes what is appended; can be slow or away. Stands where the real one cannot be made to fail on cue."""

    def __init__(self) -> None:
        self.appended: list[tuple[str, list[bytes]]] = []
        self.away = False
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def append(self, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        self.entered.set()
        self.gate.wait(60)
        if self.away:
            raise BackendError("the log", "is away", "wait")
        self.appended.append((topic, [record.value for record in records]))
        return [(0, 0)] * len(records)

    def all(self, topic: str) -> list[bytes]:
        return [value for name, values in self.appended if name == topic for value in values]


def reporter(log: Log) -> Reporter:
    return Reporter(log)  # type: ignore[arg-type]


def test_flush_returns_when_everything_before_it_is_durable() -> None:
    log = Log()
    mine = reporter(log)
    for number in range(10):
        mine.add(LOGS, Record(b"%d" % number), urgent=False)
    mine.flush()
    assert log.all(LOGS) == [b"%d" % number for number in range(10)]
    mine.close()


def test_what_was_sent_is_durable_before_the_report_that_it_ended() -> None:
    log = Log()
    mine = reporter(log)
    log.gate.clear()
    mine.add(LIFECYCLE, Record(b"first"))
    assert log.entered.wait(60)
    mine.add(EVENTS, Record(b"e"))
    mine.add(LOGS, Record(b"l"), urgent=False)
    mine.add(LIFECYCLE, Record(b"done"))
    mine.add(EVENTS, Record(b"of another"))
    log.gate.set()
    mine.flush()
    assert log.appended == [
        (LIFECYCLE, [b"first"]),
        (EVENTS, [b"e", b"of another"]),
        (LOGS, [b"l"]),
        (LIFECYCLE, [b"done"]),
    ]
    mine.close()


def test_what_comes_while_it_writes_goes_in_one_batch() -> None:
    log = Log()
    mine = reporter(log)
    log.gate.clear()
    mine.add(EVENTS, Record(b"0"))
    assert log.entered.wait(60)
    threads = [
        threading.Thread(target=lambda n=n: [mine.add(EVENTS, Record(b"%d" % n)) for _ in range(100)])
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.gate.set()
    mine.flush()
    assert [len(values) for _, values in log.appended] == [1, 500]
    mine.close()


def test_who_waits_writes_for_all_who_wait() -> None:
    log = Log()
    mine = reporter(log)
    writers: list[str] = []
    inner = log.append

    def append(topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
        writers.append(threading.current_thread().name)
        return inner(topic, records)

    log.append = append  # type: ignore[method-assign]
    log.gate.clear()

    def report(name: bytes) -> None:
        mine.add(LIFECYCLE, Record(name), urgent=False)
        mine.flush()

    slots = [threading.Thread(target=report, args=(b"%d" % n,), name=f"slot {n}") for n in range(3)]
    slots[0].start()
    assert log.entered.wait(60)
    for slot in slots[1:]:
        slot.start()
    until(lambda: mine.waiting == 3)
    log.gate.set()
    for slot in slots:
        slot.join()
    assert [sorted(values) for _, values in log.appended] == [[b"0"], [b"1", b"2"]]
    assert writers[0] in ("slot 0", "reporter")
    mine.close()


def test_a_log_that_is_away_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    log.away = True
    mine = reporter(log)
    mine.add(EVENTS, Record(b"x"))
    threading.Timer(0.3, lambda: setattr(log, "away", False)).start()
    mine.flush()
    assert log.all(EVENTS) == [b"x"]
    assert "cannot be written to ferris.events yet" in caplog.text
    mine.close()


def test_lines_wait_a_moment_for_company_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tasks.report._LINGER", 1.0
    )  # longer than a busy machine keeps this thread from adding five
    log = Log()
    mine = reporter(log)
    for number in range(5):
        mine.add(LOGS, Record(b"%d" % number), urgent=False)
    until(lambda: log.appended)
    assert [len(values) for _, values in log.appended] == [5]
    mine.close()


def test_who_adds_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.report._MOST_WAITING", 1000)
    log = Log()
    mine = reporter(log)
    log.gate.clear()
    mine.add(EVENTS, Record(b"x"))
    assert log.entered.wait(60)
    done = threading.Event()

    def fill() -> None:
        for _ in range(10):
            mine.add(EVENTS, Record(b"y" * 300))
        done.set()

    threading.Thread(target=fill).start()
    assert not done.wait(0.2)
    log.gate.set()
    assert done.wait(60)
    mine.flush()
    assert len(log.all(EVENTS)) == 11
    mine.close()


def test_close_writes_what_is_left_and_gives_up_on_a_log_that_stays_away() -> None:
    log = Log()
    mine = reporter(log)
    mine.add(LOGS, Record(b"last"), urgent=False)
    mine.close()
    assert log.all(LOGS) == [b"last"]
    log.away = True
    other = reporter(log)
    other.add(LOGS, Record(b"lost"))
    began = time.monotonic()
    other.close(0.3)
    assert time.monotonic() - began < 2
    other.flush()


def test_who_waits_is_let_go_when_it_closes() -> None:
    log = Log()
    log.away = True
    mine = reporter(log)
    slots = []
    for number in range(3):
        mine.add(LIFECYCLE, Record(b"%d" % number), urgent=False)
        slots.append(threading.Thread(target=mine.flush))
        slots[-1].start()
    assert log.entered.wait(60)
    mine.close(0.1)
    for slot in slots:
        slot.join(60)
    assert not any(slot.is_alive() for slot in slots)
