"""`retry`: failed executions in groups, a group once more; or single executions."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from remote import verbs
from remote.client import Client, Refused
from remote.letters import add_window, are, conclusion, confirmed, worked
from remote.showing import clean, moment
from remote.words import picked, time_of, told

GROUP = ("service", "reason", "kind", "error", "count", "first_at", "last_at", "example")
HELP = (
    "Failed executions that were not retried, by service, reason and kind of error; with --service, --reason or "
    "--kind those are retried, each once: done twice, or killed in the middle and done again, nothing runs "
    "twice. With EXECUTION these are run again, whenever it is said. Exit status: 0 done, 1 the services of some "
    "are inactive or gone, or some cannot be run again so, 2 none can, an argument is wrong, or nobody said yes."
)
AGAIN = ("execution", "id", "event_id", "correlation_id", "flow_id", "url")  # of what is run again, by its id
FAILURES = "failed execution"
DONE = ("retried", "are of services that are inactive or gone")
NEEDS_IDS = "--from-failed-step needs the ids of executions"


def add_retry(parser: argparse.ArgumentParser) -> None:
    """The arguments of `retry`."""
    parser.add_argument("execution", metavar="EXECUTION", nargs="*", help="ids of executions")
    parser.add_argument(
        "--from-failed-step",
        action="store_true",
        help="of these: go on at the step that failed, with the files that the steps before had left",
    )
    parser.add_argument("--service", default="", help="a service's name")
    parser.add_argument("--reason", default="", help="such as script_failed, timeout, executor_lost")
    parser.add_argument("--kind", default="", help="the fingerprint of an error, as the list shows it")
    add_window(parser)


def group_line(row: Mapping[str, Any]) -> str:
    """A group of failed executions."""
    window = f"{moment(row['first_at'])[:16]} to {moment(row['last_at'])[:16]} UTC"
    head = f"{row['service']}, {row['reason']}, {row['kind']}: {row['count']:,}, {window}"
    return f"{clean(head)}\n    {clean(row['error'] or '')}"


def retry(client: Client, options: argparse.Namespace) -> int:
    """List the groups there, retry one, or run executions again."""
    if options.execution:
        return _again(client, options)
    if options.from_failed_step:
        raise Refused(NEEDS_IDS)
    now = datetime.now(UTC)
    group = {name: text for name in ("service", "reason", "kind") if (text := getattr(options, name))}
    window = {name: time_of(text, now) for name in ("since", "until") if (text := getattr(options, name))}
    found = client.get("failures/", **group, **window)["results"]
    if not group:
        for row in found:
            told(options, group_line(row), picked(row, GROUP))
        return 0
    count = sum(row["count"] for row in found)
    if not confirmed(options, f"{are(count, FAILURES)} {DONE[0]}", count, partial(told, options)):
        return 0

    def piece(after: str) -> tuple[int, int, str | None]:
        done = client.post("failures/retry/", {**group, **window, "cursor": after})
        return done["sent"], done["refused"], done["next"]

    sent, refused = worked(piece, count)
    word, why = DONE
    told(options, *conclusion(word, sent, refused, why))
    return int(refused > 0)


def _again(client: Client, options: argparse.Namespace) -> int:
    """Single executions, each as a new one in its flow."""
    body = {"from_failed_step": True} if options.from_failed_step else None

    def say(execution: str, asked: dict[str, Any]) -> None:
        told(options, *again(execution, asked))

    return verbs.each(client, options, "retry", say, body)


def again(execution: str, asked: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What is said of one that was run again: in words, and as values."""
    return f"{execution} runs again as {asked['id']}", picked({"execution": execution, **asked}, AGAIN)
