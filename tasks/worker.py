"""A Celery worker inside a thread of another process: how the embedded engine runs its executors."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from celery.worker import WorkController
from celery.worker import state as worker_state

import celery_app
from ferris.config import Settings
from tasks import executor
from tasks.presence import ConsumerPresence

log = logging.getLogger(__name__)

_START_SECONDS = 30.0
_COLD_SECONDS = 4.0


class Handle:
    """A worker that runs in the background until `stop`."""

    def __init__(self, settings: Settings, concurrency: int) -> None:
        self._settings = settings
        self.consumer: Any = None
        self._consuming = threading.Event()
        self._worker = _controller(settings, concurrency, self._ready)
        self._thread = threading.Thread(target=self._run, name="celery-worker", daemon=True)

    def _ready(self, consumer: Any) -> None:
        self.consumer = consumer
        self._consuming.set()

    def start(self) -> None:
        """Start it; returns when its queues are there and it takes from them. RuntimeError if it can't."""
        self._thread.start()
        self._consuming.wait(_START_SECONDS)
        if not self._consuming.is_set() or not self._thread.is_alive():
            raise RuntimeError("the Celery worker did not start; its log says why")

    def stop(self, grace: float) -> None:
        """Take nothing new, let scripts finish for `grace` seconds, then end those that still run.

        What was ended so is not reported as failed: its lease runs out, and the rescuer decides.
        """
        executor.stopping()
        worker_state.should_stop = 0
        deadline = time.monotonic() + grace
        while self._thread.is_alive() and (left := deadline - time.monotonic()) > 0:
            # Celery's loop waits for messages once more after it has seen that it should stop.
            _interrupt(self._settings)
            self._thread.join(min(left, 0.1))
        if self._thread.is_alive():
            executor.current(self._settings).stop_all("shutdown")
            self._thread.join(_COLD_SECONDS)
        if not self._thread.is_alive():
            worker_state.should_stop = None  # it means every worker of the process, those to come too
        executor.close()

    @property
    def alive(self) -> bool:
        """False once it has ended, on request or by an error."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._worker.start()
        except BaseException:
            log.exception("the Celery worker ended")
        finally:
            self._consuming.set()


def start_in_thread(settings: Settings, *, concurrency: int | None = None) -> Handle:
    """Start a worker with a pool of threads in this process, without signal handlers and banners."""
    for noisy in ("celery", "kombu"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger(noisy).level))
    handle = Handle(settings, concurrency or settings.worker_concurrency)
    handle.start()
    executor.current(settings).prepare()
    executor.current(settings).attend(ConsumerPresence(handle.consumer))
    return handle


def _controller(settings: Settings, concurrency: int, ready: Callable[[Any], None]) -> WorkController:
    options: dict[str, Any] = {
        "app": celery_app.app,
        "hostname": f"executor@{socket.gethostname()}",
        "pool_cls": "threads",
        "concurrency": concurrency,
        "loglevel": settings.log_level,
        "ready_callback": ready,
        "without_heartbeat": True,
        "without_mingle": True,
        "without_gossip": True,
    }
    return WorkController(**options)


def _interrupt(settings: Settings) -> None:
    if settings.broker_url.startswith("memory:"):
        from ferris.adapters import kombu_bell

        kombu_bell.interrupt()
