"""`connection`: databases that .sql scripts may use."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Mapping
from typing import Any

from remote.client import Client, part
from remote.showing import clean
from remote.verbs import Options
from remote.words import add_json, picked, told

TOLD = ("name", "description", "read_only", "every_project", "url", "projects")
HELP = (
    "Databases that .sql scripts may use: add (or change), list, test or remove connections. The platform's machine "
    "connects, not this one. Exit status: 0 done, 1 a test did not reach it, 2 an argument is wrong."
)


def add_connection(parser: argparse.ArgumentParser) -> None:
    """The arguments of `connection`."""
    what = parser.add_subparsers(dest="what", required=True, metavar="add|list|test|remove")
    add = add_json(what.add_parser("add", help="make a connection, or change one"))
    add.add_argument("name", metavar="NAME")
    add.add_argument(
        "url",
        metavar="URL",
        help="postgresql://user:password@host:5432/database, or sqlite:////folder/file.db. "
        "`-` reads it from standard input, where no list of processes shows the password.",
    )
    add.add_argument("--project", action="append", default=[], help="may use it; can be given several times")
    add.add_argument("--every-project", action="store_true", help="every project may use it")
    add.add_argument("--read-only", action="store_true", help="scripts may change nothing")
    add.add_argument("--description", default="")
    add_json(what.add_parser("list", help="list connections and who may use them"))
    for one, text in (("test", "connect from the platform's machine"), ("remove", "forget a connection")):
        add_json(what.add_parser(one, help=text)).add_argument("name", metavar="NAME")


def said_of(options: Options) -> dict[str, Any]:
    """What `add` says of a connection, projects by name."""
    said: dict[str, Any] = {
        "url": _url(options.url),
        "read_only": options.read_only,
        "every_project": options.every_project,
        "projects": options.project,
    }
    return {**said, "description": options.description} if options.description else said


def line(row: Mapping[str, Any]) -> str:
    """A connection, and who may use it."""
    who = (
        "every project"
        if row["every_project"]
        else ", ".join(row["projects"]) or "no project yet (--project)"
    )
    only = ", read only" if row["read_only"] else ""
    return clean(f"{row['name']}  {row['url'] or '(hidden)'}{only}; for {who}")


def reached(tried: Mapping[str, Any]) -> dict[str, Any]:
    """What came of a test, as values."""
    return {"reached": tried["ok"], "said": tried["text"]}


def removed(name: str) -> str:
    """What is said when one is gone."""
    return f"The connection {name} is gone; scripts that name it fail from now on."


def connection(client: Client, options: Options) -> int:
    """One of the second words."""
    if options.what == "list":
        for row in client.all("connections/", sys.maxsize):
            told(options, line(row), picked(row, TOLD))
        return 0
    place = f"connections/{part(options.name)}/"
    if options.what == "add":
        row = client.put(place, said_of(options))
        tried = client.post(f"{place}test/")
        told(options, f"{line(row)}\n{clean(tried['text'])}", {**picked(row, TOLD), **reached(tried)})
    elif options.what == "test":
        tried = client.post(f"{place}test/")
        told(options, clean(tried["text"]), {"name": options.name, **reached(tried)})
        return int(not tried["ok"])
    else:
        client.delete(place)
        told(options, removed(options.name), {"name": options.name, "removed": True})
    return 0


def _url(given: str) -> str:
    if given != "-":
        return given
    return getpass.getpass("URL: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
