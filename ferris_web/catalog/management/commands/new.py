"""`manage.py new SERVICE`: a small service that works, to start from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris_web.catalog.source import name_problem


class Command(BaseCommand):
    help = "Write a small working service into a new folder of that name."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("service", metavar="SERVICE")
        parser.add_argument(
            "--folder", default=".", help="the project's folder, in which it is made (default: here)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["service"]
        problem = name_problem(name)
        if problem:
            raise CommandError(problem)
        folder = Path(options["folder"]).expanduser() / name
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise CommandError(f"{folder} is there already: choose another name, or remove it") from None
        except OSError as error:
            raise CommandError(f"{folder} cannot be made: {error.strerror}") from None
        for file, content in files(name).items():
            (folder / file).write_text(content)
        self.stdout.write(
            f"{folder} holds {', '.join(files(name))}.\n"
            f'Try it:   manage.py run-local {folder} --data \'{{"who": "you"}}\'\n'
            f"Load it:  manage.py project add PROJECT {folder.parent}"
        )


def files(name: str) -> dict[str, str]:
    """The files of the sample service, by name."""
    kind = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "service"
    manifest = {
        "description": f"Says hello when {kind}.requested arrives",
        "entrypoint": "run.py",
        "trigger_events": [f"{kind}.requested"],
        "output_events": [f"{kind}.done"],
        "tags": ["new"],
    }
    parameters = {
        "fields": [
            {
                "type": "text",
                "name": "who",
                "label": "Who",
                "description": "Whom to greet",
                "default": "world",
                "required": False,
            }
        ]
    }
    return {
        "manifest.json": json.dumps(manifest, indent=2) + "\n",
        "parameters.json": json.dumps(parameters, indent=2) + "\n",
        "run.py": _SCRIPT.format(kind=kind),
        "README.md": _README.format(name=name, kind=kind),
    }


_SCRIPT = """\
from ferris_ef import context

who = context.params.get("who", "world")
context.logging.info(f"Hello, {{who}}!")
context.events.send("{kind}.done", data={{"greeted": who}})
"""

_README = """\
# {name}

Runs when an event `{kind}.requested` arrives, greets whom its data names, and sends `{kind}.done`.

- `manifest.json` says when it runs and what it sends.
- `parameters.json` describes the form with which people run it by hand.
- `run.py` is what runs: its parameters are the event's data.
"""
