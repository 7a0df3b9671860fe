"""`manage.py connection`: as `remote/connections.py` has it, on this machine."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.printed import printed, refusals, values_of
from ferris_web.catalog import connections, selectors
from ferris_web.catalog.models import Connection
from remote import connections as words


class Command(BaseCommand):
    help = words.HELP
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        words.add_connection(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            getattr(self, f"_{options['what']}")(options)

    def _add(self, options: dict[str, Any]) -> None:
        said = words.said_of(Namespace(**options))
        said["projects"] = [selectors.project_get(name) for name in said["projects"]]
        made = connections.connection_set(options["name"], **said)
        command_noted("command:connection.add", made.name, url=made.shown, every_project=made.every_project)
        values, tried = _values(made), connections.connection_try(made)
        line = f"{words.line(values)}\n{tried.text}"
        printed(self, options, line, values | words.reached(vars(tried)))

    def _list(self, options: dict[str, Any]) -> None:
        for one in connections.connection_list():
            values = _values(one)
            printed(self, options, words.line(values), values)

    def _test(self, options: dict[str, Any]) -> None:
        tried = connections.connection_try(connections.connection_get(options["name"]))
        printed(self, options, tried.text, {"name": options["name"], **words.reached(vars(tried))})
        if not tried.ok:
            raise SystemExit(1)

    def _remove(self, options: dict[str, Any]) -> None:
        name = options["name"]
        connections.connection_remove(connections.connection_get(name))
        command_noted("command:connection.remove", name)
        printed(self, options, words.removed(name), {"name": name, "removed": True})


def _values(one: Connection) -> dict[str, Any]:
    projects = [project.name for project in one.projects.all()]
    return values_of(one, words.TOLD, url=one.shown, projects=projects)
