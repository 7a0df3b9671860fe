"""Limits: how many executions of a service run at once, and how often they start. Values in, decision out.

An execution of a service with limits waits as a row until it is admitted. Its keys are taken from its event once,
when the row is made; `admit` says which of those that wait may run now.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self

from ferris.events import Event

WAIT: Final = "wait"
SKIP: Final = "skip"
ON_LIMIT: Final = (WAIT, SKIP)

LONGEST_KEY: Final = 200
_PATH = re.compile(r"data(\.[^.\s]{1,100}){0,20}|[a-z0-9]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `limit` executions at once: of the service, or of each value that the event has at `key`."""

    limit: int
    key: str = ""
    on_limit: str = WAIT


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` starts within any `per` seconds: of the service, or of each value that the event has at `key`."""

    limit: int
    per: float
    key: str = ""
    on_limit: str = WAIT


@dataclass(frozen=True, slots=True)
class Limits:
    """Both limits of a service."""

    concurrency: Concurrency | None = None
    rate: Rate | None = None

    def __bool__(self) -> bool:
        return self.concurrency is not None or self.rate is not None

    def to_json(self) -> dict[str, Any]:
        """Plain values: of the limits that there are."""
        return {name: asdict(limit) for name in ("concurrency", "rate") if (limit := getattr(self, name))}

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Self:
        """From `to_json`."""
        said = document or {}
        concurrency, rate = said.get("concurrency"), said.get("rate")
        return cls(Concurrency(**concurrency) if concurrency else None, Rate(**rate) if rate else None)

    def slot(self, event: Event) -> str:
        """Whose concurrency an execution for this event counts for; empty: the whole service's."""
        return key_of(event, self.concurrency.key) if self.concurrency else ""

    def rate_key(self, event: Event) -> str | None:
        """Whose rate it counts for; None without one."""
        return key_of(event, self.rate.key) if self.rate else None


@dataclass(frozen=True, slots=True)
class Waiter:
    """An execution that waits to be admitted."""

    id: Any
    slot: str
    rate_key: str | None


@dataclass(slots=True)
class Starts:
    """Of one rate key: how many count against the limit now, and when the oldest of them stops to."""

    count: int = 0
    oldest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may run now; the others with the limit that keeps them (`concurrency` or `rate`)."""

    admitted: list[Waiter]
    kept: list[tuple[Waiter, str]]


def is_path(text: Any) -> bool:
    """True for a path into an event: an attribute's name, or `data.a.b`, as deep as you like."""
    return isinstance(text, str) and len(text) <= 1000 and bool(_PATH.fullmatch(text))


def key_of(event: Event, path: str) -> str:
    """The value at a path as a text; empty when there is none, or no path."""
    if not path:
        return ""
    head, *rest = path.split(".")
    if head == "data":
        return _text(_inside(event.data, rest))
    known = getattr(event, head) if head in ("id", "source", "type", "subject", "time") else None
    return _text(known.isoformat() if isinstance(known, datetime) else known or event.extensions.get(head))


def _inside(value: Any, names: Iterable[str]) -> Any:
    for name in names:
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _text(value: Any) -> str:
    """Short and the same for equal values: what is long is cut and carries its digest."""
    if value is None or isinstance(value, bytes):
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(text) <= LONGEST_KEY:
        return text
    return f"{text[: LONGEST_KEY - 33]}#{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def admit(
    limits: Limits, waiting: Iterable[Waiter], running: Mapping[str, int], starts: Mapping[str, Starts]
) -> Admission:
    """Go through those that wait, the most urgent first, and admit whom no limit keeps.

    `running`: by slot, how many are admitted and have not ended. `starts`: by rate key, how many have begun within
    the last `per` seconds or are admitted and have not begun yet: these may begin at any moment, so that whatever
    window is looked at, no more than `limit` begin in it.
    """
    concurrency, rate = limits.concurrency, limits.rate
    taken, begun = dict(running), {key: found.count for key, found in starts.items()}
    done = Admission([], [])
    for one in waiting:
        key = one.rate_key or ""
        if concurrency and taken.get(one.slot, 0) >= concurrency.limit:
            done.kept.append((one, "concurrency"))
        elif rate and begun.get(key, 0) >= rate.limit:
            done.kept.append((one, "rate"))
        else:
            taken[one.slot] = taken.get(one.slot, 0) + 1
            begun[key] = begun.get(key, 0) + 1
            done.admitted.append(one)
    return done


def rate_opens(rate: Rate, starts: Starts, now: datetime) -> datetime | None:
    """When a full rate takes the next; None when that depends on those that were admitted and have not begun."""
    if starts.oldest is None:
        return None
    return max(now, starts.oldest + timedelta(seconds=rate.per))
