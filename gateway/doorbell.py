"""Rings executors: one small Celery message per execution, in the queue of its lane.

The message holds the execution's id and nothing else. It may be lost or come twice: the row is the truth,
the claim lets one win, the rescuer rings again.

A lane's queue holds at most about FERRIS_LANE_LIMIT doorbells, however many executions wait: the others wait as
rows that were not rung yet (`rung_at` is empty), and are rung in their order when executors have made room. Each
gateway counts for itself, so that several may exceed the limit, each by what it rings between two looks: half of it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from celery_app import EXECUTE, app
from ferris_web import wiring
from ferris_web.executions.services import Doorbell
from ferris_web.executions.services.ringing import executions_ring, executions_unrung, lane_closed
from ferris_web.executions.services.urgency import lanes_paused
from gateway import metrics

_LOOK_LASTS: Final = 0.25  # seconds
_kept = threading.local()


def ring(doorbells: Iterable[Doorbell]) -> None:
    """Send the messages, over one connection."""
    bells = list(doorbells)
    if not bells:
        return
    with _connected() as connection, app.amqp.Producer(connection) as producer:
        declared: set[str] = set()
        for bell in bells:
            # The first one of a lane declares its queue, which a broker may have lost.
            declare = () if bell.lane in declared else [app.amqp.queues[bell.lane]]
            declared.add(bell.lane)
            # As `send_task` would, which looks for parents, routes and results that doorbells do not have.
            message = app.amqp.create_task_message(
                str(uuid4()), EXECUTE, (str(bell.execution_id),), {}, ignore_result=True
            )
            app.amqp.send_task_message(
                producer, EXECUTE, message, queue=bell.lane, retry=False, declare=declare
            )
    for lane, count in Counter(bell.lane for bell in bells).items():
        metrics.DOORBELLS.labels(lane).inc(count)


def waiting(lane: str) -> int:
    """How many messages wait in a lane's queue, which is made when it is missing: a broker may have lost it."""
    with _connected() as connection:
        try:
            return int(_channel(connection).queue_declare(queue=lane, passive=True).message_count)
        except connection.channel_errors:
            _kept.channel = None  # the broker has closed it
            with connection.channel() as channel:
                app.amqp.queues[lane](channel).declare()
            return 0


def _channel(connection: Any) -> Any:
    """This thread's channel of its connection, kept: to open and close one would be two more turns to the broker."""
    of, channel = getattr(_kept, "channel", None) or (None, None)
    if of is not connection:
        channel = connection.channel()
        _kept.channel = (connection, channel)
    return channel


@contextmanager
def _connected() -> Iterator[Any]:
    """This thread's connection to the broker, kept for its next use, unless this one fails: Celery's own pool
    hands out for ever what a broker's restart has broken.
    """
    connection = getattr(_kept, "connection", None)
    if connection is None:
        connection = app.connection_for_write()
        connection.connect()
    _kept.connection = None
    try:
        yield connection
    except BaseException:
        connection.collect()
        raise
    _kept.connection = connection


class Room:
    """Which new executions may be rung at once: those in lanes that have room, and where none has waited longer.

    How many wait is asked of the broker only when half of the room that was seen is used up: a look stands in the
    way of an event. When others have filled the lane meanwhile, something waits there unrung, which closes it.
    """

    def __init__(self) -> None:
        self._left: dict[str, int] = {}
        self._looked: dict[str, float] = {}

    def take(self, lane: str) -> bool:
        """True: there is room for one more doorbell in this lane, and it is taken."""
        now = time.monotonic()
        if now - self._looked.get(lane, -_LOOK_LASTS) >= _LOOK_LASTS:
            self._look(lane)
            self._looked[lane] = now
        self._left[lane] -= 1
        return self._left[lane] >= 0

    def _look(self, lane: str) -> None:
        limit = wiring.config().lane_limit
        if lane_closed(lane):
            self._left[lane] = 0
        elif self._left.get(lane, 0) <= limit // 2:
            self._left[lane] = limit - waiting(lane)


def ring_waiting(lanes: Iterable[str]) -> None:
    """Ring for executions that were not rung yet, the oldest first, in lanes that have room for them.

    Called whenever executors may have made room. Several at once ring for different executions.
    """
    limit, paused = wiring.config().lane_limit, None
    for lane in lanes:
        if not executions_unrung(lane):
            continue
        paused = lanes_paused() if paused is None else paused
        if lane in paused:
            continue
        room = limit - waiting(lane)
        if room >= limit // 4:  # in handfuls: each costs a transaction
            ring(executions_ring(lane, room, datetime.now(UTC)))
