"""Places in long lists: a page begins behind a row, as fast on the thousandth page as on the first, both ways."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import orjson
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet

from ferris_web.planning import first_said


class WrongCursor(ValueError):
    """A cursor that no page of this list gave out."""


@dataclass(frozen=True)
class Slice:
    """Rows in their order. `before` and `after` are the cursors of the pages beside it; "" where there is none."""

    rows: list[Any]
    before: str
    after: str


class Way(Protocol):
    """How the rows of a page are found, where a database would walk past many others."""

    def first(
        self, rows: QuerySet[Any], order: Sequence[str], most: int, place: Sequence[Any] | None = None
    ) -> QuerySet[Any]:
        """A superset of the first `most` of these rows, all of which are behind the place."""
        ...


@dataclass(frozen=True)
class Apart:
    """Rows that all have one of these values in `field`. An index of that field and the order has those of each value
    in their order, and not those of several. A `Way`."""

    field: str
    values: Sequence[Any]

    def first(
        self, rows: QuerySet[Any], order: Sequence[str], most: int, place: Sequence[Any] | None = None
    ) -> QuerySet[Any]:
        """As `Way` says, along that index and within the query."""
        plain = rows.model._base_manager.order_by().values("pk")
        found = rows.select_related(None).order_by(*order).values("pk")
        parts = [plain.filter(pk__in=found.filter(**{self.field: value})[:most]) for value in self.values]
        return rows.filter(pk__in=parts[0].union(*parts[1:], all=True))


def cut(rows: QuerySet[Any], order: Sequence[str], cursor: str, size: int, way: Way | None = None) -> Slice:
    """The page that `cursor` names of rows in this order, the last field of which is unique. One query, and those of
    its `way`; WrongCursor."""
    place, backwards = read(cursor, rows.model, order)
    turned = [_turned(field) for field in order] if backwards else list(order)
    if place is not None:
        rows = from_behind(rows, turned, place)
    if way is not None:
        rows = way.first(rows, turned, size + 1, place)
    found = list(rows.order_by(*turned)[: size + 1])
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    # Coming from a page, there is one on that side; on the other side the row too many tells.
    has_after = bool(found) and (backwards or more)
    has_before = bool(found) and (more if backwards else place is not None)
    return Slice(
        found,
        written(found[0], order, backwards=True) if has_before else "",
        written(found[-1], order) if has_after else "",
    )


def written(row: Any, order: Sequence[str], *, backwards: bool = False) -> str:
    """The cursor of the page behind a row, or of the one before it."""
    return packed([int(backwards), *(_plain(getattr(row, field.lstrip("-"))) for field in order)])


def packed(values: Sequence[Any]) -> str:
    """Values of JSON as the text of a cursor, to be handed out and taken back."""
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def unpacked(cursor: str) -> Any:
    """What stands in such a text; ValueError for what is none, and nothing else is known of it."""
    return orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


def read(cursor: str, model: type[Model], order: Sequence[str]) -> tuple[list[Any] | None, bool]:
    """The place that a cursor names, and whether it looks backwards; None for the first page. WrongCursor."""
    if not cursor:
        return None, False
    try:
        backwards, *values = unpacked(cursor)
        fields = [model._meta.get_field(field.lstrip("-")) for field in order]
        place = [field.to_python(value) for field, value in zip(fields, values, strict=True)]
        if None in place or any(isinstance(v, datetime) and v.tzinfo is None for v in place):
            raise ValueError(cursor)
        if any(isinstance(v, str) and "\0" in v for v in place):
            raise ValueError(cursor)
    except (ValueError, TypeError, ValidationError) as error:
        raise WrongCursor(cursor) from error
    return place, bool(backwards)


def from_behind(rows: QuerySet[Any], order: Sequence[str], place: Sequence[Any]) -> QuerySet[Any]:
    """Those of these rows that are behind a place: a database begins there, whatever else bounds them."""
    return first_said(rows, behind(order, place))


def behind(order: Sequence[str], place: Sequence[Any]) -> Q:
    """Rows behind a place. The first condition alone bounds the walk along the index; the rest is for equals."""
    first = order[0].lstrip("-")
    bound = Q(**{f"{first}__{_beyond(order[0])}e": place[0]})
    found, equals = Q(), Q()
    for field, value in zip(order, place, strict=True):
        name = field.lstrip("-")
        found |= equals & Q(**{f"{name}__{_beyond(field)}": value})
        equals &= Q(**{name: value})
    return bound & found


def _beyond(field: str) -> str:
    return "lt" if field.startswith("-") else "gt"


def _turned(field: str) -> str:
    return field[1:] if field.startswith("-") else f"-{field}"


def _plain(value: Any) -> Any:
    if isinstance(value, (int, str)):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)
