"""What every long-running role of the gateway has in common: a thread, a wake-up, and patience with faults."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from ferris.adapters import log_lines
from ferris.errors import BackendError
from ferris.ports import EventLog, FencedError, LogRecord
from gateway import metrics

log = logging.getLogger(__name__)

_MOST_UNCOMMITTED: Final = 2000
"""Records."""


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
    """A role that reads topics as one consumer group: what it handled is committed, what failed is handled again.

    Where nobody goes by the group's offset, one commit may follow several turns (`commit_within`): each is an append
    and a wait for the log, and all that one too few costs is that after a crash a moment's records are handled again.
    """

    group: ClassVar[str]
    topics: ClassVar[Sequence[str]]
    at_once: ClassVar[int] = 1000
    commit_within: ClassVar[float] = 0.0
    """Seconds from the first turn that is not committed; sooner when nothing more comes."""
    company: float = 0.0
    """Seconds that what comes first waits for more, so that it is handled together, at less cost, and leaves the
    processors meanwhile to those for whom somebody waits."""

    def __init__(self, event_log: EventLog) -> None:
        super().__init__()
        self.log = event_log
        self._consumer = event_log.subscribe(self.group, self.topics)
        self._unfinished: list[LogRecord] = []  # read, but their turn failed: taken up again before new ones
        self._handled: list[LogRecord] = []  # not committed yet
        self._due = 0.0

    @abstractmethod
    def handle(self, records: list[LogRecord]) -> None:
        """Everything that these records ask for, durably; may be called again for the same ones."""

    def settle(self) -> None:
        """Make durable what `handle` left for later; the offset moves behind it."""

    def turn(self) -> None:
        if not self._unfinished:
            self._read()
        if self._unfinished:
            self.handle(self._unfinished)
            metrics.HANDLED.labels(self.name).inc(len(self._unfinished))
            if not self._handled:
                self._due = time.monotonic() + self.commit_within
            self._handled += self._unfinished
            self._unfinished = []
            if len(self._handled) < _MOST_UNCOMMITTED and time.monotonic() < self._due:
                return
        self._commit()

    def _read(self) -> None:
        self._unfinished = self._consumer.poll(self.at_once, self._patience())
        room = self.at_once - len(self._unfinished)
        if self._unfinished and room and self.company and not self.stopping.wait(self.company):
            self._unfinished += self._consumer.poll(room, 0)

    def _patience(self) -> float | None:
        """How long to wait for records: until what was handled is to be committed."""
        return max(0.0, self._due - time.monotonic()) if self._handled else None

    def _commit(self) -> None:
        if not self._handled:
            return
        self.settle()
        try:
            self._consumer.commit(self._handled)
        except FencedError as error:  # they are another gateway's now, and harmless to handle twice
            log.warning("%s: %s", self.name, error)
        self._handled = []

    def wake(self) -> None:
        self._consumer.wake()

    def close(self) -> None:
        try:
            self._commit()
        except (BackendError, OperationalError, InterfaceError) as error:
            log.warning("%s: %s", self.name, error)
        self._consumer.close()
