"""`manage.py web`: the management server as a process of its own."""

from __future__ import annotations

import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from embedded import home, web
from embedded.supervisor import listen
from ferris.adapters import log_lines
from ferris_web import wiring
from ferris_web.executions.checkup import reach


class Command(BaseCommand):
    help = "Run the management server until SIGTERM."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--prepare",
            action="store_true",
            help="first bring the schema up to date and see that there is an admin",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        settings = wiring.config()
        log_lines.speak_as("web")
        if options["prepare"] and (password := home.prepare()):
            self.stdout.write(f"Administrator made: user {home.ADMINISTRATOR}, password {password}\n")
        reach.demand(("database", "event_log", "object_store", "config_store"), useful=("ops_store",))
        listener = listen(settings)
        # uvicorn raises the signal that ended it once more: this way the process ends as one that did what it was told.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        web.serve(settings, listener, self._ready)

    def _ready(self) -> None:
        self.stdout.write(f"web: {wiring.config().public_url}\n")
        self.stdout.flush()
