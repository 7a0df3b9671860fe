"""`manage.py replay`: past events sent once more; counted first, followed, stopped."""

from __future__ import annotations

import getpass
import json
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.config import CONTROL, EVENTS
from ferris.errors import FerrisError
from ferris.moments import moment
from ferris.replaying import Selection
from ferris_web import wiring
from ferris_web.accounts.printed import add_json, printed
from ferris_web.catalog.selectors import service_get
from ferris_web.executions import selectors
from ferris_web.executions.models import Replay
from ferris_web.executions.services import replays

BAD_INPUT = 2
_LONGEST_WAIT = 5.0  # should a notice be lost


class Command(BaseCommand):
    help = (
        "Send past events again, each as an event of its own in a flow of its own, marked with `ferrisreplay`. "
        "`start` counts them first and asks before it begins (--yes: it does not ask; --count: it only counts). "
        "Exit status: 0 done, 1 not begun, 2 an argument is wrong."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        does = parser.add_subparsers(dest="does", required=True, metavar="start|list|show|stop|resume")
        start = does.add_parser("start", help="count, ask, begin")
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
            one = does.add_parser(name, help=text)
            one.add_argument("replay", metavar="ID", type=UUID)
            add_json(one)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['does']}")(options)
        except (FerrisError, ValueError) as error:
            raise CommandError(str(error), returncode=BAD_INPUT) from None

    def _start(self, options: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        service = service_get(options["service"]) if options["service"] else None
        try:
            rule = None if options["filter"] is None else json.loads(options["filter"])
        except ValueError as error:
            raise ValueError(f"--filter is no JSON: {error}") from None
        selection = Selection(
            event_type=options["type"],
            filter=rule,
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
        target = "all services that listen" if service is None else service.name
        self.stderr.write(f"{found.events:,} events of {found.flows:,} flows, into {target}.")
        for event in found.samples:
            self.stderr.write(f"  {event.time:%Y-%m-%d %H:%M:%S} {event.type} {event.id}")
        if options["count"]:
            self.stdout.write(str(found.events))
            return
        if not found.events or not (options["yes"] or self._agreed()):
            self.stderr.write("Not begun.")
            raise SystemExit(1)
        begun = replays.replay_begin(draft, actor=getpass.getuser(), expected=found.events)
        self.stdout.write(str(begun.pk))
        if options["wait"]:
            self._follow(begun.pk)

    def _agreed(self) -> bool:
        if not sys.stdin.isatty():
            raise ValueError("nobody to ask: say --yes to begin")
        self.stderr.write("Begin? [y/N] ", ending="")
        return input().strip().lower() in ("y", "yes")

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
            self.stderr.write(f"\nIt goes on; manage.py replay stop {wanted} ends it.")
            raise SystemExit(130) from None
        finally:
            follower.close()
        self.stderr.write(f"{chr(13) if shown else ''}{_line(row)}")

    def _list(self, options: dict[str, Any]) -> None:
        for row in selectors.replay_list()[:100]:
            printed(self, options, _line(row), _values(row))

    def _show(self, options: dict[str, Any]) -> None:
        row = replays.replay_get(options["replay"])
        outcome = selectors.replay_outcome(row)
        runs = ", ".join(f"{count} {status}" for status, count in sorted(outcome.executions.items()))
        line = f"{_line(row)}\n  {outcome.routed:,} of its events were taken in; executions: {runs or 'none'}"
        came = {"routed": outcome.routed, "executions": dict(outcome.executions)}
        printed(self, options, line, _values(row) | came)

    def _stop(self, options: dict[str, Any]) -> None:
        row = replays.replay_stop(replays.replay_get(options["replay"]), now=datetime.now(UTC))
        printed(self, options, _line(row), _values(row))

    def _resume(self, options: dict[str, Any]) -> None:
        row = replays.replay_resume(replays.replay_get(options["replay"]))
        printed(self, options, _line(row), _values(row))


def _values(row: Replay) -> dict[str, Any]:
    names = ("id", "status", "sent", "expected", "event_type", "since", "until")
    return {name: getattr(row, name) for name in names} | {
        "service": row.service.name if row.service else None
    }


def _line(row: Replay) -> str:
    of = "" if row.expected is None else f" of {row.expected:,}"
    target = row.service.name if row.service is not None else "all"
    window = f"{row.since:%Y-%m-%d %H:%M} to {row.until:%Y-%m-%d %H:%M}"
    return f"{row.pk} {row.status}: {row.sent:,}{of} sent, {row.event_type} into {target}, {window} UTC"
