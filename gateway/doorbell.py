"""Rings executors: one small Celery message per execution, in the queue of its lane.

The message holds the execution's id and nothing else. It may be lost or come twice: the row is the truth,
the claim lets one win, the rescuer rings again.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from celery_app import EXECUTE, app
from ferris_web.executions.services import Doorbell


def ring(doorbells: Iterable[Doorbell]) -> None:
    """Send the messages, over one connection."""
    bells = list(doorbells)
    if not bells:
        return
    with app.producer_pool.acquire(block=True) as producer:
        for bell in bells:
            app.send_task(EXECUTE, args=[str(bell.execution_id)], queue=bell.lane, producer=producer)


def waiting(lane: str) -> int:
    """How many messages wait in a lane's queue."""
    with app.connection_for_read() as connection, connection.channel() as channel:
        return int(channel.queue_declare(queue=lane, passive=True).message_count)


def rung(ids: Iterable[tuple[UUID, str]]) -> list[Doorbell]:
    """Doorbells for (id, lane) pairs."""
    return [Doorbell(pk, lane) for pk, lane in ids]
