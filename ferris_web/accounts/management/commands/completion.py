"""`manage.py completion bash|zsh|fish`: what a shell offers when Tab is pressed."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandParser

from remote.completion import add_shell, completion

# Of Django's own commands those that people who run a platform need.
_DJANGO = ("check", "migrate", "shell")


class Command(BaseCommand):
    help = "Print what makes a shell complete the commands and their options."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_shell(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        ours = {config.name for config in apps.get_app_configs() if not config.name.startswith("django")}
        parsers = {}
        for name, app in get_commands().items():
            if name in _DJANGO or (app in ours and app.startswith(("ferris_web", "embedded"))):
                parsers[name] = load_command_class(app, name).create_parser("manage.py", name)
        self.stdout.write(completion(options["shell"], parsers), ending="")
