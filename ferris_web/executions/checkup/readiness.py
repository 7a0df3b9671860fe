"""Can the platform do its work? The quick looks at every backend, side by side, kept for a moment."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from django.db import Error as DatabaseError
from django.db import close_old_connections

from ferris.config import EVENTS, LIFECYCLE, LOGS
from ferris.errors import FerrisError
from ferris.ports import TopicInfo
from ferris_web import wiring
from ferris_web.executions.backlog import INDEXER, RECORDER, ROUTER
from ferris_web.executions.checkup import reach

log = logging.getLogger(__name__)

_CACHE_SECONDS = 2.0
_PATIENCE = 3.0
_WATCHED_SECONDS = 15.0
_STALLED_SECONDS = (
    20.0  # a group whose oldest record waits longer, and which has not moved since the last look
)
_READERS = ((ROUTER, EVENTS), (RECORDER, LIFECYCLE), (INDEXER, LOGS))

DISK: Final = "disk"
NAMES: Final = {
    "database": "Database",
    "event_log": "Event log",
    "object_store": "Object store",
    "config_store": "Configuration and state",
    "ops_store": "Operational records",
    "broker": "Broker of doorbells",
    DISK: "Disk",
    "engine": "Engine",
}
"""As people call them."""


@dataclass
class State:
    """How one part is. `problem` is for known users only: it may hold names of folders and hosts."""

    ok: bool
    problem: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def _reached(look: Callable[[], dict[str, Any]]) -> Callable[[], State]:
    return lambda: State(True, facts=look())


class _Engine:
    """The gateway seen through the log: does what waits there get taken up?"""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def __call__(self) -> State:
        topics = {topic.name: topic for topic in wiring.event_log().topics()}
        lags, stalled = {}, []
        for group, name in _READERS:
            topic = topics.get(name)
            lag = _lag(topic, group) if topic else 0
            lags[group] = lag
            place = _end(topic) - lag if topic else 0
            if topic and lag and self._places.get(group) == place and _waits_long(topic, lag):
                stalled.append(group)
            self._places[group] = place
        problem = f"{', '.join(stalled)} takes nothing up: is the engine running?" if stalled else ""
        return State(not stalled, problem, {"lag": lags})


def _lag(topic: TopicInfo, group: str) -> int:
    held = _end(topic) - sum(part.begin for part in topic.partitions)
    return min(topic.groups.get(group, held), held)


def _end(topic: TopicInfo) -> int:
    return sum(part.end for part in topic.partitions)


def _waits_long(topic: TopicInfo, lag: int) -> bool:
    """True when the oldest record that waits has done so for long. Of several partitions, look at each."""
    for part in topic.partitions:
        at = max(part.begin, part.end - lag)
        for record in wiring.event_log().browse(topic.name, partition=part.partition, offset=at, limit=1):
            if (datetime.now(UTC) - record.timestamp).total_seconds() > _STALLED_SECONDS:
                return True
    return False


class Readiness:
    """Runs the checks side by side, each with a limit of time; their result is kept for a moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watching = False
        self._looked_at = float("-inf")
        self._held: tuple[datetime, dict[str, State]] = (datetime.min, {})
        self._pool: ThreadPoolExecutor | None = None
        self._running: dict[str, Future[State]] = {}
        name, look = (DISK, reach.disk) if wiring.config().embedded else ("broker", reach.broker)
        self._checks: dict[str, Callable[[], State]] = {
            **{one: _reached(found) for one, found in reach.LOOKS.items() if one != "broker"},
            name: _reached(look),
            "engine": _Engine(),
        }

    def look(self) -> tuple[datetime, dict[str, State]]:
        """When was looked last, and what was found."""
        with self._lock:
            if time.monotonic() - self._looked_at > _CACHE_SECONDS:
                self._held = (datetime.now(UTC), self._look())
                self._looked_at = time.monotonic()
            return self._held

    def watch(self) -> None:
        """From now on `known` has somebody look, where nobody did lately. For processes that serve people."""
        self._watching = True

    def known(self) -> dict[str, State]:
        """What was found last; nobody waits for a look."""
        if (
            self._watching
            and time.monotonic() - self._looked_at > _WATCHED_SECONDS
            and not self._lock.locked()
        ):
            threading.Thread(target=self.look, name="ready-look", daemon=True).start()
        return self._held[1]

    def _look(self) -> dict[str, State]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(len(self._checks), "ready")
        for name, check in self._checks.items():
            # One that hangs since the last time is not asked again: threads would pile up.
            if name not in self._running:
                self._running[name] = self._pool.submit(_guarded, name, check)
        deadline = time.monotonic() + _PATIENCE
        return {name: self._result(name, deadline) for name in self._checks}

    def _result(self, name: str, deadline: float) -> State:
        try:
            state = self._running[name].result(max(0.0, deadline - time.monotonic()))
        except LateError:
            return State(False, f"gave no answer within {_PATIENCE:.0f} s")
        del self._running[name]
        return state


def _guarded(name: str, check: Callable[[], State]) -> State:
    close_old_connections()
    began = time.monotonic()
    try:
        state = check()
    except (FerrisError, DatabaseError, OSError) as error:
        log.error("%s is not ready: %s", name, error)
        state = State(False, str(error))
    state.facts["milliseconds"] = round((time.monotonic() - began) * 1000, 1)
    return state


READINESS = Readiness()
"""What this process knows of the backends."""
