"""Retry: whether and when a failed execution is tried again, from the manifest's `retry`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

JITTER = 0.1
"""At most this share of the delay is added: what failed together shall not return together."""

LOST_BEFORE_START = 10
"""So many attempts may die with their executor before user code started, on top of the manifest's own."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often an execution is tried. Times are seconds.

    `attempts` counts every try, the first included: 1 means no retry. The delay before try n + 1 is
    `delay * backoff ** (n - 1)`, at most `max_delay`. `on_lost`: also try again when the executor died
    while user code ran (only for scripts that may safely run twice).
    """

    attempts: int = 1
    delay: float = 10.0
    backoff: float = 2.0
    max_delay: float = 3600.0
    on_lost: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "attempts": self.attempts,
            "delay": self.delay,
            "backoff": self.backoff,
            "max_delay": self.max_delay,
            "on_lost": self.on_lost,
        }


def next_attempt(retry: Retry, attempt: int, now: datetime, *, execution_id: str = "") -> datetime | None:
    """When the try after `attempt` (1 = the first) is due, or None when there are no more.

    The jitter is computed from the execution's id and the attempt: asking twice answers the same.
    """
    if attempt >= retry.attempts:
        return None
    return now + timedelta(seconds=_delay(retry, attempt) * (1 + JITTER * _share(execution_id, attempt)))


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
