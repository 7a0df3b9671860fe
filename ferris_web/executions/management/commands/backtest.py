"""`manage.py backtest`: what changed triggers would have made of past events."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.backtest import Backtest, Refused, Tally
from ferris.errors import FerrisError
from ferris.moments import moment
from ferris_web.catalog import candidate
from ferris_web.executions.backtesting import Tested, backtest_run
from remote.client import Refused as RefusedOption
from remote.triggers import TRIAL, add_window
from remote.words import json_option

DIFFERS = 1
BAD_INPUT = 2
_BETWEEN = 0.5  # seconds from one line of progress to the next


class Command(BaseCommand):
    help = (
        "Run the triggers of a changed project folder (or of one service's folder, or one trigger) over the events "
        "of the journal, and compare with today's: how often each service would have fired, gained, lost. "
        "Nothing is written. Exit status: 0 done, 1 done and what --fail-on names came out, 2 the manifests have "
        "errors (all are listed, nothing was run) or an argument is wrong."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "folder", metavar="FOLDER", nargs="?", help="a folder of services, or one service's"
        )
        parser.add_argument(
            "--project", help="it is the whole of this project: what is not in it would be gone"
        )
        parser.add_argument("--type", help="instead of a folder: one trigger for this event type or pattern")
        add_window(parser)
        parser.add_argument("--json", action="store_true", help="one JSON document on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        try:
            since, until = moment(options["since"], now), moment(options["until"] or "0s", now)
            sides = self._sides(options)
            tested = backtest_run(
                sides,
                since=since,
                until=until,
                samples=max(0, options["samples"]),
                progress=self._progress(since, until),
            )
        except Refused as refused:
            self._refuse(refused, options)
        except (FerrisError, RefusedOption, ValueError, OSError) as error:
            raise CommandError(str(error), returncode=BAD_INPUT) from None
        except KeyboardInterrupt:
            self.stderr.write("Stopped; nothing was changed.")
            raise SystemExit(130) from None
        if options["json"]:
            self.stdout.write(json.dumps(tested.to_json(), indent=2, ensure_ascii=False, default=_time))
        else:
            self._show(tested)
        if _failed(tested.backtest, options["fail_on"]):
            raise SystemExit(DIFFERS)

    def _sides(self, options: dict[str, Any]) -> tuple[candidate.Sides, candidate.Sides]:
        if (options["folder"] is None) == (options["type"] is None):
            raise ValueError("give a FOLDER, or a trigger by --type (and --filter or --cesql)")
        if options["folder"] is not None:
            if options["filter"] or options["cesql"] or options["service"]:
                raise ValueError("--filter, --cesql and --service go with --type, not with a FOLDER")
            folder = Path(options["folder"]).expanduser()
            return candidate.sides_of_folder(folder, options["project"] or "", self._tell)
        if options["project"]:
            raise ValueError("--project goes with a FOLDER")
        trigger: dict[str, Any] = {"event_type": options["type"]}
        if options["filter"]:
            trigger["filter"] = json_option(argparse.Namespace(**options), "filter")
        if options["cesql"]:
            trigger["cesql"] = options["cesql"]
        name = options["service"] or TRIAL
        return candidate.sides_of_manifests({name: {"trigger_events": [trigger]}})

    def _tell(self, line: str) -> None:
        self.stderr.write(line)

    def _refuse(self, refused: Refused, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps({"errors": list(refused.problems)}, indent=2, ensure_ascii=False))
        for problem in refused.problems:
            self.stderr.write(problem)
        raise CommandError("Mend these first; no event was looked at.", returncode=BAD_INPUT)

    def _progress(self, since: datetime, until: datetime) -> Any:
        if not sys.stderr.isatty():
            return None
        last = time.monotonic()

        def show(events: int, reached: datetime) -> None:
            nonlocal last
            if time.monotonic() - last >= _BETWEEN:
                last = time.monotonic()
                share = (until - reached) / (until - since)
                self.stderr.write(f"\r{events:,} events, {share:.0%} of the time\033[K", ending="")

        return show

    def _show(self, tested: Tested) -> None:
        if sys.stderr.isatty():
            self.stderr.write("\r\033[K", ending="")
        test = tested.backtest
        rate = f", {test.events / tested.seconds:,.0f} a second" if tested.seconds > 0.5 else ""
        window = f"{tested.since:%Y-%m-%d %H:%M} to {tested.until:%Y-%m-%d %H:%M} UTC"
        self.stdout.write(f"{test.events:,} events of the types that triggers name, {window}{rate}")
        for tally in test.tallies.values():
            self._tally(tally)
        self.stdout.write(f"In all {test.gained:,} runs gained, {test.lost:,} lost.")

    def _tally(self, tally: Tally) -> None:
        word = "" if tally.state == "unchanged" else f" ({tally.state})"
        self.stdout.write(
            f"  {tally.service}{word}: {tally.before:,} before, {tally.after:,} after, "
            f"{tally.gained:,} gained, {tally.lost:,} lost"
        )
        for sign, samples in (("+", tally.gained_samples), ("-", tally.lost_samples)):
            for sample in samples:
                side = "today" if sign == "+" else "then"
                self.stdout.write(f"    {sign} {sample['type']} {sample['id']}: {side}, {sample['why']}")


def _failed(test: Backtest, wanted: str | None) -> bool:
    lost, gained = test.lost > 0, test.gained > 0
    return {"lost": lost, "gained": gained, "any": lost or gained}.get(wanted or "", False)


def _time(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
