"""What happens now, for pages and streams that show it as it happens.

One thread per web process reads the end of the log and hands what it finds to subscribers. It begins with
the first subscriber and ends some time after the last one has left; between records it sleeps in the log's
own wait.

Two topics are followed: log lines (`ferris.logs`), and the notices that an execution's row changed
(`ferris.changes`, which the recorder writes after its commit: whoever reads the row then sees the change).
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ferris.config import CHANGES, LOGS
from ferris.errors import BackendError, FerrisError
from ferris.ports import Consumer, LogRecord
from ferris_web import wiring

log = logging.getLogger(__name__)

LIMIT = 2000  # notices that may wait for one subscriber
MOST_SUBSCRIBERS = 1000
LINGER_SECONDS = 30.0  # the next page of the same person needs no new reader
_BATCH = 1000
_LONGEST_PAUSE = 5.0


class Overrun(FerrisError):
    """Notices were dropped: the subscriber was too slow, or the log could not be read for a while. Read again
    what is stored, then go on with `get`."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A record of a followed topic. `value` is its JSON: a log line, or from `ferris.changes` {"execution",
    "status", "service", "flow", "attempt"}, or {"events": keys}: these are in the journal."""

    topic: str
    value: dict[str, Any]
    partition: int = 0
    offset: int = 0

    @property
    def execution(self) -> str:
        """The id of the execution it is about."""
        return str(self.value.get("execution", ""))


class Subscription:
    """Notices from now on, in the log's order. Made by `subscribe`; close it, or use it as a context.

    May be made in any thread; `get` belongs to one event loop.
    """

    def __init__(self, hub: _Hub, routes: frozenset[tuple[str, str]]) -> None:
        self.routes = routes
        self._hub = hub
        self._lock = threading.Lock()
        self._queue: deque[Notice] = deque()
        self._overrun = False
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    async def get(self, timeout: float | None = None) -> list[Notice]:
        """All notices that wait, else the next ones; [] after `timeout` seconds without any. Overrun."""
        with self._lock:
            waiter = None
            if not self._queue and not self._overrun:
                loop = asyncio.get_running_loop()
                waiter = loop.create_future()
                self._waiter = (loop, waiter)
        if waiter is not None:
            await asyncio.wait([waiter], timeout=timeout)
        with self._lock:
            self._waiter = None
            found = list(self._queue)
            self._queue.clear()
            overrun, self._overrun = self._overrun, False
        if overrun:
            raise Overrun("notices were dropped")
        return found

    def close(self) -> None:
        """Leave. May be called twice."""
        self._hub.remove(self)

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def offer(self, notices: Sequence[Notice], *, overrun: bool = False) -> None:
        """Called by the reader's thread; never waits."""
        with self._lock:
            if overrun or len(self._queue) + len(notices) > LIMIT:
                self._queue.clear()
                self._overrun = True
            else:
                self._queue.extend(notices)
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            loop, future = waiter
            try:
                loop.call_soon_threadsafe(_finish, future)
            except RuntimeError:
                pass  # its loop has ended, and it with it


def notice_of(record: LogRecord) -> Notice | None:
    """What a record says; None when it says nothing that could be read."""
    try:
        value = json.loads(record.value)
    except ValueError:
        return None
    return Notice(record.topic, value, record.partition, record.offset) if isinstance(value, dict) else None


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def subscribe(
    *, execution: str | None = None, flow: str | None = None, topics: Iterable[str] = (LOGS, CHANGES)
) -> Subscription:
    """Follow what `topics` say of one execution, the changes within one flow, or else all of `topics`.

    What was appended before this returns may or may not be handed out; what is appended after it is. Touches
    the log: call it in a thread, not in an event loop. BackendError when too many follow already.
    """
    if execution is not None:
        routes = {(topic, execution) for topic in topics}
    elif flow is not None:
        routes = {(CHANGES, f"flow {flow}")}
    else:
        routes = {(topic, "") for topic in topics}
    return _hub.add(frozenset(routes))


def subscribers() -> int:
    """How many follow at this moment, in this process."""
    return _hub.count()


class _Hub:
    """The subscribers and the one thread that reads for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._audience: dict[tuple[str, str], set[Subscription]] = defaultdict(set)
        self._consumer: Consumer | None = None
        self._idle_since = 0.0

    def count(self) -> int:
        return len(self._subscriptions)

    def add(self, routes: frozenset[tuple[str, str]]) -> Subscription:
        subscription = Subscription(self, routes)
        with self._lock:
            if len(self._subscriptions) >= MOST_SUBSCRIBERS:
                raise BackendError(
                    "live updates", f"have {MOST_SUBSCRIBERS} followers already", "close some pages, reload"
                )
            if self._consumer is None:
                self._consumer = wiring.event_log().tail([LOGS, CHANGES])
                threading.Thread(target=self._run, args=(self._consumer,), name="live", daemon=True).start()
            self._subscriptions.add(subscription)
            for route in routes:
                self._audience[route].add(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions.discard(subscription)
            for route in subscription.routes:
                self._audience[route].discard(subscription)
                if not self._audience[route]:
                    del self._audience[route]
            if self._subscriptions or self._consumer is None:
                return
            self._idle_since = time.monotonic()
            self._consumer.wake()  # from now on it waits only so long

    def _run(self, consumer: Consumer) -> None:
        failures = 0
        while not self._leave(consumer):
            try:
                self._deliver(consumer.poll(_BATCH, timeout=self._patience()))
                failures = 0
            except Exception:
                failures += 1
                pause = min(_LONGEST_PAUSE, 0.1 * 2**failures)
                log.exception("the log cannot be followed; trying again in %.1f s", pause)
                time.sleep(pause)
                consumer = self._again(consumer)

    def _patience(self) -> float | None:
        with self._lock:
            if self._subscriptions:
                return None
            return max(0.0, self._idle_since + LINGER_SECONDS - time.monotonic())

    def _leave(self, consumer: Consumer) -> bool:
        """End when nobody has followed for a while. Under the lock: a newcomer finds a reader or none."""
        with self._lock:
            if self._subscriptions or time.monotonic() < self._idle_since + LINGER_SECONDS:
                return False
            self._consumer = None
        consumer.close()
        return True

    def _again(self, consumer: Consumer) -> Consumer:
        """A new reader. It begins at the end of the log: all must read again what they may have missed."""
        try:
            fresh: Consumer = wiring.event_log().tail([LOGS, CHANGES])
        except FerrisError:
            return consumer  # the next poll fails too, and then this is tried again
        with self._lock:
            self._consumer = fresh
            everybody = list(self._subscriptions)
        consumer.close()
        for subscription in everybody:
            subscription.offer((), overrun=True)
        return fresh

    def _deliver(self, records: Sequence[LogRecord]) -> None:
        mail: dict[Subscription, list[Notice]] = defaultdict(list)
        with self._lock:
            for record in records:
                for notice, subscription in self._addressed(record):
                    mail[subscription].append(notice)
        for subscription, notices in mail.items():
            subscription.offer(notices)

    def _addressed(self, record: LogRecord) -> list[tuple[Notice, Subscription]]:
        audience = self._audience
        found = set(audience.get((record.topic, ""), ()))
        if record.topic == LOGS:
            found |= audience.get((LOGS, record.key or ""), set())
            if not found:
                return []  # most lines interest nobody: they are not even decoded
        notice = notice_of(record)
        if notice is None:
            return []
        if record.topic == CHANGES:
            found |= audience.get((CHANGES, notice.execution), set())
            found |= audience.get((CHANGES, f"flow {notice.value.get('flow', '')}"), set())
        return [(notice, subscription) for subscription in found]


_hub = _Hub()
