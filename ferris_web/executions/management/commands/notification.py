"""`manage.py notification add|list|on|off|test|log|remove`."""

from __future__ import annotations

import sys
import time
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from ferris import notifying
from ferris.errors import Conflict, NotFound
from ferris_web.accounts.printed import add_json, printed
from ferris_web.catalog import notifications, selectors
from ferris_web.catalog.models import NotificationRule
from ferris_web.executions.models import Notification
from ferris_web.executions.services import notices

BAD_INPUT = 2
_PATIENCE = 45.0
_UNDER_WAY = (Notification.Status.PENDING, Notification.Status.SENDING)


class Command(BaseCommand):
    help = (
        "Rules of what is told to people: add (or change), list, on, off, test, log, remove. Exit status: 0 done, 1 a "
        "sample did not arrive, 2 an argument is wrong."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True, metavar="add|list|on|off|test|log|remove")
        add = what.add_parser("add", help="make a rule, or change one")
        add.add_argument("name", metavar="NAME")
        add.add_argument("--project", help="needed for a new one")
        add.add_argument("--kind", choices=[kind for kind, _ in notifying.KINDS], help="needed for a new one")
        add.add_argument("--service", help="only this service")
        add.add_argument("--times", type=int, help="failures that it takes")
        add.add_argument("--within-minutes", type=int, help="in which; 0: in a row")
        add.add_argument("--quiet-minutes", type=int, help="after a message, for which nothing is sent")
        add.add_argument(
            "--targets",
            metavar="-",
            help="Apprise URLs in the place of those before, one a line, from standard input (`-`): as arguments, a "
            "list of processes would show what they hold",
        )
        listed = what.add_parser("list", help="rules, and what kind of service their targets are")
        listed.add_argument("--project", default="")
        add_json(listed)
        for name, text in (
            ("on", "let it tell"),
            ("off", "keep it, and tell nothing"),
            ("remove", "forget it"),
        ):
            what.add_parser(name, help=text).add_argument("name", metavar="NAME")
        for name, text in (
            ("test", "send a sample to each target, and wait"),
            ("log", "what it sent lately"),
        ):
            one = what.add_parser(name, help=text)
            one.add_argument("name", metavar="NAME")
            add_json(one)
            if name == "log":
                one.add_argument("--limit", type=int, default=20)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['what']}")(options)
        except (NotFound, Conflict) as error:
            raise CommandError(str(error), returncode=BAD_INPUT) from None
        except ValidationError as wrong:
            said = (f"{field}: {' '.join(texts)}" for field, texts in wrong.message_dict.items())
            raise CommandError("\n".join(said), returncode=BAD_INPUT) from None

    def _add(self, options: dict[str, Any]) -> None:
        plain = ("kind", "service", "times", "within_minutes", "quiet_minutes")
        given = {name: options[name] for name in plain if options[name] is not None}
        if options["targets"] is not None:
            if options["targets"] != "-":
                raise CommandError("--targets reads standard input: give -", returncode=BAD_INPUT)
            given["targets"] = [line.strip() for line in sys.stdin if line.strip()]
        project = selectors.project_get(options["project"]) if options["project"] else None
        self.stdout.write(_line(notifications.rule_set(options["name"], project=project, **given)))

    def _list(self, options: dict[str, Any]) -> None:
        names = (
            "name",
            "kind",
            "active",
            "service",
            "times",
            "within_minutes",
            "quiet_minutes",
            "quiet_until",
        )
        for row in notifications.rule_list(options["project"]):
            values = {name: getattr(row, name) for name in names}
            printed(
                self, options, _line(row), {**values, "project": row.project.name, "targets": _shown(row)}
            )

    def _on(self, options: dict[str, Any]) -> None:
        self.stdout.write(
            _line(notifications.rule_set(notifications.rule_get(options["name"]).name, active=True))
        )

    def _off(self, options: dict[str, Any]) -> None:
        self.stdout.write(
            _line(notifications.rule_set(notifications.rule_get(options["name"]).name, active=False))
        )

    def _test(self, options: dict[str, Any]) -> None:
        made = notices.rule_test(notifications.rule_get(options["name"]), now=timezone.now())
        end = time.monotonic() + _PATIENCE
        for row in made:
            while row.status in _UNDER_WAY:
                if time.monotonic() > end:
                    raise CommandError("nobody sent the sample; does the platform run?")
                time.sleep(0.1)  # nothing tells when a message is settled
                row.refresh_from_db()
            self._message(row, options)
        if any(row.status != Notification.Status.SENT for row in made):
            raise SystemExit(1)

    def _log(self, options: dict[str, Any]) -> None:
        for row in notices.message_list(notifications.rule_get(options["name"]))[: options["limit"]]:
            self._message(row, options)

    def _remove(self, options: dict[str, Any]) -> None:
        notifications.rule_remove(notifications.rule_get(options["name"]))
        self.stdout.write(f"The rule {options['name']} is gone; it tells nobody any more.")

    def _message(self, row: Notification, options: dict[str, Any]) -> None:
        said = f"{row.created_at:%Y-%m-%d %H:%M:%S}  {row.status:7}  {row.shown}  {row.title}"
        names = ("id", "created_at", "status", "title", "notices", "attempts", "finished_at", "problem")
        values = {name: getattr(row, name) for name in names}
        printed(self, options, f"{said}  {row.problem}".rstrip(), {**values, "target": row.shown})


def _shown(row: NotificationRule) -> list[str]:
    return [target["shown"] for target in row.targets]


def _line(row: NotificationRule) -> str:
    off = "" if row.active else "  off"
    return f"{row.name}{off}  {row.kind} of {row.service or row.project.name} -> {', '.join(_shown(row))}"
