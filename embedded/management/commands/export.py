"""`manage.py export FILE`: the whole platform into one archive, to be imported elsewhere or kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from embedded.moving import standing_still, table
from ferris.errors import FerrisError
from ferris_web.executions.moving import carry


class Command(BaseCommand):
    help = (
        "Write everything of this platform, but the event log, into an archive. The platform must be stopped. Secrets "
        "stay encrypted with its keys, which are not in the archive."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="a new file, such as platform.ferris.zip")
        parser.add_argument("--json", action="store_true", help="a JSON line for each count")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with standing_still():
                counted = carry.export_to(options["file"], datetime.now(UTC))
        except FerrisError as error:
            raise CommandError(str(error)) from None
        table(self.stdout, counted, ("here", "archive"), as_json=options["json"])
        if not options["json"]:
            self.stdout.write(f"Written: {options['file']}")
