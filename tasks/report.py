"""Writes what happens to the event log: one writer for all executions of a worker process, in large batches."""

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


class Reporter:
    """Appends records in the background. Of one caller, a record is never durable before an earlier one
    of a topic that stands before its own in `ferris.events`, `ferris.notifications`, `ferris.metrics`,
    `ferris.logs`, `ferris.hpsm`.

    While the log cannot be written it tries again, and `add` blocks once too much is waiting.
    """

    def __init__(self, event_log: EventLog) -> None:
        self._log = event_log
        self._changed = threading.Condition()
        self._waiting: dict[str, list[Record]] = {topic: [] for topic in _ORDER}
        self._size = 0
        self._added = 0
        self._durable = 0
        self._urgent = False
        self._closing = False
        self._thread: threading.Thread | None = None

    def add(self, topic: str, record: Record, *, urgent: bool = True) -> None:
        """Have a record appended soon: at once if urgent, else within a moment."""
        with self._changed:
            while self._size > _MOST_WAITING and not self._closing:
                self._changed.wait()
            self._start()
            self._waiting[topic].append(record)
            self._size += len(record.value)
            self._added += 1
            first = self._added == self._durable + 1
            if urgent and not self._urgent:
                self._urgent = True
                self._changed.notify_all()
            elif first:
                self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many records are not durable yet."""
        return self._added - self._durable

    def flush(self) -> None:
        """Return when everything added before is durable on the log."""
        with self._changed:
            wanted = self._added
            if self._durable < wanted:
                self._urgent = True
                self._changed.notify_all()
            while self._durable < wanted and not self._closing:
                self._changed.wait()

    def close(self, grace: float = 5.0) -> None:
        """Write what is left, then end the writer; what cannot be written within `grace` seconds is lost."""
        with self._changed:
            thread = self._thread
            deadline = time.monotonic() + grace
            self._urgent = True
            self._changed.notify_all()
            while thread and self._durable < self._added and time.monotonic() < deadline:
                self._changed.wait(max(0.0, deadline - time.monotonic()))
            self._closing = True
            self._changed.notify_all()
        if thread:
            thread.join(grace)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="reporter", daemon=True)
            self._thread.start()

    def _write(self) -> None:
        while True:
            batch = self._next()
            if batch is None:
                return
            for topic, records in batch:
                for start in range(0, len(records), _AT_ONCE):
                    if not self._append(topic, records[start : start + _AT_ONCE]):
                        return
            with self._changed:
                self._durable += sum(len(records) for _, records in batch)
                self._changed.notify_all()

    def _next(self) -> list[tuple[str, list[Record]]] | None:
        with self._changed:
            while self._added == self._durable:
                if self._closing:
                    return None
                self._changed.wait()
            if not self._urgent:
                self._changed.wait_for(lambda: self._urgent or self._closing, _LINGER)
            self._urgent = False
            batch = [(topic, records) for topic, records in self._waiting.items() if records]
            self._waiting = {topic: [] for topic in _ORDER}
            self._size = 0
            self._changed.notify_all()
            return batch

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
            with self._changed:
                if self._changed.wait_for(lambda: self._closing, pause):
                    return False
            pause = min(_LONGEST_PAUSE, pause * 2)
