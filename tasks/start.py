"""The first thing an executor of its own process does: log, backends, control API. Celery's signals call it.

The worker inside the embedded engine does not come by here: its supervisor has looked before.
"""

from __future__ import annotations

import logging
import socket
from logging.config import dictConfig
from typing import Any

from celery.signals import celeryd_init, setup_logging

from ferris import adapters, start
from ferris.adapters import log_lines, prometheus
from ferris.config import Settings
from ferris.errors import ConfigError
from tasks.control import ControlClient

log = logging.getLogger(__name__)


@celeryd_init.connect  # type: ignore[untyped-decorator]
def _on_init(**_: Any) -> None:
    settings = Settings.from_env()
    log_lines.speak_as("executor")
    dictConfig(log_lines.configuration(settings))
    logging.captureWarnings(True)
    demand(settings)
    try:
        prometheus.listen(settings.metrics_host, settings.metrics_port, prometheus.figures())
    except ConfigError as error:
        start.refuse(error)


@setup_logging.connect  # type: ignore[untyped-decorator]
def _on_logging(**_: Any) -> None:
    """Celery sets no log up when somebody listens here."""
    dictConfig(log_lines.configuration(Settings.from_env()))


def demand(settings: Settings) -> None:
    """End this process with one line for each setting that is wrong; a web process that is away may come later."""
    away: list[str] = []
    start.demand(
        {
            "FERRIS_BROKER": lambda: _broker(settings),
            "FERRIS_EVENT_LOG": lambda: adapters.open_event_log(settings.event_log_url).topics(),
            "FERRIS_OBJECT_STORE": lambda: adapters.open_object_store(settings.object_store_url).buckets(),
            "FERRIS_CONTROL_URL": lambda: away.append(_control(settings)),
        }
    )
    for line in filter(None, away):
        log.warning("%s", line)


def _broker(settings: Settings) -> None:
    if settings.embedded:
        raise ConfigError(
            "FERRIS_BROKER",
            "is memory://, which no other process hears",
            "use manage.py ferris, or set it to amqp://user:password@host:5672//",
        )
    broker = adapters.open_broker(settings.broker_url)
    if broker is not None:
        broker.reach()


def _control(settings: Settings) -> str:
    away = ControlClient(settings.control_url, settings.executor_token).greet(socket.gethostname())
    return f"FERRIS_CONTROL_URL: the web process {away}: start it, or correct the setting" if away else ""
