"""`subscription`: events pushed to URLs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from remote.client import Client, Refused, part
from remote.showing import clean, moment
from remote.verbs import Options
from remote.words import add_json, given, json_option, picked, settled, time_of, told

FORMS = ("structured", "binary")
STATUSES = ("pending", "sending", "delivered", "failed", "cancelled")
OVERLAP_HOURS = 24
TOLD = ("name", "status", "event_type", "receiver", "disabled_reason", "failing_since", "project")
DELIVERY = (
    *("id", "created_at", "status", "event_type", "event_id", "attempts", "last_status", "last_problem"),
)
HELP = "Subscriptions push events to URLs: add (or change), list, test, pause, resume, rotate, log, redeliver, remove."


def add_subscription(parser: argparse.ArgumentParser) -> None:
    """The arguments of `subscription`."""
    what = parser.add_subparsers(dest="what", required=True, metavar="add|list|test|…")
    add = add_json(what.add_parser("add", help="make a subscription, or change one"))
    add.add_argument("name", metavar="NAME")
    add.add_argument("event_type", metavar="TYPE", help="a type, prefix.* or *")
    add.add_argument("url", metavar="URL", help="`-` reads it from standard input")
    add.add_argument("--project", help="needed for a new one")
    add.add_argument("--filter", help="JSON, as in a manifest")
    add.add_argument("--cesql", help="an expression instead")
    add.add_argument("--form", choices=FORMS)
    add.add_argument("--header", action="append", metavar="NAME:VALUE", help="several are possible")
    add.add_argument("--description")
    listed = add_json(what.add_parser("list", help="list subscriptions and how they fare"))
    listed.add_argument("--project", default="")
    for name, text in (
        ("test", "send a sample and wait for what comes of it"),
        ("pause", "hold deliveries back"),
        ("resume", "let it go on"),
        ("rotate", "make a new secret; the one before signs beside it for a while"),
        ("log", "the latest deliveries"),
        ("redeliver", "send again what failed"),
        ("remove", "forget a subscription"),
    ):
        one = add_json(what.add_parser(name, help=text))
        one.add_argument("name", metavar="NAME")
        if name == "resume":
            one.add_argument("--skip", action="store_true", help="what waits is not sent")
        elif name == "rotate":
            one.add_argument("--overlap-hours", type=int, default=OVERLAP_HOURS)
        elif name == "log":
            one.add_argument("--status", choices=STATUSES, default="")
            one.add_argument("--limit", type=int, default=20)
        elif name == "redeliver":
            one.add_argument("--hours", type=float, default=24, help="of the last so many hours (24)")


def said_of(options: Options) -> dict[str, Any]:
    """What `add` gives of a subscription, but for its name and project; Refused."""
    said = given(options, "event_type", "url", "cesql", "form", "description")
    if said["url"] == "-":
        said["url"] = sys.stdin.readline().strip()
    if options.filter is not None:
        said["filter"] = json_option(options, "filter")
    if options.header is not None:
        pairs = (text.partition(":") for text in options.header)
        said["headers"] = {name.strip(): value.strip() for name, _, value in pairs}
    return said


def line(row: Mapping[str, Any]) -> str:
    """A subscription and how it fares."""
    why = f" ({row['disabled_reason']})" if row["disabled_reason"] else ""
    return clean(
        f"{row['name']}  {row['status']}{why}  {row['event_type']} -> {row['receiver']}; {row['project']}"
    )


def delivery_line(row: Mapping[str, Any]) -> str:
    """A delivery and what came of it."""
    many = "" if row["attempts"] == 1 else "s"
    said = f"{moment(row['created_at'])}  {row['status']:9}  {row['event_type']} {row['event_id'] or ''}"
    return clean(f"{said}  {row['attempts']} attempt{many}  {answer(row)}".rstrip())


def answer(row: Mapping[str, Any]) -> str:
    """What the receiver answered at last."""
    return row["last_problem"] or (f"HTTP {row['last_status']}" if row["last_status"] else "")


def tried(row: Mapping[str, Any], attempt: Mapping[str, Any] | None) -> str:
    """What came of a sample: its delivery, and its only attempt."""
    took = f" after {attempt['seconds']:.3f} s" if attempt else ""
    lines = [f"{row['status']}: {answer(row)}{took}", attempt["answer"] if attempt else None]
    return clean("\n".join(filter(None, lines)))


def secret_line(secret: str) -> str:
    """What is shown once."""
    return f"Its secret, shown this once: {secret}"


def subscription(client: Client, options: Options) -> int:
    """One of the second words."""
    if options.what == "list":
        for row in client.all("subscriptions/", sys.maxsize, project=options.project):
            told(options, line(row), picked(row, TOLD))
        return 0
    place = f"subscriptions/{part(options.name)}/"
    if options.what == "add":
        return _add(client, options, place)
    if options.what == "test":
        return _test(client, options, place)
    if options.what == "log":
        for row in client.all(f"{place}deliveries/", options.limit, status=options.status):
            told(options, delivery_line(row), picked(row, DELIVERY))
        return 0
    if options.what == "rotate":
        row = client.put(place, {"new_secret": True, "overlap_hours": options.overlap_hours})
        told(options, secret_line(row["secret"]), {**picked(row, TOLD), "secret": row["secret"]})
    elif options.what == "redeliver":
        since = time_of(f"{round(options.hours * 3600)}s", datetime.now(UTC))
        count = client.post(f"{place}redeliver/", {"since": since})["deliveries"]
        told(options, f"{count} are sent again", {"name": options.name, "deliveries": count})
    elif options.what == "remove":
        client.delete(place)
        told(options, removed(options.name), {"name": options.name, "removed": True})
    else:
        body = {"waiting": "skip" if options.skip else "drain"} if options.what == "resume" else None
        row = client.post(f"{place}{options.what}/", body)
        told(options, line(row), picked(row, TOLD))
    return 0


def removed(name: str) -> str:
    """What is said when one is gone."""
    return f"The subscription {name} is gone; nothing is sent any more."


def _add(client: Client, options: Options, place: str) -> int:
    body = {**said_of(options), **given(options, "project")}
    if client.there(place):
        row = client.put(place, body)
    elif options.project is None:
        raise Refused("project: needed for a new one: --project PROJECT")
    else:
        row = client.post("subscriptions/", {"name": options.name, **body})
    secret = {"secret": row["secret"]} if row["secret"] else {}
    lines = [line(row), *map(secret_line, secret.values())]
    told(options, "\n".join(lines), {**picked(row, TOLD), **secret})
    return 0


def _test(client: Client, options: Options, place: str) -> int:
    made = client.post(f"{place}test/")
    row = settled(lambda: client.get(f"{place}deliveries/{part(made['id'])}/"))
    attempt = row["log"][0] if row["log"] else None
    told(options, tried(row, attempt), {**picked(row, DELIVERY), "answer": (attempt or {}).get("answer")})
    return int(row["status"] != "delivered")
