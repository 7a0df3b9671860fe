"""`manage.py project`: as `remote/projects.py` has it, on this machine."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from ferris.errors import Conflict
from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.printed import printed, refusals, values_of
from ferris_web.catalog import repositories, selectors, services
from remote import projects as words


class Command(BaseCommand):
    help = words.HELP
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        words.add_project(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        {"add": self._add, "list": self._list, "remove": self._remove}[options["what"]](options)

    def _add(self, options: dict[str, Any]) -> None:
        name = options["name"]
        key = ""
        with refusals():
            try:
                made = repositories.repository_add(
                    name, **words.said_of(Namespace(**options)), now=datetime.now(UTC)
                )
                key = made.public_key
                command_noted("command:project.add", name, project=made.project, source=made.source)
            except Conflict as known:
                self.stderr.write(f"Nothing added: {known}")
            else:
                printed(self, options, *words.added(Namespace(**options), key))
                if options["no_sync"]:
                    for line in words.will_be_refused(map(vars, repositories.names_taken(made))):
                        self.stderr.write(line)
        if not key and not options["no_sync"]:
            call_command("sync", name, json=options["json"], stdout=self.stdout, stderr=self.stderr)

    def _list(self, options: dict[str, Any]) -> None:
        for project in selectors.project_list():
            kept = [values_of(one, words.REPOSITORY) for one in project.repositories.all()]
            said = {"name": project.name, "services": project.service_count, "repositories": kept}
            printed(self, options, words.lines(said), said)

    def _remove(self, options: dict[str, Any]) -> None:
        with refusals():
            project = selectors.project_get(options["name"])
            gone = services.project_remove(project, now=datetime.now(UTC))
            command_noted("command:project.remove", options["name"], project=project)
        printed(self, options, *words.removed(options["name"], gone))
