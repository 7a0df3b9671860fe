"""A small event loop: an execution's thread waits here for output, calls, the end of a process, or a stop."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Loop:
    """Belongs to one thread. Only `post` and `wake` may be called from others."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._posted: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._open = threading.Lock()  # held while the bell is rung or taken away
        self._closed = False
        self.add(self._bell, self._answer_bell)

    def add(self, handle: int, ready: Callable[[], None]) -> None:
        """Call `ready` whenever there is something to read from the handle."""
        self._selector.register(handle, selectors.EVENT_READ, ready)

    def remove(self, handle: int) -> None:
        """Stop watching the handle; call before it is closed."""
        self._selector.unregister(handle)

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Make this call once, in the first turn that is under way or begins when the time has passed."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), call))

    def turn(self, timeout: float | None) -> None:
        """Wait up to `timeout` seconds (None: for ever) and handle what has come."""
        if self._timers:
            left = max(0.0, self._timers[0][0] - time.monotonic())
            timeout = left if timeout is None else min(timeout, left)
        self._wait(timeout)
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def _wait(self, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            if key.fd in self._selector.get_map():  # an earlier one of this turn may have removed it
                key.data()

    def post(self, call: Callable[[], None]) -> None:
        """Have the loop's thread make this call in its next turn."""
        self._posted.append(call)
        self.wake()

    def wake(self) -> None:
        """Make `turn` return."""
        with self._open:
            if not self._closed:
                os.eventfd_write(self._bell, 1)

    def _answer_bell(self) -> None:
        os.eventfd_read(self._bell)
        while self._posted:
            self._posted.popleft()()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._open:
            self._closed = True
            self._selector.close()
            os.close(self._bell)
