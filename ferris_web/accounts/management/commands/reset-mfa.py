"""`manage.py reset-mfa USER`: for who lost every second factor, the last administrator among them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris_web.accounts.models import User
from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.printed import add_json, printed
from ferris_web.accounts.second_factors import factors_reset


class Command(BaseCommand):
    help = "Take all second factors of a person away and end their sessions: they sign in with the first one alone."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER")
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"there is no user {options['user']}", returncode=2)
        gone = factors_reset(user)
        command_noted("second-factor.reset", user.get_username())
        line = f"{gone} taken away; {user} signs in without them"
        printed(self, options, line, {"user": user.get_username(), "taken_away": gone})
