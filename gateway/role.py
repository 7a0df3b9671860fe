"""What every long-running role of the gateway has in common: a thread, a wake-up, and patience with faults."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from ferris.adapters import log_lines
from ferris.errors import BackendError
from ferris.ports import EventLog, FencedError, LogRecord
from gateway import metrics

log = logging.getLogger(__name__)


class Role(ABC, threading.Thread):
    """A thread that repeats `turn` until `stop`. A turn that fails is repeated, after a growing pause.

    `turn` blocks until there is something to do; it must return soon after `wake` was called.
    """

    longest_pause = 5.0
    breath = 0.0
    """Seconds between the end of a turn and the next: under load turns then take larger batches at less cost each,
    while what comes after a quiet moment is taken at once."""

    def __init__(self) -> None:
        super().__init__(name=type(self).__name__.lower(), daemon=True)
        self.stopping = threading.Event()
        self.failures = 0

    @abstractmethod
    def turn(self) -> None:
        """One piece of work, whole: what it did not commit is done again."""

    def wake(self) -> None:
        """Make a blocking `turn` return."""

    def close(self) -> None:
        """Give back what the role holds; called in its own thread after the last turn."""

    def stop(self) -> None:
        """Ask the role to end; `join` waits for it."""
        self.stopping.set()
        self.wake()

    def run(self) -> None:
        with log_lines.about(role=self.name):
            self._run()

    def _run(self) -> None:
        turns, failures = metrics.TURNS.labels(self.name), metrics.FAILURES.labels(self.name)
        while not self.stopping.wait(self.breath):
            try:
                self.turn()
                self.failures = 0
                turns.inc()
            except Exception as error:
                self.failures += 1
                failures.inc()
                pause = min(self.longest_pause, 0.1 * 2**self.failures)
                # What a backend that is away says fits in a line; anything else is for who mends the code.
                away = isinstance(error, BackendError | OperationalError | InterfaceError)
                said = " ".join(str(error).split())
                log.error(
                    "%s failed (%d in a row), goes on in %.1f s: %s: %s",
                    self.name, self.failures, pause, type(error).__name__, said, exc_info=not away,
                )  # fmt: skip
                close_old_connections()
                self.stopping.wait(pause)
        self.close()
        connection.close()


class Reader(Role):
    """A role that reads topics as one consumer group: what it handled is committed, what failed is handled again."""

    group: ClassVar[str]
    topics: ClassVar[Sequence[str]]
    at_once: ClassVar[int] = 1000

    def __init__(self, event_log: EventLog) -> None:
        super().__init__()
        self.log = event_log
        self._consumer = event_log.subscribe(self.group, self.topics)
        self._unfinished: list[LogRecord] = []  # read, but their turn failed: taken up again before new ones

    @abstractmethod
    def handle(self, records: list[LogRecord]) -> None:
        """Everything that these records ask for, durably; may be called again for the same ones."""

    def settle(self) -> None:
        """Make durable what `handle` left for later; the offset moves behind it."""

    def turn(self) -> None:
        self._unfinished = self._unfinished or self._consumer.poll(self.at_once)
        if self._unfinished:
            self.handle(self._unfinished)
            self.settle()
            try:
                self._consumer.commit(self._unfinished)
            except FencedError as error:  # they are another gateway's now, and harmless to handle twice
                log.warning("%s: %s", self.name, error)
            metrics.HANDLED.labels(self.name).inc(len(self._unfinished))
            self._unfinished = []

    def wake(self) -> None:
        self._consumer.wake()

    def close(self) -> None:
        self._consumer.close()
