"""`manage.py retry`: failed executions in groups, and a group once more."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import Conflict, NotFound
from ferris_web.accounts.printed import add_json
from ferris_web.executions.failures import FailureGroup, failure_groups
from ferris_web.executions.management.commands.redrive import window, work_off
from ferris_web.executions.selectors import execution_get
from ferris_web.executions.services import failures_retry, retry_request
from remote.letters import add_window, are

_NO_LIMIT = 10**9


class Command(BaseCommand):
    help = (
        "Failed executions that were not retried, by service, reason and kind of error; with --service, --reason or "
        "--kind those are retried, each once: done twice, or killed in the middle and done again, nothing runs "
        "twice. With EXECUTION these are run again, whenever it is said. Exit status: 0 done, 1 the services of some "
        "are inactive or gone, or some cannot be run again so, 2 an argument is wrong or nobody said yes."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("execution", metavar="EXECUTION", nargs="*", type=UUID, help="ids of executions")
        parser.add_argument(
            "--from-failed-step",
            action="store_true",
            help="of these: go on at the step that failed, with the files that the steps before had left",
        )
        parser.add_argument("--service", default="", help="a service's name")
        parser.add_argument("--reason", default="", help="such as script_failed, timeout, executor_lost")
        parser.add_argument("--kind", default="", help="the fingerprint of an error, as the list shows it")
        add_window(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["execution"]:
            self._again(options)
            return
        if options["from_failed_step"]:
            raise CommandError("--from-failed-step needs the ids of executions", returncode=2)
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
            f"{are(count, 'failed execution')} retried",
            count,
            lambda after: failures_retry(group, actor="command", now=now, after=after),
            ("retried", "are of services that are inactive or gone"),
        )

    def _again(self, options: dict[str, Any]) -> None:
        refused = 0
        for wanted in options["execution"]:
            try:
                asked = retry_request(
                    execution_get(wanted),
                    actor="command",
                    now=datetime.now(UTC),
                    from_failed_step=options["from_failed_step"],
                )
            except (Conflict, NotFound) as error:
                refused += 1
                self.stderr.write(f"{error}")
                continue
            if options["json"]:
                self.stdout.write(json.dumps({"execution": str(wanted), "id": str(asked.execution_id)}))
            else:
                self.stdout.write(f"{wanted} runs again as {asked.execution_id}")
        if refused:
            raise CommandError(f"{refused} not run again", returncode=1)

    def _list(self, wanted: FailureGroup, options: dict[str, Any]) -> None:
        found = failure_groups(wanted)
        for group in found.groups:
            if options["json"]:
                self.stdout.write(json.dumps(vars(group), default=str, ensure_ascii=False))
                continue
            self.stdout.write(
                f"{group.service}, {group.reason}, {group.kind}: {group.count:,}, "
                f"{group.first_at:%Y-%m-%d %H:%M} to {group.last_at:%Y-%m-%d %H:%M} UTC\n    {group.error}"
            )
        if found.truncated and not options["json"]:
            self.stderr.write(
                "Only the newest failures were looked at; ask for a time with --since and --until."
            )
