"""Speaks for a worker whose slots are processes: Celery's `-P prefork`.

The process that takes doorbells runs no scripts, and those that run them take none. To the platform they are one worker
under one name, with so many slots: the slots claim and keep their leases in that name, and the foreman, in the process
that takes doorbells, says that the worker is there, what it is, and drains when it is told to.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any

from ferris.config import Settings
from tasks.control import ControlClient
from tasks.isolation import Isolation
from tasks.lease import Leases, worker_name
from tasks.presence import ConsumerPresence


class Foreman:
    """Made in the process that takes doorbells, before its slots are forked; `begin` when it takes some."""

    def __init__(self) -> None:
        self.worker = worker_name()
        self._heard, self._word = os.pipe()
        os.set_blocking(self._word, False)
        self._presence: ConsumerPresence | None = None
        self._leases: Leases | None = None

    def begin(self, consumer: Any, settings: Settings) -> None:
        """Have the platform know the worker, and heed what it says."""
        control = ControlClient(settings.control_url, settings.executor_token)
        isolation = Isolation(settings)
        self._presence = ConsumerPresence(consumer)
        self._presence.isolation = isolation.summary
        self._leases = Leases(control, self.worker, settings.heartbeat_seconds)
        self._leases.introduce(self._presence)
        threading.Thread(target=self._listen, args=(self._leases,), name="foreman", daemon=True).start()
        threading.Thread(target=self._find_out, args=(isolation, self._leases), daemon=True).start()

    def nudge(self) -> None:
        """From a slot: the platform has refused it something, ask what it wants of the worker."""
        with contextlib.suppress(BlockingIOError):  # enough has been said
            os.write(self._word, b"!")

    def stopping(self) -> None:
        """Say that the worker takes nothing new and ends when what runs has ended."""
        if self._presence is not None and self._leases is not None:
            self._presence.stops = True
            self._leases.tell()

    def close(self) -> None:
        """Say that the worker ends."""
        if self._leases is not None:
            self._leases.leave()

    def _listen(self, leases: Leases) -> None:
        while os.read(self._heard, 1024):
            leases.tell()

    @staticmethod
    def _find_out(isolation: Isolation, leases: Leases) -> None:
        _ = isolation.found  # takes a moment
        leases.tell()
