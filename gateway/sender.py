"""What the roles that send to others have in common: they claim what is due, send in threads, note what came of it.

The threads only talk to receivers; rows are claimed and settled by the role's own thread, many at a time.
"""

from __future__ import annotations

import logging
import queue
import threading
from abc import abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar, Generic, TypeVar

from ferris.public_addresses import Network
from gateway.listener import Listener
from gateway.notices import Notices

log = logging.getLogger(__name__)

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


class Sender(Listener, Generic[Job, Outcome]):
    """Never waits for a receiver: what is under way is under way, and whoever is done wakes it."""

    at_once: ClassVar[int]

    def __init__(self, notices: Notices, allowed: Sequence[Network], *, alone: bool = False) -> None:
        """`alone`: there is no other gateway, so what is being sent was sent by one that died."""
        super().__init__(notices)
        self._allowed = allowed
        self._done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._unsettled: list[Outcome] = []
        self._under_way = 0
        self._release = alone

    @abstractmethod
    def release(self, now: datetime) -> None:
        """Let go of what a gateway that died had claimed."""

    @abstractmethod
    def claim(self, now: datetime, room: int) -> tuple[Sequence[Job], datetime | None]:
        """At most so many jobs, and when there is more to do; None: when somebody says so."""

    @abstractmethod
    def send(self, job: Job) -> Outcome:
        """What came of it; in a thread. What it raises is a fault of ours: the job failed."""

    @abstractmethod
    def failed(self, job: Job, problem: str) -> Outcome:
        """The outcome of a job that could not be sent: it is tried again."""

    @abstractmethod
    def called(self, job: Job) -> str:
        """Which one it is, for the log."""

    @abstractmethod
    def settle(self, outcomes: list[Outcome], now: datetime) -> None:
        """Write what came of these."""

    def close(self) -> None:
        """What is under way is not waited for: its claim lapses, and it is sent again."""
        self._settle()
        super().close()

    def turn(self) -> None:
        now = datetime.now(UTC)
        if self._release:
            self.release(now)
            self._release = False
        self._settle()
        jobs, again = self.claim(now, self.at_once - self._under_way)
        for job in jobs:
            self._under_way += 1
            # At its end the process waits for no receiver: a daemon, where a pool's threads would be joined.
            threading.Thread(target=self._send, args=(job,), daemon=True).start()
        self.rest(0.0 if self._unsettled or not self._done.empty() else self.until(again))

    def _settle(self) -> None:
        while not self._done.empty():
            self._unsettled.append(self._done.get())
            self._under_way -= 1
        if self._unsettled:
            self.settle(self._unsettled, datetime.now(UTC))
            self._unsettled = []

    def _send(self, job: Job) -> None:
        try:
            outcome = self.send(job)
        except Exception as error:
            log.exception("%s could not be sent", self.called(job))
            outcome = self.failed(job, f"a fault of the platform: {type(error).__name__}")
        self._done.put(outcome)
        if not self.stopping.is_set():
            self.wake()
