"""`redrive`: dead letters in groups, and a group on its way again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from remote.client import Client, Refused
from remote.showing import clean, moment, progress
from remote.verbs import Options
from remote.words import picked, time_of, told

GROUP = ("reason", "topic", "event_type", "count", "waiting", "first_at", "last_at", "example")
HELP = (
    "Dead letters by reason, topic and event type; with --reason, --topic or --type those are sent on their way "
    "again, each under its own identity: done twice, or killed in the middle and done again, nothing runs "
    "twice. Exit status: 0 done, 1 some hold no event and stay, 2 an argument is wrong or nobody said yes."
)
WHY_REFUSED = "hold no event that could be sent"
LETTERS = "dead letter"


def add_redrive(parser: argparse.ArgumentParser) -> None:
    """The arguments of `redrive`."""
    parser.add_argument("--reason", default="", help="such as hop_limit or not_dispatched")
    parser.add_argument("--topic", default="", help="the topic they came from")
    parser.add_argument("--type", help="the type of their events")
    add_window(parser)


def add_window(parser: argparse.ArgumentParser) -> None:
    """What commands that work off groups have in common."""
    parser.add_argument("--since", help="from then on: 30m, 12h, 7d ago, or a time")
    parser.add_argument("--until", help="up to then; as --since (default: now)")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="say how many, and send nothing")


def group_line(row: Mapping[str, Any]) -> str:
    """A group of dead letters."""
    kind = row["event_type"] or "(no event)"
    window = f"{moment(row['first_at'])[:16]} to {moment(row['last_at'])[:16]} UTC"
    return clean(
        f"{row['reason']}, {kind}, from {row['topic']}: {row['count']:,}, {row['waiting']:,} waiting, {window}"
    )


def are(count: int, what: str) -> str:
    """`1 dead letter is`, `2 dead letters are`."""
    return f"1 {what} is" if count == 1 else f"{count:,} {what}s are"


def confirmed(options: Options, what: str, count: int, say: Callable[[str, dict[str, Any]], None]) -> bool:
    """Whether it is to be done: by --yes, or because somebody says so. Refused where nobody does."""
    if options.dry_run:
        say(f"{what}: not now (--dry-run)", {"count": count})
        return False
    if options.yes or not count:
        return True
    if not sys.stdin.isatty():
        raise Refused(f"{what}: add --yes to do so")
    print(f"{what}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if input().strip().lower() not in ("y", "yes"):
        raise Refused("nothing was sent")
    return True


Piece = Callable[[str], tuple[int, int, str | None]]
"""Does what is behind a place ("": all): how many were sent and how many refused, and the next place, if any."""


def worked(piece: Piece, total: int) -> tuple[int, int]:
    """Piece by piece until there is none left; how many were sent and refused. Refused when it breaks off."""
    sent = refused = 0
    after: str | None = ""
    try:
        while after is not None:
            now, no, after = piece(after)
            sent, refused = sent + now, refused + no
            progress(f"{sent + refused:,} of {total:,}")
    except Refused as error:
        raise Refused(
            f"{error} ({sent:,} were sent; begin again, none is sent twice)", error.status
        ) from None
    except KeyboardInterrupt:
        print(f"\nStopped; {sent:,} were sent. Begin again, and none is sent twice.", file=sys.stderr)
        raise
    progress()
    return sent, refused


def conclusion(word: str, sent: int, refused: int, why: str) -> tuple[str, dict[str, Any]]:
    """What came of it, as a line and as values."""
    line = f"{sent:,} {word}" + (f", {refused:,} {why}" if refused else "")
    return line, {"sent": sent, "refused": refused}


def redrive(client: Client, options: Options) -> int:
    """List the groups there, or send one on its way again."""
    now = datetime.now(UTC)
    group = {"reason": options.reason, "topic": options.topic}
    group |= {name: time_of(text, now) for name in ("since", "until") if (text := getattr(options, name))}
    named = {} if options.type is None else {"event_type": options.type}
    found = [
        row
        for row in client.get("dead-letters/groups/", **group, **named)["results"]
        if options.type is None or row["event_type"] == options.type  # an empty one: those without a type
    ]
    if not (options.reason or options.topic or named):
        for row in found:
            told(options, group_line(row), picked(row, GROUP))
        return 0
    waiting = sum(row["waiting"] for row in found)
    what = f"{are(waiting, LETTERS)} sent on the way again"
    if not confirmed(options, what, waiting, partial(told, options)):
        return 0

    def piece(after: str) -> tuple[int, int, str | None]:
        done = client.post("dead-letters/redrive/", {**group, **named, "cursor": after})
        return done["sent"], done["refused"], done["next"]

    sent, refused = worked(piece, waiting)
    told(options, *conclusion("sent", sent, refused, WHY_REFUSED))
    return int(refused > 0)
