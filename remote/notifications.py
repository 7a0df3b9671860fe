"""`notification`: what is told to people."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from remote.client import Client, Refused, part
from remote.showing import clean, moment
from remote.verbs import Options
from remote.words import add_json, each_settled, given, picked, told

KINDS = ("failures", "environment", "flow_overdue", "subscription_disabled", "event_type_changed")
TOLD = (
    *("name", "kind", "active", "service", "times", "within_minutes", "quiet_minutes", "quiet_until"),
    *("project", "targets"),
)
MESSAGE = (
    *("id", "created_at", "status", "title", "notices", "attempts", "finished_at", "problem", "target"),
)
HELP = (
    "Rules of what is told to people: add (or change), list, on, off, test, log, remove. Exit status: 0 done, 1 a "
    "sample did not arrive, 2 an argument is wrong."
)


def add_notification(parser: argparse.ArgumentParser) -> None:
    """The arguments of `notification`."""
    what = parser.add_subparsers(dest="what", required=True, metavar="add|list|on|off|test|log|remove")
    add = add_json(what.add_parser("add", help="make a rule, or change one"))
    add.add_argument("name", metavar="NAME")
    add.add_argument("--project", help="needed for a new one")
    add.add_argument("--kind", choices=KINDS, help="needed for a new one")
    add.add_argument("--service", help="only this service")
    add.add_argument("--times", type=int, help="failures that it takes")
    add.add_argument("--within-minutes", type=int, help="in which; 0: in a row")
    add.add_argument("--quiet-minutes", type=int, help="after a message, for which nothing is sent")
    add.add_argument(
        "--targets",
        metavar="-",
        help="Apprise URLs in the place of those before, one a line, from standard input (`-`): as arguments, a "
        "list of processes would show what they hold",
    )
    listed = add_json(what.add_parser("list", help="rules, and what kind of service their targets are"))
    listed.add_argument("--project", default="")
    for name, text in (
        ("on", "let it tell"),
        ("off", "keep it, and tell nothing"),
        ("test", "send a sample to each target, and wait"),
        ("log", "what it sent lately"),
        ("remove", "forget it"),
    ):
        one = add_json(what.add_parser(name, help=text))
        one.add_argument("name", metavar="NAME")
        if name == "log":
            one.add_argument("--limit", type=int, default=20)


def said_of(options: Options) -> dict[str, Any]:
    """What `add` gives of a rule, but for its name and project; Refused."""
    said = given(options, "kind", "service", "times", "within_minutes", "quiet_minutes")
    if options.targets is not None:
        if options.targets != "-":
            raise Refused("--targets reads standard input: give -")
        said["targets"] = [line.strip() for line in sys.stdin if line.strip()]
    return said


def line(row: Mapping[str, Any]) -> str:
    """A rule, of what and to whom."""
    off = "" if row["active"] else "  off"
    of = row["service"] or row["project"]
    return clean(f"{row['name']}{off}  {row['kind']} of {of} -> {', '.join(row['targets'])}")


def message_line(row: Mapping[str, Any]) -> str:
    """A message to one target."""
    said = f"{moment(row['created_at'])}  {row['status']:7}  {row['target']}  {row['title']}"
    return clean(f"{said}  {row['problem'] or ''}".rstrip())


def removed(name: str) -> str:
    """What is said when one is gone."""
    return f"The rule {name} is gone; it tells nobody any more."


def notification(client: Client, options: Options) -> int:
    """One of the second words."""
    if options.what == "list":
        for row in client.all("notification-rules/", sys.maxsize, project=options.project):
            told(options, line(row), picked(row, TOLD))
        return 0
    place = f"notification-rules/{part(options.name)}/"
    if options.what == "test":
        return _test(client, options, place)
    if options.what == "log":
        for row in client.all(f"{place}messages/", options.limit):
            told(options, message_line(row), picked(row, MESSAGE))
    elif options.what == "remove":
        client.delete(place)
        told(options, removed(options.name), {"name": options.name, "removed": True})
    else:
        if options.what == "add":
            row = _add(client, options, place)
        else:
            row = client.put(place, {"active": options.what == "on"})
        told(options, line(row), picked(row, TOLD))
    return 0


def _add(client: Client, options: Options, place: str) -> Any:
    body = {**said_of(options), **given(options, "project")}
    if client.there(place):
        return client.put(place, body)
    return client.post("notification-rules/", {"name": options.name, **body})


def _test(client: Client, options: Options, place: str) -> int:
    made = {row["id"] for row in client.post(f"{place}test/")}
    failed = False
    for row in each_settled(partial(_messages, client, place, made)):
        told(options, message_line(row), picked(row, MESSAGE))
        failed |= row["status"] != "sent"
    return int(failed)


def _messages(client: Client, place: str, made: set[str]) -> list[dict[str, Any]]:
    found = [row for row in client.all(f"{place}messages/", 100) if row["id"] in made]  # the newest first
    if len(found) < len(made):
        raise Refused("some of the samples are gone")
    return found
