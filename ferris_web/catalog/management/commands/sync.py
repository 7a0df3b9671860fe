"""`manage.py sync NAME`: reads a project's repositories and says what became of every folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import FerrisError
from ferris_web.catalog import preview, report, selectors, services
from ferris_web.catalog.models import Project


class Command(BaseCommand):
    help = (
        "Sync a project: every folder becomes a service or the next version of one. "
        "Exit status 1 when a folder was refused or a repository could not be read. With --preview nothing is "
        "changed, and the exit status is the one that the sync would have."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the project")
        parser.add_argument("--preview", action="store_true", help="only say what would change")
        parser.add_argument(
            "--branch", help="with --preview: of this branch or tag instead of the followed one"
        )
        parser.add_argument(
            "--watch",
            metavar="FOLDER",
            help="put the services of this folder onto the running platform, and again when they change",
        )
        parser.add_argument("--once", action="store_true", help="with --watch: put them there once and end")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["watch"]:
            from ferris_web.accounts.here import asked_here  # a client of HTTP, which no other sync needs

            asked_here("sync", options)
            return
        progress = None if options["verbosity"] < 2 else lambda line: self.stderr.write(f"{line} …")
        if options["branch"] is not None and not options["preview"]:
            raise CommandError(
                "--branch goes with --preview: a sync reads the branch that the repository follows",
                returncode=2,
            )
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
        if options["json"]:
            self._print(
                [
                    {
                        "source": run.repository.source,
                        "status": run.status,
                        "commit": run.commit,
                        "error": run.error,
                    }
                    | {"result": run.result}
                    for run in runs
                ]
            )
        else:
            for run in runs:
                for line in report.lines(run):
                    self.stdout.write(line)
        return report.clean(runs)

    def _preview(
        self, project: Project, options: dict[str, Any], progress: Callable[[str], None] | None
    ) -> bool:
        found = preview.project_preview(
            project, branch=options["branch"], now=datetime.now(UTC), progress=progress
        )
        if options["json"]:
            self._print(
                [
                    {"source": one.repository.source, "branch": one.branch, "commit": one.commit.id}
                    | {"result": one.result}
                    for one in found
                ]
            )
        else:
            for one in found:
                for line in report.preview_lines(one):
                    self.stdout.write(line)
        return all(one.clean for one in found)

    def _print(self, found: Any) -> None:
        self.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
