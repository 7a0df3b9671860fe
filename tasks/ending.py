"""Ending a process with everything it started: its group, and what left the group (daemons, setsid)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psutil

from tasks.runner import Process


class Ending:
    """SIGTERM to all, and SIGKILL to whoever is still there after the grace."""

    def __init__(self, process: Process, grace: float) -> None:
        self._process = process
        self._kill_at = time.monotonic() + grace
        self._killed = False
        self._known: dict[int, psutil.Process] = {}
        self._look()
        process.signal(signal.SIGTERM)
        for one in self._known.values():
            if _group(one.pid) not in (None, process.pid):
                _quietly(one.terminate)

    @property
    def left(self) -> float | None:
        """Seconds until SIGKILL; None when it was sent."""
        return None if self._killed else max(0.0, self._kill_at - time.monotonic())

    def go_on(self) -> None:
        """Call when `left` has passed."""
        if not self._killed and time.monotonic() >= self._kill_at:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, also to what was started since SIGTERM. Call it before the ended process is reaped, too."""
        self._killed = True
        self._look()
        new = True
        while new:  # what is killed starts nothing any more, so an end comes
            self._process.signal(signal.SIGKILL)
            for one in self._known.values():
                _quietly(one.kill)  # psutil checks that the pid is still the same process
            new = self._look()

    def _look(self) -> bool:
        """Find descendants, also those of descendants whose own parent has gone; True if any is new."""
        before = len(self._known)
        for parent in [self._process.pid, *self._known]:
            try:
                start = self._known.get(parent) or psutil.Process(parent)
                for child in start.children(recursive=True):
                    self._known.setdefault(child.pid, child)
            except psutil.Error:
                continue
        return len(self._known) > before


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _quietly(call: Callable[[], None]) -> None:
    try:
        call()
    except psutil.Error:
        pass
