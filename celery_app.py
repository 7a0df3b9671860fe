"""The Celery app: doorbells on their way to executors, and nothing else.

A message holds an execution's id; the row in the database is the truth. There is no result backend. The task
itself (`ferris.execute`, in `tasks/`) is imported by workers only: `celery -A celery_app worker -P threads`.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from ferris.config import Settings
from ferris.errors import ConfigError
from ferris.lanes import DEFAULT, LANES
from ferris.start import refuse

EXECUTE = "ferris.execute"
"""The one task, sent by name: `app.send_task(EXECUTE, args=[execution_id], queue=lane)`."""

_LONGEST_ACK = 7 * 24 * 3600 * 1000
"""Milliseconds RabbitMQ may wait for an acknowledgement; its default would cut off scripts of half an hour."""


def make(settings: Settings) -> Celery:
    """The app of one platform. Opens no connection."""
    in_memory = settings.broker_url.startswith("memory:")
    if in_memory:
        from ferris.adapters import kombu_bell

        kombu_bell.install()
    # No fixups: in a process that has Django settings, Celery would set up Django in the executor, too.
    app = Celery("ferris", broker="memory://localhost" if in_memory else settings.broker_url, fixups=set())
    app.conf.update(
        imports=("tasks.start", "tasks.execute", "tasks.pool"),  # loaded by a worker when it starts
        task_queues=_queues(settings.broker_url),
        task_default_queue=DEFAULT,
        task_default_exchange="ferris",
        task_default_routing_key=DEFAULT,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        result_backend=None,
        task_serializer="json",
        event_serializer="json",
        accept_content=["json"],
        # A worker holds what its slots run and no more: what waits, waits in the queue, where a more urgent
        # lane can overtake it. A message that comes twice is harmless, the claim lets one win.
        task_acks_late=True,
        task_acks_on_failure_or_timeout=True,
        worker_prefetch_multiplier=1,
        worker_concurrency=settings.worker_concurrency,
        worker_send_task_events=False,  # a monitor (Flower) switches them on while it looks
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # Celery 5.7 restores a reduced prefetch count from the slots' threads, on the connection that the main
        # thread reads: that one then waits for ever for an answer which a slot has taken, and the worker is deaf.
        worker_enable_prefetch_count_reduction=False,
        worker_enable_remote_control=not in_memory,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"queue_order_strategy": "priority"} if in_memory else {},
    )
    return app


def _queues(broker_url: str) -> list[Queue]:
    arguments: dict[str, Any] = {}
    if broker_url.startswith(("amqp:", "amqps:", "pyamqp:")):
        arguments = {"x-consumer-timeout": _LONGEST_ACK}
    exchange = Exchange("ferris", type="direct")
    return [Queue(lane, exchange, routing_key=lane, queue_arguments=arguments) for lane in LANES]


try:
    app = make(Settings.from_env())
except ConfigError as error:  # a setting is wrong: its name and remedy say more than a traceback
    refuse(error)
