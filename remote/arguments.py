"""The commands and their arguments, as `manage.py VERB --help` shows them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

from remote import (
    connections,
    exporting,
    letters,
    notifications,
    projects,
    records,
    replays,
    retries,
    schedules,
    subscriptions,
    syncing,
    triggers,
    values,
    verbs,
    webhooks,
)
from remote.client import Client
from remote.completion import add_shell, completion

SCOPES = ("read", "run", "write", "admin")


@dataclass(frozen=True)
class Command:
    """One command: what it does in a sentence, its arguments, and the function behind it."""

    help: str
    run: verbs.Verb
    add: Callable[[argparse.ArgumentParser], None]
    words: bool = False  # it has second words, each with a --json of its own


def _emit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", metavar="TYPE", help="the event's type, such as shop.order.placed")
    _add_data(parser)
    parser.add_argument(
        "--source", default="ferris/command", help="the event's source (default: %(default)s)"
    )
    parser.add_argument("--subject", help="what the event is about")
    parser.add_argument("--correlation-id", help="make it part of an existing flow, or name the flow")
    parser.add_argument("--wait", action="store_true", help="follow the flow until it has settled")
    parser.add_argument(
        "--timeout", type=float, default=300.0, help="seconds to wait at most (default: %(default)s)"
    )


def _flow(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "flow", metavar="FLOW", nargs="?", help="a flow's id; without one the newest flows are listed"
    )
    parser.add_argument("--type", help="of the list: flows that began with an event of this type")
    _add_limit(parser)


def _executions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--service", help="of this service")
    parser.add_argument("--status", help="with this status, such as failed or in_progress")
    _add_limit(parser)


def _services(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", metavar="TEXT", nargs="?", help="a part of their names")
    _add_limit(parser)


def _search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "query", metavar="QUERY", nargs="?", default="", help="such as 'timeout level:error -heartbeat'"
    )
    parser.add_argument(
        "--kind",
        choices=("logs", "events", "lifecycle", "metrics"),
        default="logs",
        help="(default: %(default)s)",
    )
    parser.add_argument("--since", help="a time, or so long ago: 15m, 24h, 7d")
    parser.add_argument("--until", help="a time")
    parser.add_argument("--by", help="count by this field instead, or by minute, hour, day")
    _add_limit(parser)


def _logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", metavar="EXECUTION", help="an execution's id, or a service: then its newest execution"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the execution ends")
    parser.add_argument("--tail", type=_amount, metavar="LINES", help="the last so many lines alone")


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", metavar="SERVICE")
    _add_data(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="show its log until it ends")


def _each(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("execution", metavar="EXECUTION", nargs="+", help="an execution's id")


def _why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("event", metavar="EVENT", help="an event's id or key")
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="only what it was for this service")
    parser.add_argument("--all", action="store_true", help="also services that do not listen to its type")


def add_token(parser: argparse.ArgumentParser, whose: str = "you") -> None:
    """What a token of `whose` is to be, here and on the platform's machine."""
    parser.add_argument("--name", default="token", help="what the token is for, as lists show it")
    parser.add_argument(
        "--scope",
        action="append",
        choices=SCOPES,
        help="what it may be used for; again for more (all of them)",
    )
    parser.add_argument(
        "--project",
        action="append",
        metavar="PROJECT",
        help=f"only for this project; again for more (as {whose})",
    )
    parser.add_argument("--days", type=int, help="after so many it expires (never)")


def _completion(client: Client, options: argparse.Namespace) -> int:
    del client
    sys.stdout.write(completion(options.shell, {name: parser_of(name) for name in COMMANDS}))
    return 0


def _none(parser: argparse.ArgumentParser) -> None:
    del parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", help="JSON; @FILE reads it from a file, - from standard input")


def _add_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=_amount, default=20, help="how many at most (default: %(default)s)")


def _amount(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"is {text!r}; expected a whole number from 1 to 100000")
    return int(text)


COMMANDS = {
    "emit": Command(
        "Send an event; with --wait follow its flow until nothing in it runs.", verbs.emit, _emit
    ),
    "flow": Command("Show a flow as a tree; exit status 1 when something in it failed.", verbs.flow, _flow),
    "executions": Command("List the newest executions.", verbs.executions, _executions),
    "services": Command("List services and what triggers them.", verbs.services, _services),
    "search": Command("Search log lines, events, reports and metrics.", records.search, _search),
    "logs": Command("Show an execution's log; with --follow as it is written.", verbs.logs, _logs),
    "run": Command("Run a service by hand.", verbs.run, _run),
    "retry": Command(retries.HELP, retries.retry, retries.add_retry),
    "cancel": Command("Stop executions.", verbs.cancel, _each),
    "why": Command("Say why services ran for an event, or did not.", verbs.why, _why),
    "backtest": Command(
        "Say what changed triggers would have made of past events.", triggers.backtest, triggers.add_backtest
    ),
    "token": Command("Make a token of your own; print it and nothing else.", verbs.token, add_token),
    "sync": Command("Sync a project, or put a folder of this machine there.", syncing.sync, syncing.add_sync),
    "config": Command(
        "Show and change configuration of services, projects and the platform.",
        values.config,
        values.add_config,
    ),
    "state": Command("Show and change what services remember.", values.state, values.add_state),
    "secret": Command("List secrets by name and use; set and delete them.", values.secret, values.add_secret),
    "project": Command(projects.HELP, projects.project, projects.add_project, words=True),
    "export": Command(
        "Save a project of a running platform as a folder that git takes.",
        exporting.export,
        exporting.add_export,
    ),
    "replay": Command(replays.HELP, replays.replay, replays.add_replay, words=True),
    "subscription": Command(
        subscriptions.HELP, subscriptions.subscription, subscriptions.add_subscription, words=True
    ),
    "webhook": Command(webhooks.HELP, webhooks.webhook, webhooks.add_webhook, words=True),
    "notification": Command(
        notifications.HELP, notifications.notification, notifications.add_notification, words=True
    ),
    "backfill": Command(schedules.HELP, schedules.backfill, schedules.add_backfill),
    "redrive": Command(letters.HELP, letters.redrive, letters.add_redrive),
    "connection": Command(connections.HELP, connections.connection, connections.add_connection, words=True),
    "doctor": Command("Say whether the platform is well.", verbs.doctor, _none),
    "completion": Command("Print what makes a shell complete these commands.", _completion, add_shell),
}


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of one command."""
    command = COMMANDS[name]
    parser = argparse.ArgumentParser(prog=f"manage.py {name}", description=command.help)
    command.add(parser)
    if not command.words:
        parser.add_argument(
            "--json", action="store_true", help="JSON for programs instead of text for people"
        )
    return parser
