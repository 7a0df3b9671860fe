"""Keeps the leases of what a worker runs: one thread and one call for all of them, only while something runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from ferris.errors import FerrisError
from ferris.execution import ExecutionOrder
from tasks import metrics
from tasks.control import ControlClient

log = logging.getLogger(__name__)

CANCELLED: Final = "cancelled"
FENCED: Final = "fenced"
LEASE_LOST: Final = "lease_lost"
SHUTDOWN: Final = "shutdown"
TIMEOUT: Final = "timeout"


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

    def add(self, lease: Lease) -> None:
        """Keep this lease from now on."""
        with self._changed:
            self._running[lease.execution_id, lease.attempt] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
                self._thread.start()
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
                self._changed.wait_for(lambda: self._running or self._closed)
                # The first beat comes a period after the claim: what ends sooner needs none.
                if self._closed or self._changed.wait_for(lambda: self._closed, self._every):
                    return
                running = list(self._running.values())
            if running:
                self._beat(running)

    def _beat(self, running: list[Lease]) -> None:
        asked_at = time.monotonic()
        try:
            answer = self._control.heartbeat(
                self._worker, [(one.execution_id, one.attempt) for one in running]
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
        stop = {(str(one["id"]), int(one["attempt"])): str(one["why"]) for one in answer.get("stop", ())}
        for lease in running:
            why = stop.get((lease.execution_id, lease.attempt))
            if why is None:
                lease.renew(asked_at)
            else:
                lease.stop(why)
