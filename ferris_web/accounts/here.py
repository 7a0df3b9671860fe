"""The commands of `remote/` on the platform's own machine: the same requests, as its first administrator."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris_web import wiring
from ferris_web.accounts.models import ApiToken, User
from ferris_web.accounts.services import token_create
from remote.arguments import COMMANDS
from remote.client import Client, Refused

_LONGEST = timedelta(days=1)  # a command that was killed leaves its token behind, and that ends by itself


class Here(BaseCommand):
    """A command of `remote.arguments`, named by `verb`, with a token of its own for as long as it runs."""

    verb: ClassVar[str]
    requires_system_checks: list[str] = []

    def __init_subclass__(cls) -> None:
        cls.help = COMMANDS[cls.verb].help

    def add_arguments(self, parser: CommandParser) -> None:
        COMMANDS[self.verb].add(parser)
        parser.add_argument(
            "--json", action="store_true", help="JSON for programs instead of text for people"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        asked_here(self.verb, options)


def asked_here(verb: str, options: dict[str, Any]) -> None:
    """Carry the command out; SystemExit with its status when that is not 0."""
    name = f"manage.py {verb}"
    user = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if user is None:
        raise CommandError("there is no administrator: `manage.py createsuperuser` makes one", returncode=2)
    token = token_create(user, name, datetime.now(UTC) + _LONGEST)
    try:
        client = Client(wiring.config().control_url.removesuffix("/control"), token)
        status = COMMANDS[verb].run(client, Namespace(**options))
    except Refused as error:
        raise CommandError(str(error), returncode=2) from None
    except KeyboardInterrupt:
        status = 130
    finally:
        ApiToken.objects.filter(user=user, name=name, prefix=token[:12]).delete()
    if status:
        raise SystemExit(status)
