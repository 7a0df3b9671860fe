"""`manage.py test FOLDER...`: a service's own tests, without a platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris_web.catalog.local import Refused
from ferris_web.catalog.trying import FOLDER, tried

NOTHING = 5  # as pytest has it


class Command(BaseCommand):
    help = (
        "Run the tests of services on this machine, without the platform: each tests/*.json is an event and what is "
        "expected of it. Exit status: 0 all passed, 1 one did not, 2 a folder is no service, 5 there are no tests."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "folder", metavar="FOLDER", nargs="+", help="a service's folder, or one with several"
        )
        parser.add_argument("--json", action="store_true", help="a JSON line for each test")

    def handle(self, *args: Any, **options: Any) -> None:
        passed = failed = 0
        for folder in _services(options["folder"]):
            try:
                for one in tried(folder):
                    failed, passed = failed + bool(one.wrong), passed + (not one.wrong)
                    self._tell(folder.name, one.name, one.wrong, one.output, options["json"])
            except Refused as error:
                raise CommandError(f"{folder}: {error}", returncode=2) from None
        if not options["json"]:
            self.stdout.write(f"{passed} passed, {failed} failed")
        if failed or not passed:
            raise SystemExit(1 if failed else NOTHING)

    def _tell(self, service: str, name: str, wrong: tuple[str, ...], output: str, as_json: bool) -> None:
        if as_json:
            said = {"service": service, "test": name, "passed": not wrong, "wrong": wrong, "output": output}
            self.stdout.write(json.dumps(said, ensure_ascii=False))
            return
        style = self.style.ERROR if wrong else self.style.SUCCESS
        self.stdout.write(f"{style('failed' if wrong else 'passed')}  {service}  {name}")
        for line in wrong:
            self.stdout.write(f"    {line}")
        if wrong and output:
            self.stdout.write("    --- output")
            for line in output.splitlines()[-20:]:
                self.stdout.write(f"    {line}")


def _services(names: list[str]) -> list[Path]:
    """The folders with tests among those named and those directly in them."""
    found = []
    for name in names:
        folder = Path(name).expanduser().resolve()
        if not folder.is_dir():
            raise CommandError(f"there is no folder {folder}", returncode=2)
        within = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        found += [path for path in within if any((path / FOLDER).glob("*.json"))]
    return found
