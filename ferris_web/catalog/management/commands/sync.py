"""`manage.py sync NAME`: reads a project's repositories and says what became of every folder."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import FerrisError
from ferris_web.accounts.here import asked_here
from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.printed import add_json, printed, values_of
from ferris_web.catalog import preview, report, selectors, services
from ferris_web.catalog.models import Project
from remote.syncing import BRANCH_ALONE, PREVIEW, RUN, add_sync


class Command(BaseCommand):
    help = (
        "Sync a project: every folder becomes a service or the next version of one. "
        "Exit status 1 when a folder was refused or a repository could not be read. With --preview nothing is "
        "changed, and the exit status is the one that the sync would have."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_sync(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["watch"]:
            asked_here("sync", options)
            return
        progress = None if options["verbosity"] < 2 else lambda line: self.stderr.write(f"{line} …")
        if options["branch"] is not None and not options["preview"]:
            raise CommandError(BRANCH_ALONE, returncode=2)
        try:
            project = selectors.project_get(options["name"])
            if options["preview"]:
                clean = self._preview(project, options, progress)
            else:
                clean = self._sync(project, options, progress)
        except FerrisError as error:
            raise CommandError(str(error), returncode=2) from None
        except ValidationError as error:
            raise CommandError(" ".join(error.messages), returncode=2) from None
        if not clean:
            raise SystemExit(1)

    def _sync(
        self, project: Project, options: dict[str, Any], progress: Callable[[str], None] | None
    ) -> bool:
        runs = services.project_sync(project, now=datetime.now(UTC), progress=progress)
        for run in runs:
            about = f"{project.name} {run.repository.source}"
            command_noted("command:sync", about, project=project, commit=run.commit, status=run.status)
            said = values_of(run, RUN, source=run.repository.source)
            printed(self, options, "\n".join(report.lines(run)), said)
        return report.clean(runs)

    def _preview(
        self, project: Project, options: dict[str, Any], progress: Callable[[str], None] | None
    ) -> bool:
        found = preview.project_preview(
            project, branch=options["branch"], now=datetime.now(UTC), progress=progress
        )
        for one in found:
            said = values_of(
                one, PREVIEW, source=one.repository.source, commit=one.commit.id, result=one.result
            )
            printed(self, options, "\n".join(report.preview_lines(one)), said)
        return all(one.clean for one in found)
