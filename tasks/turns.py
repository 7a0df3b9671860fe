"""Turns at the state of a service: its executions on this worker change it one after the other.

They save work, and promise nothing: what keeps changes from being lost is the compare-and-set of the control API, for
executions of other workers, for clients that know no turns, and for who has waited too long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Final
from weakref import WeakValueDictionary

from ferris.taking_turns import Line

PATIENCE: Final = 3.0
"""Seconds that a script waits for its turn at most, whatever the others do."""


class Turnstile:
    """Turns at one thing. Called from any thread; nothing waits in here."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._lock = threading.Lock()
        self._line: Line[Hashable] = Line(patience)
        self._waiting: dict[Hashable, Callable[[], object]] = {}

    def ask(self, who: Hashable, go_on: Callable[[], object]) -> bool:
        """Call `go_on` when it is their turn; True when that was at once. Who waits has `look` called in `patience`
        seconds."""
        with self._lock:
            self._waiting[who] = go_on
            going = self._called(self._line.ask(who, time.monotonic()))
        for call in going:
            call()
        return go_on in going

    def end(self, who: Hashable) -> None:
        """It is no longer their turn, and they wait for none."""
        with self._lock:
            self._waiting.pop(who, None)
            going = self._called(self._line.end(who, time.monotonic()))
        for call in going:
            call()

    def look(self) -> None:
        """Let those go on who have waited for long enough."""
        with self._lock:
            going = self._called(self._line.look(time.monotonic()))
        for call in going:
            call()

    def _called(self, going: list[Hashable]) -> list[Callable[[], object]]:
        return [self._waiting.pop(who) for who in going]


class Turns:
    """The turnstiles of a worker process. Each is there while somebody holds on to it."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._turnstiles: WeakValueDictionary[Hashable, Turnstile] = WeakValueDictionary()

    def of(self, thing: Hashable) -> Turnstile:
        """The one of this thing."""
        with self._lock:
            found = self._turnstiles.get(thing)
            if found is None:
                found = self._turnstiles[thing] = Turnstile(self._patience)
            return found
