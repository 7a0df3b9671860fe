"""Moments as people write them, a time or how long ago; and as programs are told them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ferris.attributes import time_of
from ferris.documents import duration_of
from ferris.errors import EventError

_LONGEST = 100 * 366 * 86400.0


def moment(text: str, now: datetime) -> datetime:
    """A time of RFC 3339, or a length of time before now. ValueError."""
    seconds = duration_of(text) if not text.isdecimal() else None
    if seconds is not None and 0 <= seconds < _LONGEST:
        return now - timedelta(seconds=seconds)
    try:
        return time_of(text)
    except EventError:
        raise ValueError(f"{text!r} is no time; expected 30m, 12h, 7d, or a time of RFC 3339") from None


def stamp(time: datetime) -> str:
    """A time as the API has it: RFC 3339, in UTC, to the millisecond."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
