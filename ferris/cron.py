"""Cron: when a schedule is next due. Five fields, the @names, and `minute hour day month` for a single run.

Times of day are local to the schedule's time zone, with the rules of Debian's cron (by cronsim): what falls
into the hour that is skipped in spring runs right after it, what falls into the hour that comes twice in
autumn runs once; schedules with * in minute or hour follow the real time instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from ferris.errors import FerrisError

NAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MAX_LENGTH: Final = 255

_FIELDS = {
    "minute": "0-59, * or */n",
    "hour": "0-23, * or */n",
    "day-of-month": "1-31, * or L, on a day that one of the months has",
    "month": "1-12, jan-dec or *",
    "day-of-week": "0-7 (0 and 7 are Sunday), sun-sat or *",
}
_MONTH = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_ONCE = re.compile(rf"\d{{1,2}} \d{{1,2}} \d{{1,2}} (\d{{1,2}}|{_MONTH})", re.ASCII | re.IGNORECASE)


class CronError(FerrisError, ValueError):
    """A schedule that cannot be; the text says what was expected."""


def validate(cron: str, tz: str = "UTC") -> None:
    """Return if it is a schedule, in a time zone that exists, and has a next time. Raises CronError."""
    next_after(cron, tz, datetime(2026, 1, 1, tzinfo=UTC))


def is_once(cron: str) -> bool:
    """True for the absolute form `minute hour day month`: it is due once, the next time that moment comes."""
    return len(cron.split()) == 4


def next_after(cron: str, tz: str, after: datetime) -> datetime:
    """The first time later than `after` that the schedule is due, in UTC. Raises CronError."""
    following = next(_times(cron, tz, after), None)
    if following is None:
        raise CronError(f"{cron!r} never comes")
    return following


def due_between(cron: str, tz: str, after: datetime, until: datetime, limit: int = 1000) -> list[datetime]:
    """Every time the schedule was due later than `after` and not later than `until`, oldest first.

    At most `limit`: what was missed in a long pause is not wanted in full. Raises CronError.
    """
    due: list[datetime] = []
    for time in _times(cron, tz, after):
        if time > until or len(due) >= limit:
            break
        due.append(time)
    return due


def is_due(cron: str, tz: str, time: datetime) -> bool:
    """True when the schedule was, or will be, due at exactly that time. Raises CronError."""
    return next(_times(cron, tz, time - timedelta(microseconds=1)), None) == time


def _times(cron: str, tz: str, after: datetime) -> Iterator[datetime]:
    from cronsim import CronSim, CronSimError

    expression, zone = _expression(cron), _zone(tz)
    try:
        for local in CronSim(expression, after.astimezone(zone)):
            time = local.astimezone(UTC)
            # in the hour that comes twice cronsim may answer with its first pass
            if time > after:
                yield time
    except CronSimError as error:
        raise CronError(f"{cron!r} is no schedule: {_plain(str(error))}") from None
    except (AssertionError, ValueError, OverflowError):
        raise CronError(f"{cron!r} is no schedule") from None


def _expression(cron: str) -> str:
    """The five fields that cronsim knows."""
    if len(cron) > MAX_LENGTH:
        raise CronError(f"has {len(cron)} characters; expected at most {MAX_LENGTH}")
    text = " ".join(cron.split())
    if text.startswith("@"):
        fields = NAMES.get(text.lower())
        if fields is None:
            raise CronError(f"{cron!r} is no schedule; expected one of {', '.join(NAMES)}")
        return fields
    count = text.count(" ") + 1 if text else 0
    if count == 4:
        if not _ONCE.fullmatch(text):
            raise CronError(
                f"{cron!r} is no moment; expected four numbers: minute hour day month "
                "(or five fields for a schedule that repeats)"
            )
        return f"{text} *"
    if count != 5:
        raise CronError(
            f"{cron!r} has {count} fields; expected five (minute hour day month weekday), "
            "four for a single run (minute hour day month), or a name such as @daily"
        )
    return text


def _zone(tz: str) -> tzinfo:
    if tz == "UTC":
        return UTC
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError):
        raise CronError(f"{tz!r} is no time zone known here; expected a name such as Europe/Berlin") from None


def _plain(problem: str) -> str:
    """cronsim names the field: Bad day-of-week."""
    field = problem.removeprefix("Bad ")
    return f"the field {field} is wrong; expected {_FIELDS[field]}" if field in _FIELDS else problem
