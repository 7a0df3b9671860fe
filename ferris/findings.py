"""What a look at a part of the platform brings to light, and what the looks of several adapters have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, runtime_checkable

LOW_DISK, NO_DISK, FULL_DISK = 2 * 1024**3, 200 * 1024**2, 50 * 1024**2
SKEW = timedelta(seconds=2)


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `remedy` is empty when nothing is wrong."""

    level: Literal["ok", "warning", "failure"]
    part: str
    text: str
    remedy: str = ""


@runtime_checkable
class Examined(Protocol):
    """A backend that can tell more about itself than its port asks: version, rights, room, clock."""

    def examine(self) -> Iterator[Finding]:
        """Look at everything, make what is missing and can be made. BackendError when it does not answer."""
        ...


class Broker(Examined, Protocol):
    """What carries the doorbells, beside Celery's own connections to it."""

    def reach(self) -> dict[str, Any]:
        """Sign in; what it says of itself. BackendError."""
        ...

    def waiting(self) -> dict[str, tuple[int, int] | None]:
        """(messages, consumers) by lane; None for a lane whose queue nobody has declared. BackendError."""
        ...

    def declare(self, queues: Iterable[Any]) -> None:
        """Make the lanes' queues, so that they are there before anybody rings. BackendError."""
        ...


def room(part: str, where: str, free: int) -> Finding:
    """Free bytes on a server's disk."""
    text = f"{where}, {free / 1024**3:.1f} GiB free"
    if free < NO_DISK:
        return Finding("failure", part, text, "free space on this disk: nothing more can be written soon")
    if free < LOW_DISK:
        return Finding("warning", part, text, "free space on this disk, or lower FERRIS_RETENTION_DAYS")
    return Finding("ok", part, text)


def clock(part: str, server: datetime, asked: datetime, answered: datetime) -> Iterator[Finding]:
    """A server's time beside this machine's; between question and answer any time is right. Quiet when they agree."""
    skew = max(asked - server, server - answered, timedelta())
    if skew > SKEW:
        text = f"the server's clock and this machine's differ by {skew.total_seconds():.0f} s"
        yield Finding("warning", part, text, "set both by NTP: leases and schedules go by them")
