"""`manage.py import FILE`: an archive into this empty platform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from embedded.moving import standing_still, table
from ferris.errors import FerrisError
from ferris_web.accounts.noted import command_noted
from ferris_web.executions.moving import carry


class Command(BaseCommand):
    help = (
        "Fill this platform, which must be empty and stopped, from an archive that `manage.py export` wrote. May be "
        "repeated after it was cut short."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the archive")
        parser.add_argument("--json", action="store_true", help="a JSON line for each count")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with standing_still():
                call_command("migrate", verbosity=0, interactive=False)
                counted = carry.import_from(options["file"])
                command_noted("command:import", "the whole platform")
        except FerrisError as error:
            raise CommandError(str(error)) from None
        table(self.stdout, counted, ("archive", "here"), as_json=options["json"])
        if not options["json"]:
            self.stdout.write("Imported. Accounts, tokens and passwords are those of the archive.")
