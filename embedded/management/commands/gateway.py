"""`manage.py gateway [role …]`: the gateway's roles as a process of their own, as many as there are machines."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from celery_app import app
from ferris.adapters import log_lines, prometheus
from ferris_web import wiring
from ferris_web.executions.checkup import reach
from gateway import roles

_END_SECONDS = 10.0


class Command(BaseCommand):
    help = "Run the gateway, or some of its roles, until SIGTERM. Several of them share the work."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "roles", nargs="*", metavar="role", help=f"all, or some of {', '.join(roles.NAMES)}"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        settings = wiring.config()
        log_lines.speak_as("gateway")
        chosen = options["roles"] or list(roles.NAMES)
        if unknown := sorted(set(chosen) - set(roles.NAMES)):
            raise CommandError(f"there is no role {', '.join(unknown)}; there are {', '.join(roles.NAMES)}")
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
        gateway = roles.make(settings, chosen)
        prometheus.listen(settings.metrics_host, settings.metrics_port, prometheus.figures())
        for role in gateway:
            role.start()
        self.stdout.write(f"gateway: {', '.join(chosen)}\n")
        self.stdout.flush()
        stopping.wait()
        for role in gateway:
            role.stop()
        for role in gateway:
            role.join(_END_SECONDS)
