"""`manage.py match`: tries filters on events, line by line, without platform or database."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from ferris import trials


class Command(BaseCommand):
    """What `help` lists; manage.py itself runs it, so that no setting is read and nothing is waited for."""

    help = (
        'Try filters: one JSON object per line on standard input, {"filter": {...}, "event": {...}} or '
        '{"cesql": "...", "event": {...}}; one {"matched", "why", "value", "error"} per line on standard output. '
        "Needs no platform. A line that cannot be read is answered with its error, and the next one is read."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        trials.main()
