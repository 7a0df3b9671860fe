"""`manage.py redrive`: as `remote/letters.py` has it, on this machine; and what it has in common with `retry`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import FerrisError
from ferris.moments import moment
from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.printed import BAD_INPUT, add_json, printed, refusals, values_of
from ferris_web.executions.failures import LetterGroup, letter_groups, letters
from ferris_web.executions.services import Piece, dead_letters_redrive
from remote import letters as words
from remote.client import Refused


class Command(BaseCommand):
    help = words.HELP
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        words.add_redrive(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        since, until = window(options)
        group = LetterGroup(options["reason"], options["topic"], options["type"], since, until)
        if not (group.reason or group.topic or group.event_type is not None):
            for found in letter_groups(group):
                values = values_of(found, words.GROUP) | {"event_type": found.event_type}
                printed(self, options, words.group_line(values), values)
            return
        waiting = letters(group).filter(redriven_at=None).count()
        now = datetime.now(UTC)
        work_off(
            self,
            options,
            f"{words.are(waiting, words.LETTERS)} sent on the way again",
            waiting,
            lambda after: dead_letters_redrive(group, now=now, after=after),
            ("sent", words.WHY_REFUSED),
            lambda sent: command_noted("command:redrive", _about(options), letters=sent),
        )


def _about(options: dict[str, Any]) -> str:
    asked = (options["reason"], options["topic"], options["type"])
    return " ".join(text for text in asked if text) or "dead letters"


def window(options: dict[str, Any]) -> tuple[datetime | None, datetime]:
    """The time asked for. It ends now at the latest: what comes back meanwhile is not taken again."""
    now = datetime.now(UTC)
    try:
        since = moment(options["since"], now) if options["since"] else None
        return since, min(now, moment(options["until"], now)) if options["until"] else now
    except ValueError as error:
        raise CommandError(str(error), returncode=BAD_INPUT) from None


def work_off(
    command: BaseCommand,
    options: dict[str, Any],
    what: str,
    count: int,
    piece: Callable[[str], Piece],
    words_of: tuple[str, str],
    noted: Callable[[int], None],
) -> None:
    """Ask, do it piece by piece, say what came of it and end with the status for that. `words_of`: what was done, and
    why not with some. `noted` is told how many were done, also when Ctrl-C ended it."""
    count_done = 0

    def done(after: str) -> tuple[int, int, str | None]:
        try:
            found = piece(after)
        except FerrisError as error:
            raise Refused(str(error)) from error
        nonlocal count_done
        count_done += found.sent
        return found.sent, found.refused, found.following

    def say(line: str, values: dict[str, Any]) -> None:
        printed(command, options, line, values)

    with refusals():
        if not words.confirmed(Namespace(**options), what, count, say):
            return
        try:
            sent, refused = words.worked(done, count)
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        finally:
            if count_done:
                noted(count_done)
        word, why = words_of
        say(*words.conclusion(word, sent, refused, why))
    if refused:
        raise SystemExit(1)
