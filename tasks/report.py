"""Writes what happens to the event log: for all executions of a worker process, one batch at a time."""

from __future__ import annotations

import logging
import threading
import time
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
        self._done = threading.Condition(self._lock)  # for all others
        self._waiting: dict[str, list[Record]] = {topic: [] for topic in _ORDER}
        self._size = 0
        self._added = 0
        self._taken = 0
        self._durable = 0
        self._writing = False
        self._urgent = False
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
            if not self._writing and (urgent or self._added == self._taken + 1):
                self._work.notify()

    @property
    def waiting(self) -> int:
        """How many records are not durable yet."""
        return self._added - self._durable

    def flush(self) -> None:
        """Return when everything added before is durable on the log."""
        wanted = self._added
        while True:
            with self._lock:
                while self._writing and self._durable < wanted and not self._closing:
                    self._done.wait()
                if self._durable >= wanted or self._closing:
                    return
                batch = self._take()
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
                    self._work.wait_for(lambda: self._urgent or self._closing, _LINGER)
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
                self._writing = False
                if written:  # else it is too late for everything
                    self._durable += sum(len(records) for _, records in batch)
                if self._closing or self._added > self._taken:
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
