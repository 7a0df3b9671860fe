"""`manage.py doctor`: looks at everything the platform stands on, and says how to mend what is wrong."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ferris_web.accounts.printed import add_json, printed
from ferris_web.executions.checkup import checkup

_SIGNS = {"ok": "ok", "warning": "warn", "failure": "FAIL"}


class Command(BaseCommand):
    help = "Check every backend, the running platform and the programs it needs. Exit status 1 for a failure."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        failures = 0
        for finding in checkup(datetime.now(UTC)):
            failures += finding.level == "failure"
            line = f"{_SIGNS[finding.level]:<5} {finding.part:<13} {finding.text}"
            if finding.remedy:
                line += f"\n{'':<20}→ {finding.remedy}"
            printed(self, options, line, asdict(finding))
            self.stdout.flush()
        if failures:
            raise SystemExit(1)
        if not options["json"]:
            self.stdout.write("All is well.")
