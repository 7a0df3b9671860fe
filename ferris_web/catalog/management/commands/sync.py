"""`manage.py sync NAME`: reads a project's repositories and says what became of every folder."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import FerrisError
from ferris_web.catalog import report, selectors, services


class Command(BaseCommand):
    help = (
        "Sync a project: every folder becomes a service or the next version of one. "
        "Exit status 1 when a folder was refused or a repository could not be read."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the project")

    def handle(self, *args: Any, **options: Any) -> None:
        progress = None if options["verbosity"] < 2 else lambda line: self.stderr.write(f"{line} …")
        try:
            project = selectors.project_get(options["name"])
            runs = services.project_sync(project, now=datetime.now(UTC), progress=progress)
        except FerrisError as error:
            raise CommandError(str(error)) from None
        for run in runs:
            for line in report.lines(run):
                self.stdout.write(line)
        if not report.clean(runs):
            raise SystemExit(1)
