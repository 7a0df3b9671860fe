"""`manage.py retry`: as `remote/retries.py` has it, on this machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from ferris.errors import Conflict, NotFound
from ferris_web import wiring
from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.printed import add_json, printed, values_of
from ferris_web.catalog.models import Project
from ferris_web.executions.failures import FailureGroup, failure_groups
from ferris_web.executions.management.commands.redrive import window, work_off
from ferris_web.executions.selectors import execution_get
from ferris_web.executions.services import Requested, failures_retry, retry_request
from remote import retries as words
from remote.letters import are

_NO_LIMIT = 10**9


class Command(BaseCommand):
    help = words.HELP
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        words.add_retry(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["execution"]:
            self._again(options)
            return
        if options["from_failed_step"]:
            raise CommandError(words.NEEDS_IDS, returncode=2)
        since, until = window(options)
        group = FailureGroup(options["service"], options["reason"], options["kind"], since, until)
        if not (group.service or group.reason or group.kind):
            self._list(group, options)
            return
        count = sum(found.count for found in failure_groups(group, _NO_LIMIT).groups)
        now = datetime.now(UTC)
        work_off(
            self,
            options,
            f"{are(count, words.FAILURES)} {words.DONE[0]}",
            count,
            lambda after: failures_retry(group, actor="command", now=now, after=after),
            words.DONE,
            lambda sent: command_noted(
                "command:retry", _about(group), project=_project(group), executions=sent
            ),
        )

    def _again(self, options: dict[str, Any]) -> None:
        refused = 0
        for wanted in options["execution"]:
            try:
                found = execution_get(_id(wanted))
                asked = retry_request(
                    found,
                    actor="command",
                    now=datetime.now(UTC),
                    from_failed_step=options["from_failed_step"],
                )
            except (Conflict, NotFound) as error:
                refused += 1
                self.stderr.write(f"{error}")
                continue
            command_noted(
                "command:retry",
                f"{found.service} {wanted}",
                project=found.service.project,
                from_failed_step=options["from_failed_step"],
            )
            printed(self, options, *words.again(wanted, _values(asked)))
        if refused:
            none_done = refused == len(options["execution"])
            raise CommandError(f"{refused} not run again", returncode=2 if none_done else 1)

    def _list(self, wanted: FailureGroup, options: dict[str, Any]) -> None:
        found = failure_groups(wanted)
        for group in found.groups:
            values = values_of(group, words.GROUP)
            printed(self, options, words.group_line(values), values)
        if found.truncated and not options["json"]:
            self.stderr.write(
                "Only the newest failures were looked at; ask for a time with --since and --until."
            )


def _about(group: FailureGroup) -> str:
    return " ".join(text for text in (group.service, group.reason, group.kind) if text)


def _project(group: FailureGroup) -> Project | None:
    return Project.objects.filter(services__name=group.service).first() if group.service else None


def _values(asked: Requested) -> dict[str, Any]:
    """As the API answers."""
    address = reverse("api:execution", args=[asked.execution_id])
    return {
        "id": str(asked.execution_id),
        "event_id": asked.event_id,
        "correlation_id": asked.flow_id,
        "flow_id": asked.flow_id,
        "url": f"{wiring.config().public_url}{address}",
    }


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"{text} is no execution's id: `executions` lists them") from None
