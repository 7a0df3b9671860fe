"""`manage.py backfill SERVICE`: as `remote/schedules.py` has it, on this machine."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ferris.moments import moment, stamp
from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.printed import add_json, printed, refusals
from ferris_web.catalog.models import Schedule
from ferris_web.catalog.selectors import schedule_get, schedule_list, service_get
from ferris_web.executions.services.schedules import schedule_backfill, schedule_gaps, window_of
from remote import schedules as words


class Command(BaseCommand):
    help = words.HELP
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        words.add_backfill(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            self._handle(options)

    def _handle(self, options: dict[str, Any]) -> None:
        now, asked = datetime.now(UTC), options["run"]
        words.checked(Namespace(**options))
        row = _schedule(options)
        if options["at"]:
            times = [moment(text, now) for text in options["at"]]
        else:
            since, until = (
                moment(options[name], now) if options[name] else None for name in ("since", "until")
            )
            since, until = window_of(row, since, until, now=now)
            gaps = schedule_gaps(row, since=since, until=until)
            times = list(gaps.times)
            if not gaps.complete:
                self.stderr.write(words.more_after(stamp(gaps.until)))
        if asked:
            schedule_backfill(row, times, now=now)
            command_noted("command:backfill", str(row), project=row.service.project, runs=len(times))
        for due in map(stamp, times):
            printed(self, options, due, words.missed(row.service.name, row.pk, due, asked=asked))
        self.stderr.write(words.summary(len(times), row.cron, row.timezone, asked=asked))


def _schedule(options: dict[str, Any]) -> Schedule:
    service = service_get(options["service"])
    if options["schedule"]:
        row = schedule_get(options["schedule"])
        if row.service_id != service.pk:
            raise ValueError(f"{row.pk} is a schedule of {row.service}")
        return row
    found = [row for row in schedule_list(service=service) if not row.once]
    words.only_one(str(service), [(row.pk, row.cron, row.timezone) for row in found])
    return found[0]
