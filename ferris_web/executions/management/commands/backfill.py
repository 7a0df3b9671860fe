"""`manage.py backfill SERVICE`: the runs that its schedule missed, told and made up for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import FerrisError
from ferris.events import rfc3339
from ferris.moments import moment
from ferris_web.accounts.printed import add_json, printed
from ferris_web.catalog.models import Schedule
from ferris_web.catalog.selectors import schedule_get, schedule_list, service_get
from ferris_web.executions.services.schedules import schedule_backfill, schedule_gaps, window_of

BAD_INPUT = 2


class Command(BaseCommand):
    help = (
        "List the due times of a service's schedule that made no run, one a line on standard output; with --run, "
        "run it for all of them (or those of --at), oldest first. A time that ran already is not run again. "
        "Exit status: 0 done, 2 an argument is wrong."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("service", metavar="SERVICE")
        parser.add_argument("--schedule", help="id of the schedule, if the service has several")
        parser.add_argument(
            "--since", help="from then on: 12h, 7d ago, or a time (default: a week, or its beginning)"
        )
        parser.add_argument("--until", help="up to then; as --since (default: now)")
        parser.add_argument("--run", action="store_true", help="run it for what was missed")
        parser.add_argument(
            "--at", action="append", default=[], help="with --run: only this due time; repeat it"
        )

        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._handle(options)
        except (FerrisError, ValueError) as error:
            raise CommandError(str(error), returncode=BAD_INPUT) from None

    def _handle(self, options: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        row = _schedule(options)
        if options["at"] and not options["run"]:
            raise ValueError("--at goes with --run")
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
                self.stderr.write(f"There may be more after {rfc3339(gaps.until)}: ask again with --since.")
        if options["run"]:
            schedule_backfill(row, times, now=now)
        for time in times:
            values = {
                "service": row.service.name,
                "schedule": row.pk,
                "due": rfc3339(time),
                "asked": options["run"],
            }
            printed(self, options, rfc3339(time), values)
        word = "asked for" if options["run"] else "missed"
        self.stderr.write(
            f"{len(times)} run{'' if len(times) == 1 else 's'} {word} ({row.cron}, {row.timezone})."
        )


def _schedule(options: dict[str, Any]) -> Schedule:
    service = service_get(options["service"])
    if options["schedule"]:
        row = schedule_get(options["schedule"])
        if row.service_id != service.pk:
            raise ValueError(f"{row.pk} is a schedule of {row.service}")
        return row
    found = [row for row in schedule_list(service=service) if not row.once]
    if len(found) != 1:
        ids = "".join(f"\n  {row.pk} {row.cron} {row.timezone}" for row in found)
        raise ValueError(
            f"{service} has {len(found) or 'no'} schedules that repeat: say which by --schedule{ids}"
        )
    return found[0]
