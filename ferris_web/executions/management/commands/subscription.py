"""`manage.py subscription`: as `remote/subscriptions.py` has it, on this machine."""

from __future__ import annotations

from argparse import Namespace
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.printed import LOOK_AGAIN, fresh_values, printed, refusals, values_of
from ferris_web.catalog import selectors, subscriptions
from ferris_web.catalog.models import Subscription
from ferris_web.executions.services import deliveries
from remote import subscriptions as words
from remote.words import settled


class Command(BaseCommand):
    help = words.HELP
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        words.add_subscription(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            getattr(self, f"_{options['what']}")(options)

    def _add(self, options: dict[str, Any]) -> None:
        made = subscriptions.subscription_set(
            options["name"],
            now=timezone.now(),
            project=selectors.project_get(options["project"]) if options["project"] else None,
            actor="manage.py",
            **words.said_of(Namespace(**options)),
        )
        self._noted(options, made.subscription)
        said = _values(made.subscription)
        secret = {"secret": made.secret} if made.secret else {}
        lines = [words.line(said), *map(words.secret_line, secret.values())]
        printed(self, options, "\n".join(lines), said | secret)

    def _list(self, options: dict[str, Any]) -> None:
        for one in subscriptions.subscription_list(options["project"]):
            self._show(options, one)

    def _test(self, options: dict[str, Any]) -> None:
        row = subscriptions.subscription_get(options["name"])
        made = deliveries.subscription_test(row, now=timezone.now())
        said = settled(lambda: fresh_values(made, words.DELIVERY), LOOK_AGAIN)
        attempt = made.log.first()
        took = None if attempt is None else {"seconds": attempt.seconds, "answer": attempt.answer}
        values = said | {"answer": took["answer"] or None if took else None}
        printed(self, options, words.tried(said, took), values)
        if made.status != "delivered":
            raise SystemExit(1)

    def _pause(self, options: dict[str, Any]) -> None:
        row = subscriptions.subscription_pause(subscriptions.subscription_get(options["name"]))
        self._noted(options, row)
        self._show(options, row)

    def _resume(self, options: dict[str, Any]) -> None:
        row = subscriptions.subscription_get(options["name"])
        waiting = deliveries.SKIP if options["skip"] else deliveries.DRAIN
        row = deliveries.subscription_resume(row, waiting=waiting, now=timezone.now())
        self._noted(options, row, waiting=waiting)
        self._show(options, row)

    def _rotate(self, options: dict[str, Any]) -> None:
        row = subscriptions.subscription_get(options["name"])
        made = subscriptions.subscription_set(
            row.name, now=timezone.now(), new_secret=True, overlap_hours=options["overlap_hours"]
        )
        self._noted(options, row)
        values = _values(made.subscription) | {"secret": made.secret}
        printed(self, options, words.secret_line(str(made.secret)), values)

    def _log(self, options: dict[str, Any]) -> None:
        row = subscriptions.subscription_get(options["name"])
        for one in deliveries.delivery_list(row, options["status"])[: options["limit"]]:
            said = values_of(one, words.DELIVERY)
            printed(self, options, words.delivery_line(said), said)

    def _redeliver(self, options: dict[str, Any]) -> None:
        row = subscriptions.subscription_get(options["name"])
        now = timezone.now()
        count = deliveries.deliveries_again(row, since=now - timedelta(hours=options["hours"]), now=now)
        self._noted(options, row, deliveries=count)
        printed(self, options, f"{count} are sent again", {"name": row.name, "deliveries": count})

    def _remove(self, options: dict[str, Any]) -> None:
        name, row = options["name"], subscriptions.subscription_get(options["name"])
        subscriptions.subscription_remove(row)
        self._noted(options, row)
        printed(self, options, words.removed(name), {"name": name, "removed": True})

    def _noted(self, options: dict[str, Any], row: Subscription, **said: Any) -> None:
        command_noted(f"command:subscription.{options['what']}", options["name"], project=row.project, **said)

    def _show(self, options: dict[str, Any], row: Subscription) -> None:
        said = _values(row)
        printed(self, options, words.line(said), said)


def _values(row: Subscription) -> dict[str, Any]:
    return values_of(row, words.TOLD, project=row.project.name)
