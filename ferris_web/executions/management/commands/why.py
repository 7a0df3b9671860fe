"""`manage.py why EVENT [SERVICE]`: why services ran for an event or not; and why an execution waits."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.config import EVENTS
from ferris.errors import FerrisError, NotFound
from ferris.verdicts import Kind, Reason
from ferris_web.catalog.selectors import service_by_name_or_id
from ferris_web.executions import selectors, why
from ferris_web.executions.backlog import ROUTER, backlog
from ferris_web.executions.models import DeadLetter, Event, Execution
from ferris_web.executions.why import Verdict

UNKNOWN = 2
_LONGEST_LOOK = 5000  # records behind the router's place that are searched for an event


class Command(BaseCommand):
    help = (
        "Why services ran for an event, or did not. EVENT is its id, its key, or the id of an execution, which is "
        "then told too: what it waits for, how it ended. Without SERVICE: those that ran and those that listen for "
        "the type (--all: every other, too). Exit status: 0 answered (of one SERVICE: it ran), 1 SERVICE did not "
        "run, 2 there is no such event or service."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("event", metavar="EVENT", help="an event's id or key, or an execution's id")
        parser.add_argument("service", metavar="SERVICE", nargs="?", help="one service, by name or id")
        parser.add_argument(
            "--all", action="store_true", help="also services that do not listen for the type"
        )
        parser.add_argument("--json", action="store_true", help="JSON lines: one verdict on each")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = _execution(options["event"])
            row = run.event if run is not None else selectors.event_get(options["event"])
            if run is not None and not options["service"]:
                self._tell(why.verdict_of(row, run.service), options)
                if not options["json"]:
                    self._about(run)
                return
            if options["service"]:
                verdict = why.verdict_of(row, service_by_name_or_id(options["service"]))
                self._tell(verdict, options)
                if verdict.execution is None:
                    raise SystemExit(1)
                return
        except NotFound as error:
            raise CommandError(f"{error}{_elsewhere(options['event'])}", returncode=UNKNOWN) from None
        except FerrisError as error:
            raise CommandError(str(error), returncode=UNKNOWN) from None
        self._list(row, options)

    def _list(self, row: Event, options: dict[str, Any]) -> None:
        if not options["json"]:
            copies = f", came {row.copies} more times and changed nothing then" if row.copies else ""
            self.stdout.write(f"{row.type} {row.event_id} from {row.source}, revision {row.revision}{copies}")
        stages = why.STAGES if options["all"] else why.STAGES[:2]
        place, count = None, 0
        while True:
            page = why.verdict_page(row, stages=stages, after=place, limit=500)
            for verdict in page.verdicts:
                self._tell(verdict, options)
            count += len(page.verdicts)
            place = page.following
            if place is None:
                break
        if not count and not options["json"]:
            self.stdout.write(f"No service listens for {row.type}, then or now.")

    def _tell(self, verdict: Verdict, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(_plain(verdict), ensure_ascii=False, default=str))
            return
        for line in lines(verdict):
            self.stdout.write(line)

    def _about(self, run: Execution) -> None:
        said = f"    attempt {run.attempt}, {run.trigger_type}, lane {run.lane}"
        self.stdout.write(f"{said}, created {run.created_at:%Y-%m-%d %H:%M:%S} UTC")
        if run.reason or run.error:
            self.stdout.write(f"    {run.reason}: {run.error}".rstrip(": "))


def lines(verdict: Verdict) -> list[str]:
    """A verdict for people."""
    reason, run = verdict.reason, verdict.execution
    head = f"{verdict.service.name}: {reason.kind.value.replace('_', ' ')}"
    if run is not None and reason.kind in (Kind.RAN, Kind.WAITING):
        found = [f"{head}, execution {run.pk} is {run.status}"]
    elif run is not None:
        found = [f"{head}: {reason.why}, which is {run.status}"]
    else:
        found = [f"{head}: {reason.why}"]
    if verdict.waiting is not None:
        found.append(f"    it waits {verdict.waiting.text}")
    if not verdict.exact:
        found.append("    (the catalog of that time is not kept: this is by the oldest that is)")
    if verdict.changed and verdict.today is not None:
        today = "it would match" if verdict.matches_today else f"it would not match: {verdict.today.why}"
        found.append(f"    its triggers have changed since; today {today}")
    return found


def _plain(verdict: Verdict) -> dict[str, Any]:
    run = verdict.execution
    return {
        "service": verdict.service.name,
        "project": verdict.service.project.name,
        **_reason(verdict.reason),
        "execution": None if run is None else {"id": str(run.pk), "status": run.status, "reason": run.reason},
        "waiting": None if verdict.waiting is None else verdict.waiting.to_json(),
        "exact": verdict.exact,
        "changed": verdict.changed,
        "today": None
        if verdict.today is None
        else {**_reason(verdict.today), "matches": verdict.matches_today},
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "verdict": reason.kind.value,
        "why": reason.why,
        "trigger": reason.trigger or None,
        "clause": reason.clause or None,
        "expected": reason.expected,
        "seen": reason.seen,
    }


def _execution(text: str) -> Execution | None:
    try:
        found = Execution.objects.select_related("service__project", "event").filter(pk=UUID(text))
    except ValueError:
        return None
    return found.first()


def _elsewhere(wanted: str) -> str:
    """Where an event that is not in the journal may be."""
    letter = DeadLetter.objects.defer("value").filter(event_id=wanted).order_by("-id").first()
    if letter is not None:
        return f": it was put aside, {letter.reason}: {letter.detail} (dead letter {letter.pk})"
    waiting = backlog(EVENTS, ROUTER, most=_LONGEST_LOOK)
    if waiting is None:
        return f": it may be among the more than {_LONGEST_LOOK} that the router has not read yet"
    if any(f'"{wanted}"'.encode() in record.value for record in waiting):
        return ": it is on the log, and the router has not read it yet"
    return ""
