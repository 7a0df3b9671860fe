"""`manage.py project add|list|remove`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import Conflict, NotFound
from ferris_web.accounts.printed import add_json, printed
from ferris_web.catalog import repositories, selectors, services


class Command(BaseCommand):
    help = "Add, list or remove projects: sets of services kept in folders or git repositories."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True, metavar="add|list|remove")
        add = what.add_parser("add", help="add a project, or another repository to one, and sync it")
        add.add_argument("name", metavar="NAME")
        add.add_argument("source", metavar="SOURCE", help="a folder of this machine, or a git URL")
        add.add_argument(
            "--branch", default="", help="of a git URL; the repository's default branch otherwise"
        )
        add.add_argument(
            "--folder", default="", help="inside it, that holds the services; its root otherwise"
        )
        add.add_argument(
            "--deploy-key",
            action="store_true",
            help="make a key pair that opens an ssh URL, and print its public half; otherwise your own keys do",
        )
        add.add_argument(
            "--token", action="store_true", help="read the access token of an https URL from standard input"
        )
        add.add_argument("--username", default="", help="of the token, where the host asks for one")
        add.add_argument("--no-sync", action="store_true", help="only add it")
        add_json(what.add_parser("list", help="list projects and where they come from"))
        remove = what.add_parser("remove", help="forget a project's repositories and deactivate its services")
        remove.add_argument("name", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        {"add": self._add, "list": self._list, "remove": self._remove}[options["what"]](options)

    def _add(self, options: dict[str, Any]) -> None:
        name = options["name"]
        try:
            added = repositories.repository_add(
                name,
                options["source"],
                options["branch"],
                options["folder"],
                token=sys.stdin.readline().strip() if options["token"] else "",
                username=options["username"],
                own_key=options["deploy_key"],
                now=datetime.now(UTC),
            )
            self.stdout.write(f"Project {name} has the repository {options['source']}.")
            if added.public_key:
                self.stdout.write(
                    f"Give this deploy key to its host, with the right to read; then manage.py sync {name}\n"
                )
                self.stdout.write(added.public_key)
                return
        except Conflict as known:
            self.stdout.write(f"Nothing added: {known}")
        except ValidationError as wrong:
            raise CommandError(
                "\n".join(f"{field}: {' '.join(said)}" for field, said in wrong.message_dict.items()),
                returncode=2,
            ) from None
        if not options["no_sync"]:
            call_command("sync", name, stdout=self.stdout, stderr=self.stderr)

    def _list(self, options: dict[str, Any]) -> None:
        for project in selectors.project_list():
            kept = list(project.repositories.all())
            if options["json"]:
                printed(self, options, "", _told(project, kept))
                continue
            self.stdout.write(f"{project.name}  ({project.service_count} services)")
            for repository in kept:
                branch = f" branch {repository.branch}" if repository.branch else ""
                when = (
                    f"synced {repository.synced_at:%Y-%m-%d %H:%M} UTC"
                    if repository.synced_at
                    else "never synced"
                )
                self.stdout.write(f"  {repository.source}{branch}, {when}")

    def _remove(self, options: dict[str, Any]) -> None:
        try:
            gone = services.project_remove(selectors.project_get(options["name"]), now=datetime.now(UTC))
        except (Conflict, NotFound) as error:
            raise CommandError(str(error), returncode=2) from None
        kept = f"; deactivated, with their history kept: {', '.join(gone)}" if gone else ""
        self.stdout.write(f"Removed the repositories of {options['name']}{kept}.")


def _told(project: Any, kept: list[Any]) -> dict[str, Any]:
    names = ("source", "branch", "folder", "commit", "synced_at")
    return {
        "name": project.name,
        "services": project.service_count,
        "repositories": [{name: getattr(one, name) for name in names} for one in kept],
    }
