"""`manage.py doctor`: looks at everything the platform stands on, and says how to mend what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand

from ferris_web.executions.checkup import checkup

_SIGNS = {"ok": "ok", "warning": "warn", "failure": "FAIL"}


class Command(BaseCommand):
    help = "Check every backend, the running platform and the programs it needs. Exit status 1 for a failure."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        failures = 0
        for finding in checkup(datetime.now(UTC)):
            failures += finding.level == "failure"
            self.stdout.write(f"{_SIGNS[finding.level]:<5} {finding.part:<13} {finding.text}")
            if finding.remedy:
                self.stdout.write(f"{'':<20}→ {finding.remedy}")
            self.stdout.flush()
        if failures:
            raise SystemExit(1)
        self.stdout.write("All is well.")
