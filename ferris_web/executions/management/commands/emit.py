"""`manage.py emit TYPE --data JSON [--wait]`: sends an event and follows the flow that grows out of it."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris import events, routing
from ferris.config import CHANGES, LIFECYCLE
from ferris.errors import EventError, FerrisError
from ferris.events import Event
from ferris.ports import Consumer
from ferris_web import wiring
from ferris_web.catalog.selectors import triggers_all
from ferris_web.executions.following import Follower, Outcome
from ferris_web.executions.services import events_accept

BAD_INPUT = 2
TIMED_OUT = 3


class Command(BaseCommand):
    help = (
        "Send an event. With --wait, follow its flow until nothing in it runs any more. Exit status: 0 all "
        "well, 1 an execution failed or was cancelled, 2 the event was not accepted, 3 the time was up."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("type", metavar="TYPE", help="the event's type, such as shop.order.placed")
        parser.add_argument("--data", help="JSON; @FILE reads it from a file, - from standard input")
        parser.add_argument(
            "--source", default="ferris/command", help="the event's source (default: %(default)s)"
        )
        parser.add_argument("--subject", help="what the event is about")
        parser.add_argument("--correlation-id", help="make it part of an existing flow, or name the flow")
        parser.add_argument("--wait", action="store_true", help="follow the flow until it has settled")
        parser.add_argument(
            "--timeout", type=float, default=300.0, help="seconds to wait at most (default: %(default)s)"
        )
        parser.add_argument(
            "--json", action="store_true", help="print one JSON document at the end and nothing else"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        event = self._event(options)
        tail = wiring.event_log().tail([LIFECYCLE, CHANGES]) if options["wait"] else None
        try:
            sent = self._send(event)
            if not options["json"]:
                self.stdout.write(f"Sent {sent.type} ({sent.id}), flow {sent.flow_id}")
            self._say_when_down(waiting=tail is not None)
            outcome = self._follow(tail, sent, options) if tail else None
        except KeyboardInterrupt:
            self.stderr.write("Stopped following; the flow goes on.")
            raise SystemExit(130) from None
        finally:
            if tail:
                tail.close()
        self._conclude(sent, outcome, options)

    def _event(self, options: dict[str, Any]) -> Event:
        try:
            return events.new(
                options["type"],
                options["source"],
                _data(options["data"]),
                now=datetime.now(UTC),
                subject=options["subject"],
                correlation_id=options["correlation_id"],
            )
        except (EventError, ValueError, OSError) as error:
            raise CommandError(str(error), returncode=BAD_INPUT) from None

    def _send(self, event: Event) -> Event:
        try:
            return events_accept([event], now=datetime.now(UTC))[0]
        except EventError as error:
            raise CommandError(str(error), returncode=BAD_INPUT) from None
        except FerrisError as error:
            raise CommandError(str(error)) from None

    def _say_when_down(self, *, waiting: bool) -> None:
        address = urljoin(wiring.config().control_url, "/health/live")
        try:
            urllib.request.urlopen(address, timeout=2).close()  # noqa: S310 - http or https, from the settings
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            self.stderr.write(
                f"The platform is not running at {address}. The event is kept and will be handled when it runs "
                "(manage.py ferris); if it runs at another port, set FERRIS_PORT here as there."
                + (" Waiting for it." if waiting else "")
            )

    def _follow(self, tail: Consumer, sent: Event, options: dict[str, Any]) -> Outcome:
        show = (lambda line: None) if options["json"] else self._show
        return Follower(tail, sent.flow_id or "", show).run(options["timeout"])

    def _show(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _conclude(self, sent: Event, outcome: Outcome | None, options: dict[str, Any]) -> None:
        if options["json"]:
            said = {"id": sent.id, "correlation_id": sent.flow_id, **(outcome.to_json() if outcome else {})}
            self.stdout.write(json.dumps(said, indent=2))
        elif outcome:
            for line in outcome.lines():
                self.stdout.write(line)
            if outcome.settled and not outcome.executions:
                for line in _why_not(sent):
                    self.stdout.write(line)
        if outcome and not outcome.settled:
            self.stderr.write(f"The flow had not settled after {options['timeout']:g} s; it goes on.")
            raise SystemExit(TIMED_OUT)
        if outcome and outcome.failed:
            raise SystemExit(1)


def _data(text: str | None) -> Any:
    """The value of --data. ValueError and OSError say what is wrong with it."""
    if text is None:
        return None
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = Path(text[1:]).expanduser().read_text()
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"--data is no JSON ({error}): write it like '{{\"total\": 120}}', quotes included"
        ) from None


def _why_not(event: Event) -> list[str]:
    """Why nothing ran: what each trigger for this type found missing in the event."""
    near = [trigger for trigger in triggers_all() if routing.type_matches(trigger.event_type, event.type)]
    if not near:
        return [f"No service listens for {event.type}."]
    return [f"  {trigger.service}: {routing.explain(event, trigger)}" for trigger in near]
