"""Keeps the leases of what a worker runs: one thread and one call for all of them. While nothing runs, it says now
and then that the worker is there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from ferris.errors import FerrisError
from ferris.execution import ExecutionOrder
from tasks import metrics
from tasks.control import ControlClient

log = logging.getLogger(__name__)

CANCELLED: Final = "cancelled"
LEASE_LOST: Final = "lease_lost"
SHUTDOWN: Final = "shutdown"
TIMEOUT: Final = "timeout"

_IDLE: Final = 20.0
"""Seconds between beats of a worker that runs nothing: so that it is known to be there, and hears of a drain. One that
drains beats as often as one that runs something, for somebody waits for it."""
_LAST_BEAT: Final = 5.0
"""Seconds for a beat that is under way when the worker ends; it gives up sooner."""


def worker_name() -> str:
    """By which the platform knows this process, when it is a worker."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Stopped(Exception):
    """An attempt was ended from outside: cancelled, fenced, its lease lost, or the executor shuts down."""


class Presence(Protocol):
    """What a worker says of itself beside what it runs."""

    def about(self) -> dict[str, Any]:
        """Its lanes, slots, and since when it is there."""

    def heed(self, drain: bool) -> None:
        """Take nothing new from now on, or take again."""


class Lease:
    """One claimed attempt. `stop` may come from any thread, once; `on_stop` is then called."""

    def __init__(self, order: ExecutionOrder, claimed_at: float, on_stop: Callable[[], None]) -> None:
        self.execution_id = order.execution_id
        self.attempt = order.attempt
        self.why: str | None = None
        self._seconds = order.lease_seconds
        self._until = claimed_at + order.lease_seconds
        self._on_stop = on_stop

    @property
    def left(self) -> float:
        """Seconds for which nobody else can be given the execution, unless heartbeats renew them."""
        return self._until - time.monotonic()

    @property
    def good(self) -> bool:
        """True while it may go on: its lease holds and nobody has stopped it."""
        return self.why is None and self.left > 0

    def renew(self, asked_at: float) -> None:
        """A heartbeat that was sent at that time succeeded. The web prolongs a lease that has passed a third
        of its time, so two thirds are what is sure.
        """
        self._until = max(self._until, asked_at + self._seconds * 2 / 3)

    def check(self) -> None:
        """Stop it when the lease ran out."""
        if self.left <= 0:
            self.stop(LEASE_LOST)

    def go_on(self) -> None:
        """Stopped when it is not to go on."""
        self.check()
        if self.why is not None:
            raise Stopped(self.why)

    def stop(self, why: str) -> None:
        """Have it ended. The first reason stays."""
        if self.why is None:
            self.why = why
            self._on_stop()


class Leases:
    """The worker's running executions."""

    def __init__(self, control: ControlClient, worker: str, every: float) -> None:
        self._control = control
        self._worker = worker
        self._every = every
        self._changed = threading.Condition()
        self._running: dict[tuple[str, int], Lease] = {}
        self._closed = False
        self._away = False
        self._thread: threading.Thread | None = None
        self._presence: Presence | None = None
        self._news = self._drains = False

    def introduce(self, presence: Presence) -> None:
        """Say from now on what this worker is, also while nothing runs, and heed whether it is to drain."""
        with self._changed:
            self._presence, self._news = presence, True
            self._start()
            self._changed.notify_all()

    def tell(self) -> None:
        """What the worker is has changed: say so at once."""
        with self._changed:
            self._news = True
            self._changed.notify_all()

    def leave(self) -> None:
        """Say that this worker ends, as the last word; nothing when nobody hears it. Leases still kept run out."""
        self.close()
        if self._thread is not None:
            self._thread.join(_LAST_BEAT)
        if self._presence is not None:
            with contextlib.suppress(FerrisError):
                self._control.heartbeat(self._worker, [], {**self._presence.about(), "leaves": True})

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
            self._thread.start()

    def add(self, lease: Lease) -> None:
        """Keep this lease from now on."""
        with self._changed:
            first = not self._running
            self._running[lease.execution_id, lease.attempt] = lease
            self._start()
            if first:  # else its thread waits for the next beat, whoever joins
                self._changed.notify_all()

    def remove(self, lease: Lease) -> None:
        """Its execution has ended."""
        with self._changed:
            self._running.pop((lease.execution_id, lease.attempt), None)

    def stop_all(self, why: str) -> None:
        """Have everything ended that runs."""
        with self._changed:
            running = list(self._running.values())
        for lease in running:
            lease.stop(why)

    def close(self) -> None:
        """End the thread. Leases still kept run out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._running or self._closed or self._news,
                    self._every if self._drains else _IDLE,
                )
                # The first beat comes a period after the claim: what ends sooner needs none.
                if self._closed or (
                    self._running
                    and not self._news
                    and self._changed.wait_for(lambda: self._closed or self._news, self._every)
                    and self._closed
                ):
                    return
                running, self._news = list(self._running.values()), False
            if running or self._presence is not None:
                self._beat(running)

    def _beat(self, running: list[Lease]) -> None:
        asked_at, presence = time.monotonic(), self._presence
        try:
            answer = self._control.heartbeat(
                self._worker,
                [(one.execution_id, one.attempt) for one in running],
                presence.about() if presence is not None else None,
            )
        except FerrisError as error:
            if not self._away:
                log.warning("no heartbeat: %s", error)  # each execution watches its own lease
            self._away = True
            metrics.HEARTBEATS.inc()
            return
        if self._away:
            log.warning("heartbeats are answered again")
        self._away = False
        if presence is not None and "drain" in answer:
            self._drains = bool(answer["drain"])
            presence.heed(self._drains)
        stop = {(str(one["id"]), int(one["attempt"])): str(one["why"]) for one in answer.get("stop", ())}
        for lease in running:
            why = stop.get((lease.execution_id, lease.attempt))
            if why is None:
                lease.renew(asked_at)
            else:
                lease.stop(why)
