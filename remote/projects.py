"""`project`: sets of services kept in folders or git repositories."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from remote import syncing
from remote.client import Client, Refused, part
from remote.showing import clean, moment
from remote.verbs import Options
from remote.words import add_json, picked, told

REPOSITORY = ("source", "branch", "folder", "commit", "synced_at")
HELP = "Add, list or remove projects: sets of services kept in folders or git repositories."


def add_project(parser: argparse.ArgumentParser) -> None:
    """The arguments of `project`."""
    what = parser.add_subparsers(dest="what", required=True, metavar="add|list|remove")
    add = add_json(what.add_parser("add", help="add a project, or another repository to one, and sync it"))
    add.add_argument("name", metavar="NAME")
    add.add_argument("source", metavar="SOURCE", help="a folder of the platform's machine, or a git URL")
    add.add_argument("--branch", default="", help="of a git URL; the repository's default branch otherwise")
    add.add_argument("--folder", default="", help="inside it, that holds the services; its root otherwise")
    add.add_argument(
        "--deploy-key",
        action="store_true",
        help="make a key pair that opens an ssh URL, and print its public half; otherwise the keys of who runs the "
        "platform do",
    )
    add.add_argument(
        "--token", action="store_true", help="read the access token of an https URL from standard input"
    )
    add.add_argument("--username", default="", help="of the token, where the host asks for one")
    add.add_argument("--no-sync", action="store_true", help="only add it")
    add_json(what.add_parser("list", help="list projects and where they come from"))
    remove = add_json(
        what.add_parser("remove", help="forget a project's repositories and deactivate its services")
    )
    remove.add_argument("name", metavar="NAME")


def said_of(options: Options) -> dict[str, Any]:
    """What `add` gives of a repository."""
    return {
        "source": options.source,
        "branch": options.branch,
        "folder": options.folder,
        "token": sys.stdin.readline().strip() if options.token else "",
        "username": options.username,
        "own_key": options.deploy_key,
    }


def lines(row: Mapping[str, Any]) -> str:
    """A project and its repositories."""
    said = [f"{row['name']}  ({row['services']} services)"]
    for one in row["repositories"]:
        branch = f" branch {one['branch']}" if one["branch"] else ""
        when = f"synced {moment(one['synced_at'])[:16]} UTC" if one["synced_at"] else "never synced"
        said.append(f"  {one['source']}{branch}, {when}")
    return "\n".join(map(clean, said))


def added(options: Options, public_key: str | None) -> tuple[str, dict[str, Any]]:
    """What `add` says, in words and as values, before anything is synced."""
    text = f"Project {options.name} has the repository {options.source}."
    if public_key:
        text += (
            f"\nGive this deploy key to its host, with the right to read; then manage.py sync {options.name}\n"
            f"\n{public_key}"
        )
    return text, {"project": options.name, "source": options.source, "public_key": public_key or None}


def will_be_refused(taken: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """What is said before a sync of folders that it will refuse."""
    for one in taken:
        yield clean(
            f"{one['service']}: the name is taken by a service of project {one['project']}; a sync will refuse it"
        )


def removed(name: str, gone: list[str]) -> tuple[str, dict[str, Any]]:
    """What `remove` says, in words and as values."""
    kept = f"; deactivated, with their history kept: {', '.join(gone)}" if gone else ""
    return f"Removed the repositories of {name}{kept}.", {"project": name, "deactivated": gone}


def project(client: Client, options: Options) -> int:
    """One of the second words."""
    if options.what == "add":
        return _add(client, options)
    if options.what == "remove":
        gone = client.delete(f"projects/{part(options.name)}/")
        told(options, *removed(options.name, gone["deactivated"]))
        return 0
    for row in client.all("projects/", sys.maxsize):
        kept = [picked(one, REPOSITORY) for one in row["repositories"]]
        values = {"name": row["name"], "services": row["service_count"], "repositories": kept}
        told(options, lines(values), values)
    return 0


def _add(client: Client, options: Options) -> int:
    key = None
    try:
        made = client.post("projects/", {"name": options.name, **said_of(options)})
    except Refused as error:
        if error.status != 409:
            raise
        print(f"Nothing added: {error}", file=sys.stderr)
    else:
        key = made["repositories"][-1]["public_key"]
        told(options, *added(options, key))
        if options.no_sync:
            for line in will_be_refused(made.get("taken", ())):
                print(line, file=sys.stderr)
    if key or options.no_sync:
        return 0
    return syncing.synced(client, options)
