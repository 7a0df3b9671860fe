"""`manage.py new SERVICE`: a small service that works, to start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris_web.catalog.source import name_problem
from ferris_web.catalog.starters import STARTERS, starter_files


class Command(BaseCommand):
    help = "Write a small working service into a new folder of that name."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("service", metavar="SERVICE")
        parser.add_argument(
            "--from", dest="starter", choices=STARTERS, default="python", help="what to start from"
        )
        parser.add_argument(
            "--folder", default=".", help="the project's folder, in which it is made (default: here)"
        )
        parser.add_argument("--json", action="store_true", help="an object of what was written")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["service"]
        problem = name_problem(name)
        if problem:
            raise CommandError(problem, returncode=2)
        folder = Path(options["folder"]).expanduser() / name
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise CommandError(
                f"{folder} is there already: choose another name, or remove it", returncode=2
            ) from None
        except OSError as error:
            raise CommandError(f"{folder} cannot be made: {error.strerror}", returncode=2) from None
        files = starter_files(options["starter"], name)
        for file, content in files.items():
            (folder / file).write_text(content)
        if options["json"]:
            self.stdout.write(json.dumps({"folder": str(folder), "files": list(files)}))
            return
        self.stdout.write(
            f"{folder} holds {', '.join(files)}.\n"
            f'Try it:   manage.py run-local {folder} --data \'{{"who": "you"}}\'\n'
            f"Load it:  manage.py project add PROJECT {folder.parent}"
        )
