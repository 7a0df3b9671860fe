"""Notices that this worker no longer hears its doorbells though the broker is there, and has it replaced.

Celery workers have gone deaf after a broker's restart: the process lives, and takes nothing. So the worker has a
queue of its own beside the lanes, and sends itself a canary there, the way that doorbells go: broker, the
consumer of all its queues, a slot. When none is heard, its connection is cut, so that Celery makes a new one; if
that does not help, the process ends as soon as nothing runs in it, for who keeps it to start another one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from typing import Any, Final

from billiard.process import active_children
from celery.signals import celeryd_after_setup, task_received
from celery.worker import state as worker_state
from kombu import Exchange, Queue

from celery_app import app
from tasks import executor as executors

log = logging.getLogger(__name__)

CANARY: Final = "ferris.canary"
_PERIOD: Final = 5.0
_PATIENCE: Final = 20.0
_UNUSED: Final = 60.0  # seconds until the broker throws away the queue of a worker that is gone
_heard: dict[str, float] = {}


@app.task(name=CANARY, ignore_result=True, send_events=False, acks_late=False)  # type: ignore[untyped-decorator]
def _canary(queue: str) -> None:
    _heard[queue] = time.monotonic()


@task_received.connect  # type: ignore[untyped-decorator]
def _on_received(request: Any, **_: object) -> None:
    """Where slots are processes they hear for themselves, and Celery looks after them: here the message counts."""
    if request.name == CANARY and active_children():
        _heard[request.delivery_info["routing_key"]] = time.monotonic()


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _add_queue(sender: str, instance: Any, **_: object) -> None:
    if app.conf.worker_enable_remote_control:  # a broker that other processes can reach, and that can go away
        instance.app.amqp.queues.select_add(_queue(sender))


def _queue(worker: str) -> Queue:
    name = f"canary.{worker}"
    return Queue(name, Exchange("ferris"), routing_key=name, expires=_UNUSED)


class Watchdog(threading.Thread):
    """Watches one Celery consumer; made when that is ready."""

    def __init__(self, consumer: Any) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._consumer = consumer
        self._queue = _queue(consumer.hostname)
        self._since = time.monotonic()
        self._cut = False

    def run(self) -> None:
        while True:
            time.sleep(_PERIOD)
            self._look()

    def _look(self) -> None:
        name = self._queue.name
        if len(worker_state.reserved_requests) >= self._consumer.pool.num_processes:
            self._since = time.monotonic()  # it takes nothing because every slot is taken
            return
        try:
            self._send(name)
        except (
            Exception
        ) as error:  # whatever the client raises: the broker is away, and Celery tries to reach it
            log.info("no canary: %s", error)
            self._since = time.monotonic()
            return
        heard = _heard.get(name, 0.0)
        if heard > self._since:
            self._since, self._cut = heard, False
        if time.monotonic() - self._since > _PATIENCE:
            self._mend()

    def _send(self, name: str) -> None:
        with (
            app.connection_for_write(connect_timeout=_PERIOD) as connection,
            app.amqp.Producer(connection) as producer,
        ):
            app.send_task(
                CANARY,
                args=[name],
                queue=self._queue,
                expiration=_PATIENCE,
                retry=False,
                producer=producer,
                declare=[],
            )

    def _mend(self) -> None:
        self._since = time.monotonic()
        if not self._cut:
            log.error("this worker takes nothing from the broker any more: it connects again")
            self._cut = True
            with contextlib.suppress(Exception):  # it may be cut already: that is what is wanted
                self._consumer.connection.connection.sock.shutdown(socket.SHUT_RDWR)
        elif not worker_state.active_requests:
            log.error("this worker still takes nothing from the broker: it ends, to be started again")
            executors.close()
            logging.shutdown()
            os._exit(os.EX_TEMPFAIL)
