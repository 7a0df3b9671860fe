"""Retry: whether and when a failed execution is tried again, from the manifest's `retry`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final, Self

JITTER = 0.1
"""At most this share of the delay is added: what failed together shall not return together."""

LOST_BEFORE_START = 10
"""So many attempts may die with their executor before user code started, on top of the manifest's own."""


REASONS: Final = ("script_failed", "timeout", "environment", "package", "platform")
"""What a rule may name: the reasons of `ferris.lifecycle` after which another try can end differently."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed. `error` is the last line a script said about it, such as `ValueError: too late`."""

    reason: str
    exit_code: int | None = None
    signal: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Some failures: `kind` is `reason`, `exit_code`, `signal` or `error`; any one of the values matches.

    The values of `error` are patterns with `*` and `?`, held against the whole line, and against the exception's
    name, each also without its module: `ConnectionError` finds `requests.exceptions.ConnectionError: refused`.
    """

    kind: str
    values: tuple[str | int, ...]

    def matches(self, failure: Failure) -> bool:
        """True when the failure is one of these."""
        if self.kind == "error":
            told = _told(failure.error)
            return any(fnmatchcase(text, str(pattern)) for pattern in self.values for text in told)
        return getattr(failure, self.kind) in self.values


@dataclass(frozen=True, slots=True)
class Retry:
    """How often an execution is tried. Times are seconds.

    `attempts` counts every try, the first included: 1 means no retry. The delay before try n + 1 is
    `delay * backoff ** (n - 1)`, at most `max_delay`; with `cron` it is the next such time instead.
    `on_lost`: also try again when the executor died while user code ran (only for scripts that may safely
    run twice). With `only_on` just those failures are tried again, and never what `never_on` holds.
    """

    attempts: int = 1
    delay: float = 10.0
    backoff: float = 2.0
    max_delay: float = 3600.0
    on_lost: bool = False
    cron: str = ""
    timezone: str = "UTC"
    only_on: tuple[Rule, ...] = ()
    never_on: tuple[Rule, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values. What is newer than the first five is left out unless it is used: executors may be older."""
        document: dict[str, Any] = {
            "attempts": self.attempts,
            "delay": self.delay,
            "backoff": self.backoff,
            "max_delay": self.max_delay,
            "on_lost": self.on_lost,
        }
        if self.cron:
            document |= {"cron": self.cron, "timezone": self.timezone}
        for name in ("only_on", "never_on"):
            if rules := getattr(self, name):
                document[name] = [{"kind": rule.kind, "values": list(rule.values)} for rule in rules]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """From `to_json`, or from `dataclasses.asdict`. What a newer platform adds is ignored."""
        known = {name: document[name] for name in cls.__slots__ if name in document}
        for name in ("only_on", "never_on"):
            known[name] = tuple(Rule(rule["kind"], tuple(rule["values"])) for rule in known.get(name, ()))
        return cls(**known)

    def applies(self, failure: Failure) -> bool:
        """Whether the rules let this failure be tried again."""
        if any(rule.matches(failure) for rule in self.never_on):
            return False
        return not self.only_on or any(rule.matches(failure) for rule in self.only_on)


def next_attempt(
    retry: Retry, attempt: int, now: datetime, *, execution_id: str = "", failure: Failure | None = None
) -> datetime | None:
    """When the try after `attempt` (1 = the first) is due, or None when there are no more, or not after this
    failure.

    The jitter is computed from the execution's id and the attempt: asking twice answers the same. A cron
    expression is taken by its word.
    """
    if attempt >= retry.attempts or (failure is not None and not retry.applies(failure)):
        return None
    if retry.cron:
        from ferris.cron import next_after

        return next_after(retry.cron, retry.timezone, now)
    return now + timedelta(seconds=_delay(retry, attempt) * (1 + JITTER * _share(execution_id, attempt)))


def _told(line: str) -> Iterable[str]:
    """The line and the exception's name in it, each with and without the module."""
    name, colon, rest = line.partition(":")
    short = name.rpartition(".")[2]
    return {line, name, short, f"{short}{colon}{rest}"}


def _delay(retry: Retry, attempt: int) -> float:
    try:
        grown = retry.delay * retry.backoff ** (max(attempt, 1) - 1)
    except OverflowError:
        return retry.max_delay
    return min(grown, retry.max_delay)


def _share(execution_id: str, attempt: int) -> float:
    """A number from 0 to 1 that depends on nothing but its arguments."""
    digest = hashlib.blake2b(f"{execution_id}:{attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) / 0xFFFFFFFF
