"""`manage.py connection add|list|test|remove`."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ferris_web.accounts.printed import add_json, printed, refusals
from ferris_web.catalog import connections, selectors
from ferris_web.catalog.models import Connection


class Command(BaseCommand):
    help = "Databases that .sql scripts may use: add (or change), list, test or remove connections."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True, metavar="add|list|test|remove")
        add = add_json(what.add_parser("add", help="make a connection, or change one"))
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
            add_json(what.add_parser(one, help=text)).add_argument("name", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            getattr(self, f"_{options['what']}")(options)

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
        line, values = _told(made)
        tried = connections.connection_try(made)
        printed(self, options, f"{line}\n{tried.text}", values | {"reached": tried.ok, "said": tried.text})

    def _list(self, options: dict[str, Any]) -> None:
        for one in connections.connection_list():
            printed(self, options, *_told(one))

    def _test(self, options: dict[str, Any]) -> None:
        tried = connections.connection_try(connections.connection_get(options["name"]))
        values = {"name": options["name"], "reached": tried.ok, "said": tried.text}
        printed(self, options, tried.text, values)
        if not tried.ok:
            raise SystemExit(1)

    def _remove(self, options: dict[str, Any]) -> None:
        name = options["name"]
        connections.connection_remove(connections.connection_get(name))
        line = f"The connection {name} is gone; scripts that name it fail from now on."
        printed(self, options, line, {"name": name, "removed": True})


def _told(one: Connection) -> tuple[str, dict[str, Any]]:
    projects = [project.name for project in one.projects.all()]
    who = "every project" if one.every_project else ", ".join(projects) or "no project yet (--project)"
    only = ", read only" if one.read_only else ""
    names = ("name", "description", "read_only", "every_project")
    values = {name: getattr(one, name) for name in names} | {"url": one.shown, "projects": projects}
    return f"{one.name}  {one.shown}{only}; for {who}", values
