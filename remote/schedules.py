"""`backfill`: the runs that a schedule missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from remote.client import Client, Refused, part
from remote.verbs import Options
from remote.words import time_of, told

HELP = (
    "List the due times of a service's schedule that made no run, one a line on standard output; with --run, "
    "run it for all of them (or those of --at), oldest first. A time that ran already is not run again. "
    "Exit status: 0 done, 2 an argument is wrong."
)
_AT_ONCE = 1000  # that a request takes


def add_backfill(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backfill`."""
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument("--schedule", help="id of the schedule, if the service has several")
    parser.add_argument(
        "--since", help="from then on: 12h, 7d ago, or a time (default: a week, or its beginning)"
    )
    parser.add_argument("--until", help="up to then; as --since (default: now)")
    parser.add_argument("--run", action="store_true", help="run it for what was missed")
    parser.add_argument("--at", action="append", default=[], help="with --run: only this due time; repeat it")


def checked(options: Options) -> None:
    """Refused for what does not go together."""
    if options.at and not options.run:
        raise Refused("--at goes with --run")


def missed(service: str, schedule: object, due: str, *, asked: bool) -> dict[str, Any]:
    """What is told of a due time."""
    return {"service": service, "schedule": str(schedule), "due": due, "asked": asked}


def summary(count: int, cron: str, timezone: str, *, asked: bool) -> str:
    """What is said at the end."""
    return (
        f"{count} run{'' if count == 1 else 's'} {'asked for' if asked else 'missed'} ({cron}, {timezone})."
    )


def more_after(until: str) -> str:
    """What is said when not all are listed."""
    return f"There may be more after {until}: ask again with --since."


def only_one(service: str, found: list[tuple[object, str, str]]) -> None:
    """Refused where not one schedule alone (id, cron, time zone) repeats, and so it must be said which is meant."""
    if len(found) != 1:
        ids = "".join(f"\n  {ident} {cron} {timezone}" for ident, cron, timezone in found)
        raise Refused(
            f"{service} has {len(found) or 'no'} schedules that repeat: say which by --schedule{ids}"
        )


def backfill(client: Client, options: Options) -> int:
    """What a schedule there missed, told or asked for."""
    checked(options)
    row = _schedule(client, options)
    place, now = f"schedules/{part(row['id'])}/", datetime.now(UTC)
    if options.at:
        times = [time_of(text, now) for text in options.at]
    else:
        asked = {name: time_of(text, now) for name in ("since", "until") if (text := getattr(options, name))}
        gaps = client.get(f"{place}gaps/", **asked)
        times = gaps["times"]
        if not gaps["complete"]:
            print(more_after(gaps["until"]), file=sys.stderr)
    if options.run:
        runs = [
            run
            for at in range(0, len(times), _AT_ONCE)
            for run in client.post(f"{place}backfill/", {"times": times[at : at + _AT_ONCE]})["results"]
        ]
        times = [run["due"] for run in runs]
    for due in times:
        told(options, due, missed(options.service, row["id"], due, asked=options.run))
    print(summary(len(times), row["schedule"], row["timezone"], asked=options.run), file=sys.stderr)
    return 0


def _schedule(client: Client, options: Options) -> Mapping[str, Any]:
    if options.schedule:
        row: Mapping[str, Any] = client.get(f"schedules/{part(options.schedule)}/")
        if row["service"] != options.service:
            raise Refused(f"{row['id']} is a schedule of {row['service']}")
        return row
    found = [row for row in client.all("schedules/", sys.maxsize, service=options.service) if not row["once"]]
    only_one(options.service, [(row["id"], row["schedule"], row["timezone"]) for row in found])
    return found[0]
