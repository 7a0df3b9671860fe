"""`manage.py webhook list|new|rotate|test`."""

from __future__ import annotations

import getpass
import sys
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import Conflict, FerrisError
from ferris.signatures import KINDS, NONE, NotGenuine
from ferris_web import wiring
from ferris_web.accounts.printed import add_json, printed
from ferris_web.catalog import webhooks
from ferris_web.catalog.models import Webhook
from ferris_web.executions.services.webhooks import webhook_test

BAD_INPUT = 2
_ON_INPUT = "a secret of the sender's, from standard input (`-`); without it one is made and printed, once"


class Command(BaseCommand):
    help = (
        "Webhooks: list them, make one, give one another secret, send one a sample. What is printed on standard "
        "output by `new` and `rotate` is the secret that was made, and nothing else. "
        "Exit status: 0 done, 1 the sample was refused, 2 an argument is wrong."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True, metavar="list|new|rotate|test")
        listed = what.add_parser(
            "list", help="webhooks, their addresses, and how their senders prove themselves"
        )
        add_json(listed)
        new = what.add_parser("new", help="make one; an existing one is left alone")
        new.add_argument("name", metavar="NAME")
        new.add_argument("--kind", required=True, choices=list(KINDS), help="how requests are verified")
        new.add_argument("--type", help="type of its events (default: ferris.events.webhook.incoming)")
        new.add_argument("--type-from", help="joined to the type: header:X-GitHub-Event, or field:action")
        new.add_argument("--id-from", help="the event's id: header:NAME, field:PATH or digest")
        new.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="of hmac and token: header=X-Signature, prefix=sha256=, …; can be given several times",
        )
        new.add_argument("--description", default="")
        new.add_argument("--secret", metavar="-", help=_ON_INPUT)
        rotate = what.add_parser("rotate", help="another secret; the one before it counts for a while")
        rotate.add_argument("name", metavar="NAME")
        rotate.add_argument("--secret", metavar="-", help=_ON_INPUT)
        rotate.add_argument(
            "--overlap-hours",
            type=int,
            default=webhooks.OVERLAP_HOURS,
            help="how long the secret before it counts (default: %(default)s; 0 after a leak)",
        )
        test = what.add_parser("test", help="send it a signed sample, which becomes an event like any other")
        test.add_argument("name", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['what']}")(options)
        except ValidationError as wrong:
            said = (f"{field}: {' '.join(texts)}" for field, texts in wrong.message_dict.items())
            raise CommandError("\n".join(said), returncode=BAD_INPUT) from None
        except (FerrisError, ValueError) as error:
            raise CommandError(str(error), returncode=BAD_INPUT) from None

    def _list(self, options: dict[str, Any]) -> None:
        for one in webhooks.webhook_list():
            names = ("name", "kind", "active", "event_type", "description", "previous_until")
            values = {name: getattr(one, name) for name in names}
            printed(self, options, _line(one), {**values, "address": _address(one)})

    def _new(self, options: dict[str, Any]) -> None:
        name = options["name"]
        if Webhook.objects.filter(name=name).exists():
            raise Conflict(f"there is a webhook {name!r} already; rotate gives it another secret")
        said = {
            "kind": options["kind"],
            "description": options["description"],
            "options": dict(_pair(text) for text in options["option"]),
            "event_type": options["type"],
            "type_from": options["type_from"],
            "id_from": options["id_from"],
        }
        given = {field: value for field, value in said.items() if value is not None}
        made = webhooks.webhook_set(name, now=datetime.now(UTC), secret=_secret(options), **given)
        self._told(made)
        if made.webhook.kind == NONE:
            self.stderr.write("Whoever knows the address may send: its senders prove nothing.")

    def _rotate(self, options: dict[str, Any]) -> None:
        known = webhooks.webhook_get(options["name"])
        if known.kind == NONE:
            raise Conflict(f"the webhook {known.name!r} is of kind none and has no secret")
        secret = _secret(options)
        made = webhooks.webhook_set(
            known.name,
            now=datetime.now(UTC),
            secret=secret,
            new_secret=secret is None,
            overlap_hours=options["overlap_hours"],
        )
        self._told(made)
        until = made.webhook.previous_until
        self.stderr.write(
            f"The secret before it counts until {until:%Y-%m-%d %H:%M} UTC."
            if until
            else "The secret before it counts no more."
        )

    def _test(self, options: dict[str, Any]) -> None:
        try:
            event = webhook_test(webhooks.webhook_get(options["name"]), now=datetime.now(UTC))
        except NotGenuine as error:
            raise CommandError(f"the sample was refused: {error}") from None
        self.stdout.write(f"{event.type} {event.id}")

    def _told(self, made: webhooks.WebhookMade) -> None:
        self.stderr.write(_line(made.webhook))
        if made.secret:
            self.stdout.write(made.secret)


def _line(one: Webhook) -> str:
    off = "" if one.active else ", switched off"
    return f"{one.name}  {_address(one)}  {KINDS.get(one.kind, one.kind)}{off}; makes {one.event_type}"


def _address(one: Webhook) -> str:
    return urljoin(wiring.config().public_url or "/", f"/hooks/{one.name}/")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--option is {text!r}; expected NAME=VALUE")
    return name, value


def _secret(options: dict[str, Any]) -> str | None:
    """The secret from standard input: as an argument, a list of processes would show it."""
    said = options["secret"]
    if said is None:
        return None
    if said != "-":
        raise ValueError("--secret reads standard input: give -")
    said = getpass.getpass("Secret: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not said:
        raise ValueError("--secret: standard input holds none")
    return said
