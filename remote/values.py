"""`config`, `state` and `secret`: what services read and remember, their history, and names of secrets."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from typing import Any

from remote.client import Client, part
from remote.showing import clean, moment, print_json, table
from remote.verbs import BAD_INPUT, Options, json_of

_WHAT = ("get", "set", "delete", "list", "history", "restore")


def add_config(parser: argparse.ArgumentParser) -> None:
    """The arguments of `config`."""
    _add(parser)
    parser.add_argument("--project", metavar="PROJECT", help="that of a project")
    parser.add_argument("--platform", action="store_true", help="that of the platform")
    parser.add_argument("--env", action="store_true", help="ferris.env, which every script can read")
    parser.add_argument(
        "--effective",
        action="store_true",
        help="with get: what the service's executions get, of its own, its project's and the platform's",
    )


def add_state(parser: argparse.ArgumentParser) -> None:
    """The arguments of `state`."""
    _add(parser)


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=_WHAT, help="list: which there are; restore: what a change made it")
    parser.add_argument(
        "name", metavar="SERVICE", nargs="?", help="of which service; with list a part of the name"
    )
    parser.add_argument(
        "--change", type=_number, metavar="NUMBER", help="with history and restore: this change"
    )
    parser.add_argument(
        "--at", metavar="TIME", help="with get: what it was then, such as 2026-01-31T12:00:00Z"
    )
    parser.add_argument("--data", help="with set: JSON; @FILE reads it from a file, - from standard input")
    parser.add_argument(
        "--limit", type=_number, default=100, help="with list and history: how many (default: %(default)s)"
    )


def add_secret(parser: argparse.ArgumentParser) -> None:
    """The arguments of `secret`."""
    parser.add_argument("what", choices=("list", "set", "delete"), help="no command shows a value")
    parser.add_argument("name", metavar="NAME", nargs="?", help="the secret's; with list a part of it")
    parser.add_argument("--service", metavar="SERVICE", help="of this service")
    parser.add_argument(
        "--project", metavar="PROJECT", help="of this project; with list of its services, too"
    )
    parser.add_argument("--platform", action="store_true", help="of the platform")
    parser.add_argument("--unused", action="store_true", help="with list: only what no service has used")
    parser.add_argument(
        "--as-json",
        action="store_true",
        help="with set: the value is JSON; it is asked for, or read from a pipe",
    )
    parser.add_argument(
        "--limit", type=_number, default=1000, help="with list: how many (default: %(default)s)"
    )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 2**31 - 1):
        raise argparse.ArgumentTypeError(f"is {text!r}; expected a whole number from 1")
    return int(text)


def config(client: Client, options: Options) -> int:
    """A configuration: of a service, a project, the platform, or `ferris.env`."""
    if options.what == "list":
        return _list(client, options, "config")
    chosen = [bool(options.name), bool(options.project), options.platform, options.env]
    if sum(chosen) != 1:
        return _wrong("name a SERVICE, or --project PROJECT, or --platform, or --env")
    if options.effective:
        if not options.name or options.what != "get":
            return _wrong("--effective goes with `get SERVICE`")
        return _effective(client, options)
    if options.env:
        return _one(client, options, "platform/ferris-env/", "ferris.env")
    if options.platform:
        return _one(client, options, "platform/config/", "configuration of the platform")
    if options.project:
        place = f"projects/{part(options.project)}/config/"
        return _one(client, options, place, f"configuration of the project {options.project}")
    return _one(client, options, f"services/{part(options.name)}/config/", f"configuration of {options.name}")


def state(client: Client, options: Options) -> int:
    """The state of a service."""
    if options.what == "list":
        return _list(client, options, "state")
    if not options.name:
        return _wrong("name a SERVICE")
    return _one(client, options, f"services/{part(options.name)}/state/", f"state of {options.name}")


def secret(client: Client, options: Options) -> int:
    """Secrets: their names, who uses them; set and delete."""
    if options.what == "list":
        return _secrets(client, options)
    owners = {
        f"services/{part(options.service or '')}/secrets/": options.service,
        f"projects/{part(options.project or '')}/secrets/": options.project,
        "secrets/": options.platform,
    }
    places = [place for place, wanted in owners.items() if wanted]
    if not options.name or len(places) != 1:
        return _wrong("name the secret, and one of --service SERVICE, --project PROJECT, --platform")
    address = f"{places[0]}{part(options.name)}/"
    if options.what == "delete":
        client.delete(address)
        return _said(f"The secret {options.name} was removed.")
    text = getpass.getpass("Value: ") if sys.stdin.isatty() else sys.stdin.read().removesuffix("\n")
    try:
        value = json.loads(text) if options.as_json else text
    except ValueError:
        return _wrong("the value is no JSON; nothing was changed")
    client.put(address, {"value": value})
    return _said(f"The secret {options.name} was set.")


def _one(client: Client, options: Options, place: str, named: str) -> int:
    if options.what in ("history", "restore"):
        return _past(client, options, place, named)
    if options.what == "set":
        if options.data is None:
            return _wrong("--data: expected JSON, @FILE, or - for standard input")
        client.put(place, json_of(options.data))
        return _said(f"The {named} was set.")
    if options.what == "delete":
        client.delete(place)
        return _said(f"The {named} was removed.")
    value = client.get(place, at=options.at)
    if options.json:
        print(json.dumps(value, ensure_ascii=False))
    else:
        print_json(value)
    return 0


def _past(client: Client, options: Options, place: str, named: str) -> int:
    if options.what == "restore":
        if options.change is None:
            return _wrong("--change NUMBER: which one? `history` lists them")
        client.post(f"{place}history/{options.change}/restore/")
        return _said(f"The {named} is again what change {options.change} made it.")
    if options.change is not None:
        row = client.get(f"{place}history/{options.change}/")
        if options.json:
            print(json.dumps(row, ensure_ascii=False))
            return 0
        print(*table(_HISTORY, [_change(row)]), sep="\n")
        print(*map(clean, row["difference"]), *([clean(row["note"])] if row["note"] else []), sep="\n")
        return 0
    rows = list(client.all(f"{place}history/", options.limit))
    return _rows(options, rows, _HISTORY, [_change(row) for row in rows])


_HISTORY = ["change", "when", "by", "bytes"]


def _change(row: dict[str, Any]) -> list[str]:
    what = "removed" if row["removed"] else "not kept" if row["masked"] else str(row["size"])
    return [str(row["number"]), moment(row["at"]), f"{row['by']} {row['actor']}".strip(), what]


def _effective(client: Client, options: Options) -> int:
    rows = client.get(f"services/{part(options.name)}/config/effective/")["values"]
    shown = [[row["name"], json.dumps(row["value"], ensure_ascii=False), row["scope"]] for row in rows]
    return _rows(options, rows, ["name", "value", "from"], shown)


def _list(client: Client, options: Options, kind: str) -> int:
    rows = list(client.all("values/", options.limit, kind=kind, q=options.name))
    shown = [
        [row["service"] or row["project"] or "(platform)", row["project"] or "", *_change(row)]
        for row in rows
    ]
    return _rows(options, rows, ["of", "project", *_HISTORY], shown)


def _secrets(client: Client, options: Options) -> int:
    scope = "platform" if options.platform else ""
    asked = {"q": options.name, "scope": scope, "project": options.project, "service": options.service}
    asked["unused"] = "true" if options.unused else None
    rows = list(client.all("known-secrets/", options.limit, **asked))
    shown = [
        [
            row["name"],
            row["service"] or row["project"] or "(platform)",
            row["scope"],
            moment(row["updated_at"]),
            row["set_by"],
            f"{moment(row['used_by'][0]['at'])} {row['used_by'][0]['service']}"
            if row["used_by"]
            else "never",
            str(row["services"]),
        ]
        for row in rows
    ]
    return _rows(options, rows, ["secret", "of", "scope", "set", "by", "last used", "services"], shown)


def _rows(options: Options, rows: list[dict[str, Any]], head: list[str], shown: list[list[str]]) -> int:
    if options.json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
    else:
        print(*table(head, shown), sep="\n")
    return 0


def _said(text: str) -> int:
    print(text, file=sys.stderr)
    return 0


def _wrong(text: str) -> int:
    print(text, file=sys.stderr)
    return BAD_INPUT
