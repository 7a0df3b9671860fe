"""`replay`: past events sent once more."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from remote.client import Client, Refused, part
from remote.showing import clean, moment, progress
from remote.verbs import Options
from remote.words import add_json, json_option, picked, time_of, told

TOLD = ("id", "status", "sent", "expected", "event_type", "since", "until", "service")
MOST = 100  # of a list
HELP = (
    "Send past events again, each as an event of its own in a flow of its own, marked with `ferrisreplay`. "
    "`start` counts them first and asks before it begins (--yes: it does not ask; --count: it only counts). "
    "Exit status: 0 done, 1 not begun, 2 an argument is wrong."
)
_LOOK = 1.0  # seconds between two looks at how far it is


def add_replay(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replay`."""
    does = parser.add_subparsers(dest="does", required=True, metavar="start|list|show|stop|resume")
    start = add_json(does.add_parser("start", help="count, ask, begin"))
    start.add_argument("--service", default="", help="into this service only (default: all that listen)")
    start.add_argument("--type", default="*", help="event type, or prefix.* (default: all)")
    start.add_argument("--filter", help="a filter, as JSON")
    start.add_argument("--cesql", help="instead of a filter: an expression of CloudEvents SQL")
    start.add_argument("--flow", default="", help="only events of this flow")
    start.add_argument(
        "--derived",
        action="store_true",
        help="also events that executions sent (the default with --service)",
    )
    start.add_argument("--since", required=True, help="from then on: 30m, 12h, 7d ago, or a time")
    start.add_argument("--until", default="0s", help="up to then; as --since (default: now)")
    start.add_argument("--rate", type=float, default=0, help="events per second (default: as taken up)")
    start.add_argument("--count", action="store_true", help="only count")
    start.add_argument("--yes", action="store_true", help="begin without asking")
    start.add_argument("--wait", action="store_true", help="follow it to its end")
    add_json(does.add_parser("list", help="replays, newest first"))
    for name, text in (
        ("show", "one, and what came of it"),
        ("stop", "send no more"),
        ("resume", "go on"),
    ):
        one = add_json(does.add_parser(name, help=text))
        one.add_argument("replay", metavar="ID", type=UUID)


def line(row: Mapping[str, Any]) -> str:
    """A replay and how far it is."""
    of = "" if row["expected"] is None else f" of {row['expected']:,}"
    window = f"{moment(row['since'])[:16]} to {moment(row['until'])[:16]}"
    target = row["service"] or "all"
    said = f"{row['id']} {row['status']}: {row['sent']:,}{of} sent, {row['event_type']} into {target}"
    return clean(f"{said}, {window} UTC")


def outcome_line(row: Mapping[str, Any], routed: int, executions: Mapping[str, int]) -> str:
    """A replay and what came of it."""
    runs = ", ".join(f"{count} {status}" for status, count in sorted(executions.items()))
    return f"{line(row)}\n  {routed:,} of its events were taken in; executions: {runs or 'none'}"


def found_lines(found: Mapping[str, Any], service: str, *, complete: bool = True) -> Iterable[str]:
    """What would be sent, and samples of it."""
    least = "" if complete else "at least "
    target = service or "all services that listen"
    yield f"{least}{found['events']:,} events of {found['flows']:,} flows, into {target}."
    for one in found["samples"]:
        yield clean(f"  {moment(one['time'])} {one['type']} {one['id']}")


def agreed() -> bool:
    """Whether who sits there wants it begun; Refused where nobody does."""
    if not sys.stdin.isatty():
        raise Refused("nobody to ask: say --yes to begin")
    print("Begin? [y/N] ", end="", file=sys.stderr, flush=True)
    return input().strip().lower() in ("y", "yes")


def goes_on(replay: object) -> str:
    """What is said to who stops looking."""
    return f"\nIt goes on; manage.py replay stop {replay} ends it."


def replay(client: Client, options: Options) -> int:
    """One of the second words."""
    if options.does == "start":
        return _start(client, options)
    if options.does == "list":
        for row in client.all("replays/", MOST):
            told(options, line(row), picked(row, TOLD))
        return 0
    place = f"replays/{options.replay}/"
    if options.does == "show":
        row = client.get(place)
        came = row["outcome"]
        text = outcome_line(row, came["routed"], came["executions"])
        told(options, text, {**picked(row, TOLD), **came})
    else:
        row = client.post(f"{place}{options.does}/")
        told(options, line(row), picked(row, TOLD))
    return 0


def _start(client: Client, options: Options) -> int:
    now = datetime.now(UTC)
    asked: dict[str, Any] = {
        "service": options.service,
        "event_type": options.type,
        "cesql": options.cesql or "",
        "flow_id": options.flow,
        "since": time_of(options.since, now),
        "until": time_of(options.until, now),
        "rate": options.rate,
    }
    if options.filter is not None:
        asked["filter"] = json_option(options, "filter")
    if options.derived:
        asked["derived"] = True
    found = client.post("replays/preview/", asked)
    print(*found_lines(found, options.service, complete=found["complete"]), sep="\n", file=sys.stderr)
    if options.count:
        told(options, str(found["events"]), picked(found, ("events", "flows")))
        return 0
    if not found["events"] or not (options.yes or agreed()):
        print("Not begun.", file=sys.stderr)
        return 1
    row = client.post("replays/", {**asked, "count": found["complete"]})
    told(options, row["id"], picked(row, TOLD))
    if options.wait:
        _follow(client, row["id"])
    return 0


def _follow(client: Client, ident: str) -> None:
    """Progress until it is no longer running; Ctrl-C leaves it running."""
    try:
        while (row := client.get(f"replays/{part(ident)}/"))["status"] == "running":
            progress(f"{row['sent']:,} of {row['expected'] or 0:,} sent")
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        print(goes_on(ident), file=sys.stderr)
        raise
    progress()
    print(line(row), file=sys.stderr)
