"""Commands of `catalog.at_home` as `help` and other code find them; manage.py itself runs them without a framework."""

from __future__ import annotations

from argparse import Namespace
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import FerrisError
from ferris_web.catalog.at_home import BAD_INPUT, COMMANDS, add_arguments


class AtHome(BaseCommand):
    """The command named by `verb`."""

    verb: ClassVar[str]
    requires_system_checks: list[str] = []

    def __init_subclass__(cls) -> None:
        cls.help = COMMANDS[cls.verb].help

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(self.verb, parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            status = COMMANDS[self.verb].run(Namespace(**options))
        except FerrisError as error:
            raise CommandError(str(error), returncode=BAD_INPUT) from None
        if status:
            raise SystemExit(status)
