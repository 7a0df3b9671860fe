"""`manage.py export FILE`: the whole platform into one archive, or with --project one project of it as folders."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from embedded.moving import standing_still, table
from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.printed import add_json, refusals
from ferris_web.catalog import selectors
from ferris_web.executions.moving import carry
from ferris_web.executions.moving.project import project_archive
from remote.exporting import add_export, saved


class Command(BaseCommand):
    help = (
        "Write everything of this platform, but the event log, into an archive. The platform must be stopped. Secrets "
        "stay encrypted with its keys, which are not in the archive. With --project: one project as folders that git "
        "and `project add` take, without its secrets, while the platform runs."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_export(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        with refusals():
            if options["project"]:
                project = selectors.project_get(options["project"])
                saved(Namespace(**options), lambda: project_archive(project, now))
                command_noted("command:export", project.name, project=project)
                return
            with standing_still():
                counted = carry.export_to(options["file"], now)
                command_noted("command:export", "the whole platform")
        table(self.stdout, counted, ("here", "archive"), as_json=options["json"])
        if not options["json"]:
            self.stdout.write(f"Written: {options['file']}")
