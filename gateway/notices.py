"""Notices on `ferris.control`, read once for all roles of a process that sleep until one comes."""

from __future__ import annotations

import threading
from typing import Final

from ferris.config import CONTROL
from ferris.ports import EventLog
from gateway.role import Role

TIMED: Final = b'{"changed":"executions"}'
"""Something waits for a time now: the scheduler has to look when."""
PUSHES: Final = b'{"changed":"deliveries"}'
"""Something is to be sent: for the courier."""
NOTICES: Final = b'{"changed":"notices"}'
"""There is something to tell: for the notifier."""
CHARTS: Final = b'{"changed":"chart entries"}'
"""There is something to count: for the charter."""
ADDRESSED: Final = frozenset({TIMED, PUSHES, NOTICES, CHARTS})
"""What concerns one role only; any other notice concerns all."""


class Ear:
    """What one role hears: what it was told before its last `listen` returned, it acts on in its next turn."""

    def __init__(self, own: bytes | None) -> None:
        self._own = own
        self._heard = threading.Event()

    def listen(self, seconds: float) -> None:
        """Return after so many seconds, or at once when something was heard meanwhile."""
        self._heard.wait(seconds)
        self._heard.clear()

    def tell(self, notices: set[bytes]) -> None:
        if self._own in notices or not notices <= ADDRESSED:
            self.wake()

    def wake(self) -> None:
        self._heard.set()


class Notices(Role):
    """Every gateway hears every notice; who acts on it is settled by the rows that they claim.

    A reader of its own for each role costs a connection to every broker and a thread that keeps it alive.
    """

    def __init__(self, event_log: EventLog) -> None:
        super().__init__()
        self._tail = event_log.tail([CONTROL])  # now: what is appended from here on is heard
        self._ears: list[Ear] = []

    def ear(self, own: bytes | None = None) -> Ear:
        """For a role, before this one starts. `own`: the notice that is addressed to it, if there is one."""
        self._ears.append(Ear(own))
        return self._ears[-1]

    def turn(self) -> None:
        try:
            notices = {record.value for record in self._tail.poll(1000)}
        except BaseException:
            for ear in self._ears:  # one may have been missed
                ear.wake()
            raise
        if notices:
            for ear in self._ears:
                ear.tell(notices)

    def wake(self) -> None:
        self._tail.wake()

    def close(self) -> None:
        self._tail.close()
