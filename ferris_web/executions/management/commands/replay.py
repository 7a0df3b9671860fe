"""`manage.py replay`: as `remote/replays.py` has it, on this machine."""

from __future__ import annotations

import sys
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser

from ferris.config import CONTROL, EVENTS
from ferris.moments import moment
from ferris.replaying import Selection
from ferris_web import wiring
from ferris_web.accounts.noted import account, command_noted
from ferris_web.accounts.printed import printed, refusals, values_of
from ferris_web.catalog.selectors import service_get
from ferris_web.executions import selectors
from ferris_web.executions.models import Replay
from ferris_web.executions.services import replays
from remote import replays as words
from remote.words import json_option

_LONGEST_WAIT = 5.0  # should a notice be lost


class Command(BaseCommand):
    help = words.HELP
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        words.add_replay(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            getattr(self, f"_{options['does']}")(options)

    def _start(self, options: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        service = service_get(options["service"]) if options["service"] else None
        selection = Selection(
            event_type=options["type"],
            filter=json_option(Namespace(**options), "filter"),
            cesql=options["cesql"],
            flow_id=options["flow"],
            derived=options["derived"] or service is not None,
        )
        draft = replays.replay_draft(
            selection,
            service=service,
            since=moment(options["since"], now),
            until=moment(options["until"], now),
            rate=options["rate"],
            now=now,
        )
        found = replays.replay_preview(draft)
        samples = [values_of(one, ("time", "type", "id")) for one in found.samples]
        counts = {"events": found.events, "flows": found.flows}
        for line in words.found_lines({**counts, "samples": samples}, options["service"]):
            self.stderr.write(line)
        if options["count"]:
            printed(self, options, str(found.events), counts)
            return
        if not found.events or not (options["yes"] or words.agreed()):
            self.stderr.write("Not begun.")
            raise SystemExit(1)
        begun = replays.replay_begin(draft, actor=account(), expected=found.events)
        self._noted(options, begun)
        printed(self, options, str(begun.pk), _values(begun))
        if options["wait"]:
            self._follow(begun.pk)

    def _follow(self, wanted: UUID) -> None:
        """Progress until it is no longer running; Ctrl-C leaves it running. Looks when events or notices come."""
        shown = sys.stderr.isatty()
        follower = wiring.event_log().tail([EVENTS, CONTROL])
        try:
            while (row := replays.replay_get(wanted)).status == "running":
                if shown:
                    self.stderr.write(f"\r{row.sent:,} of {row.expected or 0:,} sent\033[K", ending="")
                follower.poll(1000, timeout=_LONGEST_WAIT)
        except KeyboardInterrupt:
            self.stderr.write(words.goes_on(wanted))
            raise SystemExit(130) from None
        finally:
            follower.close()
        self.stderr.write(f"{chr(13) if shown else ''}{words.line(_values(row))}")

    def _list(self, options: dict[str, Any]) -> None:
        for row in selectors.replay_list()[: words.MOST]:
            self._show_row(options, row)

    def _show(self, options: dict[str, Any]) -> None:
        row = replays.replay_get(options["replay"])
        outcome, said = selectors.replay_outcome(row), _values(row)
        came = {"routed": outcome.routed, "executions": dict(outcome.executions)}
        line = words.outcome_line(said, outcome.routed, outcome.executions)
        printed(self, options, line, said | came)

    def _stop(self, options: dict[str, Any]) -> None:
        row = replays.replay_get(options["replay"])
        row = replays.replay_stop(row, now=datetime.now(UTC))
        self._noted(options, row)
        self._show_row(options, row)

    def _resume(self, options: dict[str, Any]) -> None:
        row = replays.replay_resume(replays.replay_get(options["replay"]))
        self._noted(options, row)
        self._show_row(options, row)

    def _noted(self, options: dict[str, Any], row: Replay) -> None:
        into = row.service
        project = into.project if into else None
        about = f"{row.pk} into {into}" if into else str(row.pk)
        command_noted(f"command:replay.{options['does']}", about, project=project)

    def _show_row(self, options: dict[str, Any], row: Replay) -> None:
        said = _values(row)
        printed(self, options, words.line(said), said)


def _values(row: Replay) -> dict[str, Any]:
    return values_of(row, words.TOLD, service=row.service.name if row.service else None)
