"""`manage.py webhook`: as `remote/webhooks.py` has it, on this machine."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import Conflict
from ferris.signatures import NONE, NotGenuine
from ferris_web import wiring
from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.printed import printed, refusals, values_of
from ferris_web.catalog import webhooks
from ferris_web.catalog.models import Webhook
from ferris_web.executions.services.webhooks import webhook_test
from remote import webhooks as words


class Command(BaseCommand):
    help = words.HELP
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        words.add_webhook(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            getattr(self, f"_{options['what']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        for one in webhooks.webhook_list():
            said = _values(one)
            printed(self, options, words.line(said), said)

    def _new(self, options: dict[str, Any]) -> None:
        name = options["name"]
        asked = Namespace(**options)
        said = words.said_of(asked)
        secret = words.secret_of(asked)
        try:
            made = webhooks.webhook_set(name, now=datetime.now(UTC), new=True, secret=secret, **said)
        except Conflict:
            raise Conflict(words.exists(name)) from None
        command_noted("command:webhook.new", name, kind=made.webhook.kind)
        self._told(options, made)
        if made.webhook.kind == NONE:
            self.stderr.write(words.UNPROVEN)

    def _rotate(self, options: dict[str, Any]) -> None:
        known = webhooks.webhook_get(options["name"])
        if known.kind == NONE:
            raise Conflict(words.without_secret(known.name))
        secret = words.secret_of(Namespace(**options))
        made = webhooks.webhook_set(
            known.name,
            now=datetime.now(UTC),
            secret=secret,
            new_secret=secret is None,
            overlap_hours=options["overlap_hours"],
        )
        command_noted("command:webhook.rotate", known.name)
        self._told(options, made)
        self.stderr.write(words.until(_values(made.webhook)))

    def _test(self, options: dict[str, Any]) -> None:
        try:
            event = webhook_test(webhooks.webhook_get(options["name"]), now=datetime.now(UTC))
        except NotGenuine as error:
            raise CommandError(f"the sample was refused: {error}") from None
        printed(self, options, f"{event.type} {event.id}", {"id": event.id, "type": event.type})

    def _told(self, options: dict[str, Any], made: webhooks.WebhookMade) -> None:
        said = _values(made.webhook)
        self.stderr.write(words.line(said))
        if made.secret or options["json"]:
            printed(self, options, made.secret or "", said | ({"secret": made.secret} if made.secret else {}))


def _values(one: Webhook) -> dict[str, Any]:
    return values_of(
        one, words.TOLD, address=urljoin(wiring.config().public_url or "/", f"/hooks/{one.name}/")
    )
