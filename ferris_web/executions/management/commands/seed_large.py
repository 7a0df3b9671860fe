"""`manage.py seed_large`: a platform that looks as if it had been in use for a month, to measure pages with."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris_web.catalog.models import Service
from ferris_web.executions.models import Event
from ferris_web.executions.seeding import bulk, catalog
from ferris_web.executions.seeding.history import History, Size
from ferris_web.executions.services.bonds import bonds_renew
from ferris_web.executions.services.standings import standings_slide
from ferris_web.executions.services.tallies import tallies_piece

_TOLD = 500  # rankings and hours, between two words of progress


class Command(BaseCommand):
    help = (
        "Fill the platform with services, events and executions, to see how fast it is when it has many. For tries "
        "only: nothing tells what it made from what really happened. Refused on a platform that has services or "
        "events, unless --anyway."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--executions", type=int, default=1_000_000)
        parser.add_argument("--events", type=int, help="as many as executions, if not given")
        parser.add_argument("--services", type=int, help="one for each 100 executions, if not given")
        parser.add_argument("--days", type=float, default=30.0, help="over so many days, up to now")
        parser.add_argument("--anyway", action="store_true", help="although there is something already")

    def handle(self, *args: Any, **options: Any) -> None:
        executions = options["executions"]
        wanted = options["events"] if options["events"] is not None else executions
        services = options["services"] if options["services"] is not None else max(20, executions // 100)
        if min(executions, wanted, services) < 1 or options["days"] <= 0:
            raise CommandError("--executions, --events, --services and --days must be more than 0")
        if not options["anyway"] and (Service.objects.exists() or Event.objects.exists()):
            raise CommandError(
                "this platform has services or events already; take an empty one (FERRIS_HOME names its folder), or "
                "say --anyway"
            )
        begun, now = time.monotonic(), datetime.now(UTC)
        seed = f"{executions} {wanted} {services} {now.isoformat() if options['anyway'] else ''}"
        chance = random.Random(seed)  # noqa: S311 - the same platform each time, nothing secret
        bulk.hurry()
        made = catalog.fill(services, chance, now, self._progress)
        history = History(made, chance, now, self._progress)
        history.write(Size(executions, wanted, options["days"]))
        self._roll_up(now)
        bulk.settle()
        self.stdout.write(
            f"{len(made):,} services, {history.events.count:,} events, {history.executions.count:,} executions in "
            f"{history.flows.count:,} flows, {history.letters.count:,} dead letters: "
            f"{time.monotonic() - begun:.0f} s"
        )

    def _roll_up(self, now: datetime) -> None:
        """The rest of what pages show, as the roller would have."""
        for what, piece in (("rankings", standings_slide), ("hours", tallies_piece)):
            done = 0
            while more := piece(now):
                if done // _TOLD < (done + more) // _TOLD:
                    self.stdout.write(f"{what}: {done + more:,}")
                done += more
        bonds_renew(now)

    def _progress(self, what: str, done: int, total: int) -> None:
        self.stdout.write(f"{what}: {done:,} of {total:,}")
        self.stdout.flush()
