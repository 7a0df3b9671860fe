"""Writes what happens to the event log: for all executions of a worker process, one batch at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Final

from ferris.config import EVENTS, LIFECYCLE, LOGS, METRICS, NOTIFICATIONS
from ferris.errors import FerrisError
from ferris.ports import EventLog, Record

log = logging.getLogger(__name__)

# Within a batch: what a script sent is durable before the report that it ended.
_ORDER: Final = (EVENTS, NOTIFICATIONS, METRICS, LOGS, LIFECYCLE)
_LINGER: Final = 0.05
"""Seconds that log lines may wait for company."""
_AT_ONCE: Final = 1000
_MOST_WAITING: Final = 64 * 1024 * 1024
_LONGEST_PAUSE: Final = 5.0
_Batch = list[tuple[str, list[Record]]]


class _Turn:
    """Who waits until `wanted` records are durable. It is woken once: they are, or it is its turn to write."""

    __slots__ = ("heard", "wanted", "writes")

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.heard = threading.Event()
        self.writes = False


class Reporter:
    """Appends records. Of one caller, a record is never durable before an earlier one
    of a topic that stands before its own in `ferris.events`, `ferris.notifications`, `ferris.metrics`,
    `ferris.logs`, `ferris.hpsm`.

    Who waits for its records (`flush`) writes what is there for all, unless somebody does already: a hand-over to
    another thread and back would take as long again. A thread writes what nobody waits for. While the log cannot be
    written it is tried again, and `add` blocks once too much is waiting.
    """

    def __init__(self, event_log: EventLog) -> None:
        self._log = event_log
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)  # for the thread
        self._done = threading.Condition(self._lock)  # for who adds too much, and who closes
        self._flushing: deque[_Turn] = deque()  # in the order of what they want
        self._waiting: dict[str, list[Record]] = {topic: [] for topic in _ORDER}
        self._size = 0
        self._added = 0
        self._taken = 0
        self._durable = 0
        self._writing = False
        self._urgent = False
        self._lingering = False
        self._closing = False
        self._thread: threading.Thread | None = None

    def add(self, topic: str, record: Record, *, urgent: bool = True) -> None:
        """Have a record appended soon: at once if urgent, else within a moment or with a `flush`."""
        with self._lock:
            while self._size > _MOST_WAITING and not self._closing:
                self._done.wait()
            self._start()
            self._waiting[topic].append(record)
            self._size += len(record.value)
            self._added += 1
            if urgent:
                self._urgent = True
            first = self._added == self._taken + 1 and not self._lingering
            if not self._writing and (urgent or first):
                self._work.notify()

    @property
    def waiting(self) -> int:
        """How many records are not durable yet."""
        return self._added - self._durable

    def flush(self) -> None:
        """Return when everything added before is durable on the log."""
        with self._lock:
            if self._durable >= self._added or self._closing:
                return
            turn, batch = None, None
            if self._writing:
                turn = _Turn(self._added)
                self._flushing.append(turn)
            else:
                batch = self._take()
        if turn is not None:
            turn.heard.wait()
            if turn.writes:
                with self._lock:
                    batch = self._take()
        if batch is not None:
            self._write(batch)

    def close(self, grace: float = 5.0) -> None:
        """Write what is left, then end the writer; what cannot be written within `grace` seconds is lost."""
        with self._lock:
            thread = self._thread
            deadline = time.monotonic() + grace
            self._urgent = True
            self._work.notify()
            while thread and self._durable < self._added and time.monotonic() < deadline:
                self._done.wait(max(0.0, deadline - time.monotonic()))
            self._closing = True
            self._work.notify()
            self._done.notify_all()
            while self._flushing:
                self._flushing.popleft().heard.set()
        if thread:
            thread.join(grace)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            self._write(batch)

    def _next(self) -> _Batch | None:
        with self._lock:
            while True:
                while self._writing or self._added == self._taken:
                    if self._closing:
                        return None
                    self._work.wait()
                if not self._urgent:
                    self._lingering = True
                    self._work.wait_for(lambda: self._urgent or self._closing, _LINGER)
                    self._lingering = False
                if not self._writing and self._added > self._taken:
                    return self._take()

    def _take(self) -> _Batch:
        """All that waits; the caller, who holds the lock, has to write it."""
        batch = [(topic, records) for topic, records in self._waiting.items() if records]
        self._waiting = {topic: [] for topic in _ORDER}
        self._size = 0
        self._taken = self._added
        self._urgent = False
        self._writing = True
        self._done.notify_all()
        return batch

    def _write(self, batch: _Batch) -> None:
        written = False
        try:
            written = all(
                self._append(topic, records[start : start + _AT_ONCE])
                for topic, records in batch
                for start in range(0, len(records), _AT_ONCE)
            )
        finally:
            with self._lock:
                if written:  # else it is too late for everything
                    self._durable += sum(len(records) for _, records in batch)
                self._pass_on()

    def _pass_on(self) -> None:
        """Wake those who have what they wanted, and one who writes next: the others would find nothing to do."""
        while self._flushing and (self._closing or self._flushing[0].wanted <= self._durable):
            self._flushing.popleft().heard.set()
        self._writing = bool(self._flushing)
        if self._flushing:
            turn = self._flushing.popleft()
            turn.writes = True
            turn.heard.set()
        elif self._closing or self._added > self._taken:
            self._work.notify()
        self._done.notify_all()

    def _append(self, topic: str, records: list[Record]) -> bool:
        pause = 0.1
        while True:
            try:
                self._log.append(topic, records)
                return True
            except FerrisError as error:
                log.error("%d records cannot be written to %s yet: %s", len(records), topic, error)
            except Exception:
                log.exception("%d records cannot be written to %s yet", len(records), topic)
            with self._done:
                if self._done.wait_for(lambda: self._closing, pause):
                    return False
            pause = min(_LONGEST_PAUSE, pause * 2)
