"""What a list can be filtered by, and what a query asks for: values, or for each wrong one why."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import Model, QuerySet
from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from ferris.events import rfc3339
from ferris_web.accounts.permissions import reach
from ferris_web.executions.visibility import Projects, within
from ferris_web.keyset import Way

LONGEST = 512
_PERIOD = re.compile(r"(\d{1,5})(m|h|d)", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_PLUS_LOST = re.compile(r".*T.* \d\d:\d\d")
Rows = QuerySet[Any]
TIMES: Final = frozenset(("since", "until"))
"""The fields that say over which time."""
Options = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Field:
    """One filter. `name` is what the API and stored filters call it, `short` what the console's addresses do.

    `kind`: `text`, `choice` (of `options`; `many`: of several of them), `moment`. `offered`: what the console offers
    a person where any text is taken. `about`: what happened at a
    moment. `synonyms`: other words for its options; for "", that nothing is asked. `narrow`: few rows may fit, and an
    index has them. Of several such filters, and of the others, the first one finds the fewest.
    """

    name: str
    label: str
    apply: Callable[[Rows, Any], Rows]
    help: str = ""
    kind: str = "text"
    options: Options = ()
    many: bool = False
    narrow: bool = False
    short: str = ""
    placeholder: str = ""
    about: str = ""
    offered: Callable[[Any], list[str]] | None = None
    synonyms: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Its name in the console."""
        return self.short or self.name

    def read(self, given: Sequence[str], now: datetime) -> Any:
        """The value of what was given, None for nothing; ValueError says what is wrong with it."""
        texts = [text.strip() for text in given if text.strip()]
        if not texts:
            return None
        if self.kind == "choice":
            return self._chosen(texts)
        text = texts[-1]
        if "\0" in text:
            raise ValueError("holds a NUL character")
        if len(text) > LONGEST:
            raise ValueError(f"is longer than {LONGEST} characters")
        return moment(text, now) if self.kind == "moment" else text

    def _chosen(self, texts: Sequence[str]) -> Any:
        known = [value for value, _ in self.options]
        parts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
        found = [value for part in parts if (value := self.synonyms.get(part.lower(), part))]
        if not found:
            return None
        for value in found:
            if value not in known:
                raise ValueError(f"is {value[:40]!r}; expected {' or '.join(known)}")
        return tuple(dict.fromkeys(found)) if self.many else found[-1]


def moment(text: str, now: datetime) -> datetime:
    """A date and time (without a zone it is UTC), or a period before now such as 15m, 24h, 7d. ValueError."""
    if found := _PERIOD.fullmatch(text):
        return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
    if _PLUS_LOST.fullmatch(text):  # a plus in an address that was not written as %2B
        text = text[:-6] + "+" + text[-5:]
    try:
        parsed = parse_datetime(text)
    except ValueError:
        parsed = None
    if parsed is None:
        raise ValueError(f"is {text[:40]!r}; expected a time such as 2026-01-31T12:00:00Z, or 15m, 24h, 7d")
    try:
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"is {text[:40]!r}: no such time") from None


@dataclass(frozen=True)
class Asked:
    """What a query asks of a list: values and errors by the fields' names, and the texts as they were given."""

    values: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The values with nothing relative in them: the same rows, whenever it is read again."""
        return {name: _plain(value) for name, value in self.values.items()}


class Filters:
    """What can be asked for in one filter bar; `time` tells that times are among it."""

    name: str
    title: str
    fields: tuple[Field, ...]
    time: str

    def read(self, query: QueryDict, now: datetime) -> Asked:
        """What a query asks for, by the fields' names or their short ones. Others are not looked at."""
        values, errors, texts = {}, {}, {}
        for one in self.fields:
            given = [text for text in (*query.getlist(one.name), *query.getlist(one.short)) if text.strip()]
            if given:
                texts[one.name] = (",".join(given) if one.many else given[-1])[:LONGEST]
            try:
                value = one.read(given, now)
            except ValueError as error:
                errors[one.name] = str(error)
            else:
                if value is not None:
                    values[one.name] = value
        since, until = values.get("since"), values.get("until")
        if since and until and since >= until:
            errors["until"] = "is not after the beginning"
        return Asked(values, errors, texts)

    def of(self, values: Mapping[str, Any]) -> Asked:
        """What `Asked.to_json` has kept."""
        query = QueryDict(mutable=True)
        for name, value in values.items():
            query[name] = ",".join(value) if isinstance(value, list) else str(value)
        return self.read(query, datetime.now(UTC))


@dataclass(frozen=True)
class Listing(Filters):
    """One list, in the order `order`; `time` is the field that its times look at."""

    name: str
    title: str
    model: type[Model]
    fields: tuple[Field, ...]
    order: tuple[str, ...]
    time: str = ""
    along: Callable[[Rows, Mapping[str, Any], bool], Rows] | None = None
    """How a page reads what fits, given what is asked for and whether the rows are those of all projects."""

    found_by: Callable[[Projects | None, Mapping[str, Any]], Way | None] | None = None
    """See `way`, of what is asked for."""

    def way(self, whose: Projects | None, asked: Asked) -> Way | None:
        """How a page finds its rows, of these projects (None: of all); None: in its one query."""
        return None if self.found_by is None or asked.errors else self.found_by(whose, asked.values)

    def shown(self, user: Any, asked: Asked) -> Rows:
        """The rows that fit, of those that this person may see, as pages and files of them read them."""
        whose = reach(user)
        found = self.found(asked, whose)
        if self.along is None or asked.errors:
            return found
        return self.along(found, asked.values, whose is None)

    def found(self, asked: Asked, whose: Projects | None, *, without: Sequence[str] = ()) -> Rows:
        """The rows of these projects (None: of all) that fit; none while something asked for is wrong. `without`: but
        for these filters."""
        found = self.model._default_manager.all()
        if asked.errors:
            return found.none()
        fields = [one for one in self.fields if one.name in asked.values and one.name not in without]
        broad = [one for one in reversed(fields) if not one.narrow and one.name not in TIMES]
        for one in (*broad, *(one for one in fields if one.name in TIMES)):
            found = one.apply(found, asked.values[one.name])
        # Whose they are is said behind what many may have, since that decides how they are read: see `visibility`.
        found = within(found, whose, many=True)
        for one in reversed(fields):
            found = one.apply(found, asked.values[one.name]) if one.narrow else found
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    return list(value) if isinstance(value, tuple) else value
