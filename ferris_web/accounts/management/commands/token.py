"""`manage.py token USER`: a new API token, alone on standard output."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris_web.accounts.models import SCOPES, User
from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.services import token_create
from remote.arguments import add_token


class Command(BaseCommand):
    help = "Make a new token with which programs use the REST API as USER. Prints the token and nothing else."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER")
        add_token(parser, "USER")
        parser.add_argument("--json", action="store_true", help="an object that holds it")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(
                f"there is no user {options['user']!r}; make one with manage.py createsuperuser", returncode=2
            )
        if not user.is_active:
            raise CommandError(f"user {user} is disabled: a token would open nothing", returncode=2)
        days, names = options["days"], options["project"]
        if days is not None and not 1 <= days <= 3650:
            raise CommandError(f"--days {days}: expected 1 to 3650", returncode=2)
        token = token_create(
            user,
            options["name"],
            None if days is None else datetime.now(UTC) + timedelta(days=days),
            scopes=options["scope"] or SCOPES,
            projects=None if names is None else [self._project(name) for name in names],
        )
        command_noted(
            "command:token",
            str(user),
            name=options["name"],
            scopes=options["scope"],
            projects=names,
            days=days,
        )
        self.stdout.write(json.dumps({"token": token}) if options["json"] else token)

    def _project(self, name: str) -> int:
        found = apps.get_model("catalog", "Project").objects.filter(name=name).first()
        if found is None:
            raise CommandError(f"there is no project {name!r}", returncode=2)
        return int(found.pk)
