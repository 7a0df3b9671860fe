"""A worker's slots, from its start to its end: Celery's signals, for both of its pools.

With `-P threads` (what we run) all slots share this process's executor. With `-P prefork`, Celery's own default,
each slot is a process with an executor of its own, and this one only hands out doorbells and speaks for them
(`tasks.foreman`).
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from billiard.process import active_children
from celery.signals import (
    celeryd_after_setup,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from celery_app import app
from ferris.config import Settings
from tasks import executor as executors
from tasks.foreman import Foreman
from tasks.lease import SHUTDOWN
from tasks.presence import ConsumerPresence
from tasks.watchdog import Watchdog

_STOP = signal.SIGUSR2
"""To a slot's process: its script has had its time."""

_foreman: Foreman | None = None
"""In the process that takes doorbells, and handed on to its slots as they are forked."""


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _on_setup(**_: object) -> None:
    global _foreman
    _foreman = Foreman()


@worker_ready.connect  # type: ignore[untyped-decorator]
def _on_ready(sender: Any, **_: object) -> None:
    if not active_children():
        executors.current().prepare()
        executors.current().attend(ConsumerPresence(sender))
    elif _foreman is not None:
        _foreman.begin(sender, Settings.from_env())
    if app.conf.worker_enable_remote_control:  # a worker that connects through a network
        Watchdog(sender).start()


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _on_slot(**_: object) -> None:
    signal.signal(_STOP, _on_stop)
    executors.current(foreman=_foreman).prepare()


def _on_stop(_number: int, _frame: object) -> None:
    # In a thread: what the handler interrupts may hold the locks that are needed.
    threading.Thread(target=executors.current().stop_all, args=(SHUTDOWN,), daemon=True).start()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _on_shutting_down(**_: object) -> None:
    """Celery waits for what runs; scripts get FERRIS_STOP_GRACE seconds of that. Their leases run out then, and
    the rescuer decides."""
    executors.stopping()
    if _foreman is not None:
        _foreman.stopping()
    timer = threading.Timer(Settings.from_env().stop_grace_seconds, _stop)
    timer.daemon = True
    timer.start()


def _stop() -> None:
    slots = active_children()
    for slot in slots:
        os.kill(slot.pid, _STOP)
    if not slots:
        executors.current().stop_all(SHUTDOWN)


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _on_shutdown(**_: object) -> None:
    executors.close()
    if _foreman is not None:
        _foreman.close()


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def _on_slot_shutdown(**_: object) -> None:
    executors.close()
