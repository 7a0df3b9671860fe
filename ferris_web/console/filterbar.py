"""The filter bar above a list: one for all lists, made of a list's definition and what the address asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext

from ferris_web.console.filters import PERIODS, Choice
from ferris_web.console.words import word
from ferris_web.executions.listings import Asked, Field, Filters

_MINE = frozenset(("cursor", "page", "format", "action", "all"))
"""What an address says beside its filters."""


@dataclass(frozen=True)
class Control:
    """One field of the bar. `kind`: `search`, `select` or `time`."""

    name: str
    label: str
    kind: str
    value: str = ""
    error: str = ""
    options: Sequence[Choice] = ()
    placeholder: str = ""
    grow: bool = False

    @property
    def id(self) -> str:
        """Of the element, which its error names."""
        return f"f-{self.name}"


@dataclass(frozen=True)
class Bar:
    """The controls that are shown, and those behind "More filters". `query`: the filters alone, as an address has
    them."""

    listing: Filters
    asked: Asked
    main: list[Control]
    more: list[Control]
    query: str
    timeless: str

    @property
    def open(self) -> bool:
        """True when something behind "More filters" is asked for."""
        return any(control.value or control.error for control in self.more)

    @property
    def timed(self) -> bool:
        """True when a time is asked for."""
        return "since" in self.asked.texts or "until" in self.asked.texts

    @property
    def filtered(self) -> bool:
        """True when something is asked for."""
        return bool(self.asked.texts)

    @property
    def errors(self) -> list[Control]:
        """The controls with something wrong."""
        return [control for control in (*self.main, *self.more) if control.error]


def bar(
    listing: Filters,
    request: HttpRequest,
    now: datetime,
    main: Sequence[str],
    extra: Sequence[Choice] = (),
    periods: Sequence[tuple[str, str]] = PERIODS,
) -> Bar:
    """The bar of a list with the fields `main` in front. `extra`: more options of the field `status`. `periods`: the
    times to choose from; if none of them is "", the first is meant where none is asked for."""
    query = request.GET.copy()
    if listing.time and periods[0][0] and not any(query.get(name) for name in ("since", "from", "until")):
        query["since"] = periods[0][0]
    if extra and query.get("status") == extra[0].value:
        del query["status"]
    asked = listing.read(query, now)
    controls = {
        one.name: _control(one, asked, request.user, extra) for one in listing.fields if not _is_time(one)
    }
    front = [controls[name] for name in main]
    behind = [control for name, control in controls.items() if name not in main]
    if listing.time:
        chosen = _times(listing, query, asked, periods)
        front += chosen[0]
        behind += chosen[1]
    return Bar(listing, asked, front, behind, plain(query).urlencode(), timeless(query))


def plain(query: QueryDict) -> QueryDict:
    """The filters of an address alone, without empty ones."""
    rest = query.copy()
    for name in [name for name, value in rest.items() if name in _MINE or not value]:
        del rest[name]
    return rest


def timeless(query: QueryDict) -> str:
    """The filters of an address but for those by time."""
    rest = plain(query)
    for name in ("since", "from", "until"):
        rest.pop(name, None)
    return rest.urlencode()


def _is_time(one: Field) -> bool:
    return one.name in ("since", "until")


def _control(one: Field, asked: Asked, user: Any, extra: Sequence[Choice]) -> Control:
    value, error = asked.texts.get(one.name, ""), asked.errors.get(one.name, "")
    options: list[tuple[str, str]] = []
    if one.kind == "choice":
        options = [(value, word(text)) for value, text in one.options]
    elif one.offered is not None:
        options = [(name, word(name) if one.name == "reason" else name) for name in one.offered(user)]
    if not options and one.kind != "choice":
        return Control(
            one.shown, one.label, "search", value, error, (), one.placeholder, grow=bool(one.short)
        )
    if value and value not in dict(options):
        options.append((value, value.replace(",", ", ").replace("_", " ")))
    given = [Choice("", gettext("any"), not value), *(Choice(v, text, v == value) for v, text in options)]
    if one.name == "status":
        given += extra
    return Control(one.shown, one.label, "select", value, error, given)


def _times(
    listing: Filters, query: QueryDict, asked: Asked, known: Sequence[tuple[str, str]]
) -> tuple[list[Control], list[Control]]:
    """A choice of periods, or the two ends of the time that was chosen."""
    label = next(gettext(one.about) for one in listing.fields if one.name == "since")
    given = query.get("since", "")
    begin, end = asked.texts.get("since", ""), asked.texts.get("until", "")
    ends = [
        Control(
            name,
            f"{words} (UTC)",
            "time",
            _field(asked, key),
            asked.errors.get(key, ""),
        )
        for name, words, key in (("from", gettext("From"), "since"), ("until", gettext("Until"), "until"))
    ]
    if (begin and begin not in dict(known)) or end:
        return ends, []
    periods = [Choice(value, text, value == given) for value, text in known]
    return [Control("since", label, "select", given, "", periods)], ends if not begin else [
        Control(one.name, one.label, one.kind) for one in ends
    ]


def _field(asked: Asked, name: str) -> str:
    """What a browser's own field for a time takes; as it was given when it is none."""
    value = asked.values.get(name)
    return f"{value:%Y-%m-%dT%H:%M:%S}" if isinstance(value, datetime) else asked.texts.get(name, "")
