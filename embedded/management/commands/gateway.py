"""`manage.py gateway [role …]`: the gateway's roles as a process of their own, as many as there are machines."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from celery_app import app
from ferris.adapters import log_lines, prometheus
from ferris.config import Settings
from ferris_web import wiring
from ferris_web.executions.checkup import reach
from gateway.housekeeper import Housekeeper
from gateway.indexer import Indexer
from gateway.recorder import Recorder
from gateway.rescuer import Rescuer
from gateway.role import Role
from gateway.router import Router
from gateway.scheduler import Scheduler

ROLES: dict[str, Callable[[Settings], Role]] = {
    "router": lambda settings: Router(wiring.event_log(), settings.hop_limit),
    "recorder": lambda settings: Recorder(wiring.event_log()),
    "indexer": lambda settings: Indexer(wiring.event_log(), wiring.ops_store()),
    "scheduler": lambda settings: Scheduler(wiring.event_log()),
    "rescuer": lambda settings: Rescuer(
        wiring.event_log(), settings.lease_seconds, first_look_is_restart=False
    ),
    "housekeeper": lambda settings: Housekeeper(
        wiring.event_log(), wiring.ops_store(), settings.retention_days
    ),
}
_END_SECONDS = 10.0


class Command(BaseCommand):
    help = "Run the gateway, or some of its roles, until SIGTERM. Several of them share the work."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("roles", nargs="*", metavar="role", help=f"all, or some of {', '.join(ROLES)}")

    def handle(self, *args: Any, **options: Any) -> None:
        settings = wiring.config()
        log_lines.speak_as("gateway")
        chosen = options["roles"] or list(ROLES)
        if unknown := sorted(set(chosen) - set(ROLES)):
            raise CommandError(f"there is no role {', '.join(unknown)}; there are {', '.join(ROLES)}")
        if settings.embedded:
            raise CommandError(
                "FERRIS_BROKER is memory://, which no other process hears: use `manage.py ferris`, or set it to "
                "amqp://user:password@host:5672//"
            )
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        indexes = {"indexer", "housekeeper"} & set(chosen)
        reach.demand(("database", "event_log", "broker"), useful=("ops_store",) if indexes else ())
        broker = wiring.broker()
        if broker is not None:
            broker.declare(app.conf.task_queues)  # there before anybody rings or counts
        roles = [ROLES[name](settings) for name in chosen]
        prometheus.listen(settings.metrics_host, settings.metrics_port, prometheus.figures())
        for role in roles:
            role.start()
        self.stdout.write(f"gateway: {', '.join(chosen)}\n")
        self.stdout.flush()
        stopping.wait()
        for role in roles:
            role.stop()
        for role in roles:
            role.join(_END_SECONDS)
