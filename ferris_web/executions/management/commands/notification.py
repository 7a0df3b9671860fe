"""`manage.py notification`: as `remote/notifications.py` has it, on this machine."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.printed import LOOK_AGAIN, fresh_values, printed, refusals, values_of
from ferris_web.catalog import notifications, selectors
from ferris_web.catalog.models import NotificationRule
from ferris_web.executions.models import Notification
from ferris_web.executions.services import notices
from remote import notifications as words
from remote.words import each_settled


class Command(BaseCommand):
    help = words.HELP
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        words.add_notification(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            getattr(self, f"_{options['what']}")(options)

    def _add(self, options: dict[str, Any]) -> None:
        given = words.said_of(Namespace(**options))
        project = selectors.project_get(options["project"]) if options["project"] else None
        self._changed(options, notifications.rule_set(options["name"], project=project, **given))

    def _list(self, options: dict[str, Any]) -> None:
        for row in notifications.rule_list(options["project"]):
            self._rule(options, row)

    def _on(self, options: dict[str, Any]) -> None:
        rule = notifications.rule_get(options["name"])
        self._changed(options, notifications.rule_set(rule.name, active=True))

    def _off(self, options: dict[str, Any]) -> None:
        rule = notifications.rule_get(options["name"])
        self._changed(options, notifications.rule_set(rule.name, active=False))

    def _test(self, options: dict[str, Any]) -> None:
        made = notices.rule_test(notifications.rule_get(options["name"]), now=timezone.now())
        for said in each_settled(
            lambda: [fresh_values(row, words.MESSAGE, target=row.shown) for row in made], LOOK_AGAIN
        ):
            printed(self, options, words.message_line(said), said)
        if any(row.status != Notification.Status.SENT for row in made):
            raise SystemExit(1)

    def _log(self, options: dict[str, Any]) -> None:
        for row in notices.message_list(notifications.rule_get(options["name"]))[: options["limit"]]:
            self._message(options, row)

    def _remove(self, options: dict[str, Any]) -> None:
        name, row = options["name"], notifications.rule_get(options["name"])
        notifications.rule_remove(row)
        command_noted("command:notification.remove", name, project=row.project)
        printed(self, options, words.removed(name), {"name": name, "removed": True})

    def _changed(self, options: dict[str, Any], row: NotificationRule) -> None:
        command_noted(f"command:notification.{options['what']}", row.name, project=row.project)
        self._rule(options, row)

    def _message(self, options: dict[str, Any], row: Notification) -> None:
        said = values_of(row, words.MESSAGE, target=row.shown)
        printed(self, options, words.message_line(said), said)

    def _rule(self, options: dict[str, Any], row: NotificationRule) -> None:
        targets = [target["shown"] for target in row.targets]
        said = values_of(row, words.TOLD, project=row.project.name, targets=targets)
        printed(self, options, words.line(said), said)
