"""Celery's `memory://` broker with a bell: messages between threads of one process, handed over at once.

kombu's own memory transport sleeps up to a second between two looks into its queues. This one waits on a
condition that every message, acknowledgement and change of the prefetch limit rings: an idle worker costs
nothing, and a doorbell is answered within a millisecond. The queues live in the process and die with it.

Order of queues: kombu takes turns among the queues a channel consumes from. With
`broker_transport_options = {"queue_order_strategy": "priority"}` (an option kombu's Redis transport has, too)
the queues are emptied strictly in the order they are consumed from (`-Q priority,default,slow,scheduled`).
What the worker has prefetched already cannot be overtaken: with `task_acks_late = True` and
`worker_prefetch_multiplier = 1` it holds only what its threads are running, and the order is strict.
"""

from __future__ import annotations

import os
import threading
import time
from queue import Empty, Queue
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, _transport_cache, memory
from kombu.utils.scheduling import FairCycle


class _Bell:
    """Counts rings, so that one between a look and the wait that follows is not missed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rings = 0
        self._interruptions = 0

    def state(self) -> tuple[int, int]:
        """(rings, interruptions) so far."""
        with self._changed:
            return self._rings, self._interruptions

    def ring(self) -> None:
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def interrupt(self) -> None:
        with self._changed:
            self._interruptions += 1
            self._changed.notify_all()

    def wait(self, rings: int, interruptions: int, deadline: float | None) -> bool:
        """Until it rings again; False when the deadline passed or the wait was interrupted."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._rings != rings or self._interruptions != interruptions,
                None if deadline is None else max(0.0, deadline - time.monotonic()),
            )
            return self._rings != rings and self._interruptions == interruptions


_bell = _Bell()
os.register_at_fork(after_in_child=_bell.__init__)  # type: ignore[misc]


class _StrictCycle(FairCycle):  # type: ignore[misc]
    """Always starts from the first resource, so a later one is used only when those before it are empty."""

    def get(self, callback: Any, **kwargs: Any) -> Any:
        for resource in list(self.resources):
            try:
                return self.fun(resource, callback, **kwargs)
            except self.predicate:
                continue
        raise self.predicate()


class Channel(memory.Channel):  # type: ignore[misc]
    """kombu's memory channel, ringing whenever a consumer could go on."""

    from_transport_options = (*memory.Channel.from_transport_options, "queue_order_strategy")
    queue_order_strategy = "round_robin"

    def _new_queue(self, queue: str, **kwargs: Any) -> None:
        self._queue_for(queue)

    def _queue_for(self, queue: str) -> Queue[Any]:
        found: Queue[Any] | None = self.queues.get(queue)
        if (
            found is None
        ):  # kombu sets here: of two threads at once each would make a queue, one message be lost
            found = self.queues.setdefault(queue, Queue())
        return found

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        super()._put(queue, message, **kwargs)
        _bell.ring()

    def _put_fanout(self, exchange: str, message: Any, routing_key: str | None = None, **kwargs: Any) -> None:
        super()._put_fanout(exchange, message, routing_key, **kwargs)
        _bell.ring()

    def basic_consume(self, *args: Any, **kwargs: Any) -> None:
        super().basic_consume(*args, **kwargs)
        _bell.ring()

    def basic_ack(self, *args: Any, **kwargs: Any) -> None:
        super().basic_ack(*args, **kwargs)
        _bell.ring()  # room under the prefetch limit

    def basic_reject(self, *args: Any, **kwargs: Any) -> None:
        super().basic_reject(*args, **kwargs)
        _bell.ring()

    def basic_qos(self, *args: Any, **kwargs: Any) -> None:
        super().basic_qos(*args, **kwargs)
        _bell.ring()

    def _reset_cycle(self) -> None:
        strict = self.queue_order_strategy == "priority"
        cycle = _StrictCycle if strict else FairCycle
        self._cycle = cycle(self._get_and_deliver, self._active_queues, Empty)


class Transport(memory.Transport):  # type: ignore[misc]
    """kombu's memory transport, waiting for the bell instead of sleeping."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver one message; `socket.timeout` when none came within `timeout` seconds (None: wait)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        _, interruptions = _bell.state()
        while True:
            rings, _ = _bell.state()
            try:
                self.cycle.get(self._deliver, timeout=timeout)
                return
            except Empty:
                if not _bell.wait(rings, interruptions, deadline):
                    raise TimeoutError from None  # is socket.timeout


def install() -> None:
    """Make `memory://` mean this transport, for every kombu connection opened from now on."""
    TRANSPORT_ALIASES["memory"] = "ferris.adapters.kombu_bell:Transport"
    _transport_cache.pop("memory", None)


def interrupt() -> None:
    """End every wait for messages with a timeout: a worker told to stop looks at once whether it should."""
    _bell.interrupt()
