"""`manage.py redrive`: dead letters in groups, and a group on its way again."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import FerrisError
from ferris_web.executions.failures import LetterGroup, letter_groups, letters
from ferris_web.executions.management.commands.backtest import moment
from ferris_web.executions.services import Piece, dead_letters_redrive

BAD_INPUT = 2


class Command(BaseCommand):
    help = (
        "Dead letters by reason, topic and event type; with --reason, --topic or --type those are sent on their way "
        "again, each under its own identity: done twice, or killed in the middle and done again, nothing runs "
        "twice. Exit status: 0 done, 1 some hold no event and stay, 2 an argument is wrong or nobody said yes."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", default="", help="such as hop_limit or not_dispatched")
        parser.add_argument("--topic", default="", help="the topic they came from")
        parser.add_argument("--type", help="the type of their events")
        add_window(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        since, until = window(options)
        group = LetterGroup(options["reason"], options["topic"], options["type"], since, until)
        if not (group.reason or group.topic or group.event_type is not None):
            self._list(group, options)
            return
        waiting = letters(group).filter(redriven_at=None).count()
        confirm(self, f"{are(waiting, 'dead letter')} sent on the way again", waiting, options)
        now = datetime.now(UTC)
        sent, refused = work(
            self, lambda after: dead_letters_redrive(group, now=now, after=after), waiting, options
        )
        conclude(self, "sent", sent, refused, "hold no event that could be sent", options)

    def _list(self, wanted: LetterGroup, options: dict[str, Any]) -> None:
        for group in letter_groups(wanted):
            if options["json"]:
                self.stdout.write(json.dumps(asdict(group), default=_time, ensure_ascii=False))
                continue
            kind = group.event_type or "(no event)"
            self.stdout.write(
                f"{group.reason}, {kind}, from {group.topic}: {group.count:,}, {group.waiting:,} waiting, "
                f"{group.first_at:%Y-%m-%d %H:%M} to {group.last_at:%Y-%m-%d %H:%M} UTC"
            )


def add_window(parser: CommandParser) -> None:
    """What commands that work off groups have in common."""
    parser.add_argument("--since", help="from then on: 30m, 12h, 7d ago, or a time")
    parser.add_argument("--until", help="up to then; as --since (default: now)")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="say how many, and send nothing")
    parser.add_argument("--json", action="store_true", help="JSON lines on standard output")


def window(options: dict[str, Any]) -> tuple[datetime | None, datetime]:
    """The time asked for. It ends now at the latest: what comes back meanwhile is not taken again."""
    now = datetime.now(UTC)
    try:
        since = moment(options["since"], now) if options["since"] else None
        return since, min(now, moment(options["until"], now)) if options["until"] else now
    except ValueError as error:
        raise CommandError(str(error), returncode=BAD_INPUT) from None


def are(count: int, what: str) -> str:
    """`1 dead letter is`, `2 dead letters are`."""
    return f"1 {what} is" if count == 1 else f"{count:,} {what}s are"


def confirm(command: BaseCommand, what: str, count: int, options: dict[str, Any]) -> None:
    """Say what will happen; go on when somebody says yes, or --yes did."""
    if options["dry_run"]:
        said = json.dumps({"count": count}) if options["json"] else f"{what}: not now (--dry-run)"
        command.stdout.write(said)
        raise SystemExit(0)
    if options["yes"] or not count:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{what}: add --yes to do so", returncode=BAD_INPUT)
    command.stderr.write(f"{what}. Go on? [y/N] ", ending="")
    if input().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was sent", returncode=BAD_INPUT)


def work(command: BaseCommand, piece: Any, total: int, options: dict[str, Any]) -> tuple[int, int]:
    """Piece by piece until there is none left; how many were sent and refused."""
    sent = refused = 0
    after: str | None = ""
    try:
        while after is not None:
            done: Piece = piece(after)
            sent, refused, after = sent + done.sent, refused + done.refused, done.following
            if sys.stderr.isatty():
                command.stderr.write(f"\r{sent + refused:,} of {total:,}\033[K", ending="")
    except FerrisError as error:
        raise CommandError(f"{error} ({sent:,} were sent; begin again, none is sent twice)") from None
    except KeyboardInterrupt:
        command.stderr.write(f"\nStopped; {sent:,} were sent. Begin again, and none is sent twice.")
        raise SystemExit(130) from None
    if sys.stderr.isatty():
        command.stderr.write("\r\033[K", ending="")
    return sent, refused


def conclude(
    command: BaseCommand, word: str, sent: int, refused: int, why: str, options: dict[str, Any]
) -> None:
    """What came of it, and the exit status."""
    if options["json"]:
        command.stdout.write(json.dumps({"sent": sent, "refused": refused}))
    else:
        command.stdout.write(f"{sent:,} {word}" + (f", {refused:,} {why}" if refused else ""))
    if refused:
        raise SystemExit(1)


def _time(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
