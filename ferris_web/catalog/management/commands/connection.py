"""`manage.py connection add|list|test|remove`."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import NotFound
from ferris_web.accounts.printed import add_json, printed
from ferris_web.catalog import connections, selectors


class Command(BaseCommand):
    help = "Databases that .sql scripts may use: add (or change), list, test or remove connections."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True, metavar="add|list|test|remove")
        add = what.add_parser("add", help="make a connection, or change one")
        add.add_argument("name", metavar="NAME")
        add.add_argument(
            "url",
            metavar="URL",
            help="postgresql://user:password@host:5432/database, or sqlite:////folder/file.db. "
            "`-` reads it from standard input, where no list of processes shows the password.",
        )
        add.add_argument(
            "--project", action="append", default=[], help="may use it; can be given several times"
        )
        add.add_argument("--every-project", action="store_true", help="every project may use it")
        add.add_argument("--read-only", action="store_true", help="scripts may change nothing")
        add.add_argument("--description", default="")
        add_json(what.add_parser("list", help="list connections and who may use them"))
        for one, text in (("test", "connect from this machine"), ("remove", "forget a connection")):
            what.add_parser(one, help=text).add_argument("name", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['what']}")(options)
        except NotFound as error:
            raise CommandError(str(error), returncode=2) from None
        except ValidationError as wrong:
            said = (f"{field}: {' '.join(texts)}" for field, texts in wrong.message_dict.items())
            raise CommandError("\n".join(said), returncode=2) from None

    def _add(self, options: dict[str, Any]) -> None:
        url = options["url"]
        if url == "-":
            url = getpass.getpass("URL: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
        made = connections.connection_set(
            options["name"],
            url=url,
            description=options["description"] or None,
            read_only=options["read_only"],
            every_project=options["every_project"],
            projects=[selectors.project_get(name) for name in options["project"]],
        )
        self._show(made, {"json": False})
        self._try(made)

    def _list(self, options: dict[str, Any]) -> None:
        for one in connections.connection_list():
            self._show(one, options)

    def _test(self, options: dict[str, Any]) -> None:
        if not self._try(connections.connection_get(options["name"])):
            raise SystemExit(1)

    def _remove(self, options: dict[str, Any]) -> None:
        connections.connection_remove(connections.connection_get(options["name"]))
        self.stdout.write(f"The connection {options['name']} is gone; scripts that name it fail from now on.")

    def _try(self, connection: Any) -> bool:
        tried = connections.connection_try(connection)
        self.stdout.write(tried.text)
        return tried.ok

    def _show(self, one: Any, options: dict[str, Any]) -> None:
        who = (
            "every project"
            if one.every_project
            else ", ".join(project.name for project in one.projects.all())
        )
        only = ", read only" if one.read_only else ""
        values = {name: getattr(one, name) for name in ("name", "description", "read_only", "every_project")}
        values |= {"url": one.shown, "projects": [project.name for project in one.projects.all()]}
        printed(
            self, options, f"{one.name}  {one.shown}{only}; for {who or 'no project yet (--project)'}", values
        )
