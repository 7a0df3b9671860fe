"""Filter bars: their fields, and what a query string asks for. Wrong values filter nothing and never fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

PERIODS = (
    ("", _("any time")),
    ("15m", _("last 15 minutes")),
    ("1h", _("last hour")),
    ("24h", _("last 24 hours")),
    ("7d", _("last 7 days")),
    ("30d", _("last 30 days")),
)
_LENGTHS = {
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}


@dataclass(frozen=True)
class Choice:
    """One option of a select."""

    value: str
    text: str
    chosen: bool


def text(query: QueryDict, name: str, length: int = 512) -> str:
    """A text field's value, trimmed; NUL never reaches a database."""
    return query.get(name, "").replace("\0", "").strip()[:length]


def choices(query: QueryDict, name: str, options: Sequence[tuple[str, str]]) -> list[Choice]:
    """A select's options with the chosen one marked."""
    value = query.get(name, "")
    return [Choice(option, label, option == value) for option, label in options]


def chosen(query: QueryDict, name: str, options: Sequence[tuple[str, str]]) -> str:
    """A select's value if it is one of its options, else nothing."""
    value = query.get(name, "")
    return value if value in dict(options) else ""


def since(query: QueryDict, now: datetime) -> datetime | None:
    """The beginning of the time asked for: a period before now (`since=1h`) or a moment (`from=`, UTC)."""
    length = _LENGTHS.get(query.get("since", ""))
    return now - length if length else moment(query, "from")


def moment(query: QueryDict, name: str) -> datetime | None:
    """A date and time; without a zone it is UTC."""
    try:
        found = parse_datetime(query.get(name, ""))
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found
