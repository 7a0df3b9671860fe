"""`webhook`: what other systems send becomes events."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Mapping
from typing import Any

from remote.client import Client, Refused, part
from remote.showing import clean, moment
from remote.verbs import Options
from remote.words import add_json, given, picked, told

KINDS = {
    "standard": "Standard Webhooks",
    "github": "GitHub (X-Hub-Signature-256)",
    "stripe": "Stripe (Stripe-Signature)",
    "hmac": "HMAC in a header",
    "token": "Token in a header",
    "none": "None: whoever knows the address may send",
}
OVERLAP_HOURS = 24
TOLD = ("name", "kind", "active", "event_type", "description", "previous_until", "address")
HELP = (
    "Webhooks: list them, make one, give one another secret, send one a sample. What is printed on standard "
    "output by `new` and `rotate` is the secret that was made, and nothing else. "
    "Exit status: 0 done, 1 the sample was refused, 2 an argument is wrong."
)
UNPROVEN = "Whoever knows the address may send: its senders prove nothing."
_ON_INPUT = "a secret of the sender's, from standard input (`-`); without it one is made and printed, once"


def add_webhook(parser: argparse.ArgumentParser) -> None:
    """The arguments of `webhook`."""
    what = parser.add_subparsers(dest="what", required=True, metavar="list|new|rotate|test")
    add_json(
        what.add_parser("list", help="webhooks, their addresses, and how their senders prove themselves")
    )
    new = add_json(what.add_parser("new", help="make one; an existing one is left alone"))
    new.add_argument("name", metavar="NAME")
    new.add_argument("--kind", required=True, choices=list(KINDS), help="how requests are verified")
    new.add_argument("--type", help="type of its events (default: ferris.events.webhook.incoming)")
    new.add_argument("--type-from", help="joined to the type: header:X-GitHub-Event, or field:action")
    new.add_argument("--id-from", help="the event's id: header:NAME, field:PATH or digest")
    new.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of hmac and token: header=X-Signature, prefix=sha256=, …; can be given several times",
    )
    new.add_argument("--description", default="")
    new.add_argument("--secret", metavar="-", help=_ON_INPUT)
    rotate = add_json(what.add_parser("rotate", help="another secret; the one before it counts for a while"))
    rotate.add_argument("name", metavar="NAME")
    rotate.add_argument("--secret", metavar="-", help=_ON_INPUT)
    rotate.add_argument(
        "--overlap-hours",
        type=int,
        default=OVERLAP_HOURS,
        help="how long the secret before it counts (default: %(default)s; 0 after a leak)",
    )
    test = add_json(
        what.add_parser("test", help="send it a signed sample, which becomes an event like any other")
    )
    test.add_argument("name", metavar="NAME")


def said_of(options: Options) -> dict[str, Any]:
    """What `new` gives of a webhook, but for its name and secret; Refused."""
    said = given(options, "kind", "description", "type_from", "id_from")
    if options.type is not None:
        said["event_type"] = options.type
    return {**said, "options": dict(_pair(text) for text in options.option)}


def secret_of(options: Options) -> str | None:
    """The secret from standard input: as an argument, a list of processes would show it. None: make one; Refused."""
    if options.secret is None:
        return None
    if options.secret != "-":  # noqa: S105 - where it is read from
        raise Refused("--secret reads standard input: give -")
    said = getpass.getpass("Secret: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not said:
        raise Refused("--secret: standard input holds none")
    return said


def line(row: Mapping[str, Any]) -> str:
    """A webhook, where to send and how it is verified."""
    off = "" if row["active"] else ", switched off"
    kind = KINDS.get(row["kind"], row["kind"])
    return clean(f"{row['name']}  {row['address']}  {kind}{off}; makes {row['event_type']}")


def until(row: Mapping[str, Any]) -> str:
    """How long the secret before still counts."""
    if row["previous_until"]:
        return f"The secret before it counts until {moment(row['previous_until'])[:16]} UTC."
    return "The secret before it counts no more."


def exists(name: str) -> str:
    """Why `new` makes none."""
    return f"there is a webhook {name!r} already; rotate gives it another secret"


def without_secret(name: str) -> str:
    """Why `rotate` makes none."""
    return f"the webhook {name!r} is of kind none and has no secret"


def webhook(client: Client, options: Options) -> int:
    """One of the second words."""
    if options.what == "list":
        for row in client.all("webhooks/", sys.maxsize):
            told(options, line(row), picked(row, TOLD))
        return 0
    place = f"webhooks/{part(options.name)}/"
    if options.what == "test":
        return _test(client, options, place)
    if options.what == "new":
        row = _new(client, options, place)
        notes = [line(row), *([UNPROVEN] if row["kind"] == "none" else [])]
    else:
        if client.get(place)["kind"] == "none":
            raise Refused(without_secret(options.name))
        secret = secret_of(options)
        body = {"new_secret": True} if secret is None else {"secret": secret}
        row = client.put(place, {**body, "overlap_hours": options.overlap_hours})
        notes = [line(row), until(row)]
    print(*notes, sep="\n", file=sys.stderr)
    made = {"secret": row["secret"]} if row["secret"] else {}
    if made or options.json:
        told(options, made.get("secret", ""), {**picked(row, TOLD), **made})
    return 0


def _new(client: Client, options: Options, place: str) -> dict[str, Any]:
    body, secret = said_of(options), secret_of(options)
    try:
        made: dict[str, Any] = client.put(
            place, {**body, **({} if secret is None else {"secret": secret})}, new=True
        )
    except Refused as error:
        if error.status == 412:
            raise Refused(exists(options.name)) from None
        raise
    return made


def _test(client: Client, options: Options, place: str) -> int:
    try:
        event = client.post(f"{place}test/")
    except Refused as error:
        if error.status != 409:
            raise
        print(error, file=sys.stderr)
        return 1
    told(options, f"{event['type']} {event['id']}", event)
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Refused(f"--option is {text!r}; expected NAME=VALUE")
    return name, value
