"""`manage.py run-local FOLDER --data JSON`: runs a service's scripts here, without platform or database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.manifest import Message
from ferris_web.catalog.local import Refused, run_local


class Command(BaseCommand):
    help = (
        "Run a service's folder on this machine, without the platform: its scripts in order, with the given data "
        "as the event's. Prints what they print and the events they send; ends with a failing script's exit status."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", metavar="FOLDER")
        parser.add_argument("--data", default="{}", help="JSON: the event's data (default: {})")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Path(options["folder"]).expanduser().resolve()
        if not folder.is_dir():
            raise CommandError(f"there is no folder {folder}", returncode=2)
        try:
            data = json.loads(options["data"])
        except ValueError as error:
            raise CommandError(f"--data is no JSON: {error}", returncode=2) from None
        try:
            status = run_local(folder, data, self._tell, self._say)
        except Refused as error:
            raise CommandError(str(error), returncode=2) from None
        if status:
            raise SystemExit(status)

    def _tell(self, message: Message) -> None:
        if message.level != "info":
            self.stderr.write(f"{message.level}: {message}")

    def _say(self, line: str) -> None:
        self.stderr.write(line)
        self.stderr.flush()
