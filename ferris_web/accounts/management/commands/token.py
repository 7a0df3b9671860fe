"""`manage.py token USER`: a new API token, alone on standard output."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris_web.accounts.models import User
from ferris_web.accounts.services import token_create


class Command(BaseCommand):
    help = "Make a new token with which programs use the REST API as USER. Prints the token and nothing else."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER")
        parser.add_argument("--name", default="token", help="what the token is for, as lists show it")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(
                f"there is no user {options['user']!r}; make one with manage.py createsuperuser"
            )
        if not user.is_active:
            raise CommandError(f"user {user} is disabled: a token would open nothing")
        self.stdout.write(token_create(user, name=options["name"]))
