"""What a worker says of itself, and its drain: it finishes what runs and takes nothing new."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ferris.lanes import LANES

log = logging.getLogger(__name__)


class ConsumerPresence:
    """Of the worker whose Celery consumer is in this process."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._since = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._lanes = [lane for lane in LANES if lane in consumer.app.amqp.queues.consume_from]
        self._slots = 0
        self._drained = False
        self._changing = threading.Lock()
        self.stops = False
        self.isolation: Callable[[], dict[str, Any] | None] = lambda: None

    def about(self) -> dict[str, Any]:
        """Its lanes (also of those that it left to drain), slots, since when it is there, whether it ends, how scripts
        are confined."""
        with contextlib.suppress(AttributeError):  # a pool of processes that has ended does not know any more
            self._slots = self._consumer.pool.num_processes
        return {
            "lanes": self._lanes,
            "slots": self._slots,
            "started_at": self._since,
            "stops": self.stops,
            "isolation": self.isolation(),
        }

    def heed(self, drain: bool) -> None:
        """Leave the lanes' queues, or come back to them. The consumer's own thread does it."""
        with self._changing:
            if drain == self._drained:
                return
            self._drained = drain
        log.info("takes nothing new: it drains" if drain else "takes executions again")
        change = self._consumer.cancel_task_queue if drain else self._consumer.add_task_queue
        for lane in self._lanes:
            self._consumer.call_soon(change, lane)
