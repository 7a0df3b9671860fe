"""The engine process: the gateway's roles and the executor's worker, joined by the in-memory broker."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from ferris.adapters import processors, prometheus
from ferris.config import Settings
from ferris_web import wiring
from ferris_web.executions.checkup import reach
from gateway import roles
from tasks import worker

log = logging.getLogger(__name__)


def run(settings: Settings, ready: Callable[[], None], asked: socket.socket | None = None) -> None:
    """Work until SIGTERM: then take nothing new, let scripts finish for FERRIS_STOP_GRACE seconds, end.

    `asked` is where the web process asks for figures.
    """
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if settings.one_processor:
        processors.keep_to_one()  # before there are other threads
    for opened in (wiring.event_log, wiring.object_store, wiring.config_store, wiring.ops_store):
        opened()  # ConfigError now, not when the first script needs it
    reach.demand(("database", "event_log", "object_store", "config_store", "ops_store"))
    if asked is not None:
        prometheus.answer(asked, prometheus.figures("ferris_engine"))
    # The worker first: its queues are there before anybody rings.
    began = datetime.now(UTC)
    executor = worker.start_in_thread(settings)
    gateway = roles.make(settings, engine_began=began)
    for role in gateway:
        role.start()
    ready()
    stopping.wait()
    executor.stop(settings.stop_grace_seconds)
    for role in gateway:
        role.stop()
    for role in gateway:
        role.join(3.0)
