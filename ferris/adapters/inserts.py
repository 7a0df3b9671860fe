"""Rows of models written past the ORM's compiler: on hot paths that costs more than the database does.

    EVENTS = Inserts(Event)
    EVENTS.save([first, second])

What is written are the fields of a model, with their conversions, as `bulk_create` would; a key that the database gives
out (as `Step.id`) is left to it, and the rows do not learn it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from types import NoneType
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import (
    AutoField,
    BooleanField,
    CharField,
    DateTimeField,
    Field,
    ForeignKey,
    IntegerField,
    JSONField,
    Model,
    TextField,
    UUIDField,
)

_Convert = Callable[[Any], Any]


class _Column(NamedTuple):
    """A field, and how the values of some types reach the database; None: as they are."""

    name: str
    known: Mapping[type, _Convert | None]
    field: Field[Any, Any]


class Inserts:
    """An INSERT of one model. With `unique` fields, a row that is there already gets the `update` fields of the new
    one instead, and those in `add` grow by the new one's.
    """

    def __init__(
        self,
        model: type[Model],
        *,
        unique: Sequence[str] = (),
        update: Sequence[str] = (),
        add: Sequence[str] = (),
    ) -> None:
        found = model._meta
        self._table = found.db_table
        self._fields = [field for field in found.concrete_fields if not isinstance(field, AutoField)]
        self._columns: dict[str, list[_Column]] = {}  # by database
        self._unique, self._update, self._add = (
            [str(found.get_field(name).column) for name in names]  # type: ignore[union-attr]
            for names in (unique, update, add)
        )

    def save(self, rows: Sequence[Model], *, returning: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """Write them, as many at once as the database takes; those columns of what is there now, in no order."""
        found: list[tuple[Any, ...]] = []
        waiting = iter(rows)
        with connection.cursor() as cursor:
            while some := list(islice(waiting, connection.ops.bulk_batch_size(self._fields, rows))):
                cursor.execute(self._statement(len(some), returning), self._values(some))
                found += cursor.fetchall() if returning else ()
        return found

    def _values(self, rows: Sequence[Model]) -> list[Any]:
        columns = self._columns.get(connection.vendor)
        if columns is None:
            columns = [_Column(field.attname, _known(field), field) for field in self._fields]
            self._columns[connection.vendor] = columns
        values: list[Any] = []
        for row in rows:
            held = vars(row)
            for name, known, field in columns:
                value = held.get(name, _ABSENT)
                convert = known.get(type(value), _ABSENT)
                if convert is None:
                    values.append(value)
                elif convert is not _ABSENT:
                    values.append(convert(value))
                else:
                    values.append(field.get_db_prep_save(field.pre_save(row, add=True), connection))
        return values

    def _statement(self, count: int, returning: Sequence[str]) -> str:
        quote = connection.ops.quote_name
        table = quote(self._table)
        columns = ", ".join(quote(str(field.column)) for field in self._fields)
        row = f"({', '.join(['%s'] * len(self._fields))})"
        said = f"INSERT INTO {table} ({columns}) VALUES {', '.join([row] * count)}"  # noqa: S608 - names of models
        if self._unique:
            new = [f"{column} = EXCLUDED.{column}" for column in map(quote, self._update)]
            new += [f"{column} = {table}.{column} + EXCLUDED.{column}" for column in map(quote, self._add)]
            said += f" ON CONFLICT ({', '.join(map(quote, self._unique))}) DO UPDATE SET {', '.join(new)}"
        return f"{said} RETURNING {', '.join(map(quote, returning))}" if returning else said


_ABSENT: Any = object()
_PLAIN: dict[Any, type] = {CharField: str, TextField: str, BooleanField: bool}


def _known(field: Any) -> Mapping[type, _Convert | None]:
    """What a field's own conversion does to values of some types, without asking it for each. What is not here, and
    fields that see to their values themselves, go the long way.
    """
    if isinstance(field, ForeignKey):
        return _known(field.target_field)
    kind = type(field)
    if kind in _PLAIN:
        return {NoneType: None, _PLAIN[kind]: None}
    if kind is UUIDField:
        return {NoneType: None, UUID: None if connection.features.has_native_uuid_field else _hex}
    if kind is DateTimeField and not (field.auto_now or field.auto_now_add):
        return {NoneType: None, datetime: _moment if connection.vendor == "sqlite" else None}
    if kind is JSONField and field.encoder is None and connection.vendor == "sqlite":
        return {NoneType: None, dict: json.dumps, list: json.dumps, str: json.dumps}
    if isinstance(field, IntegerField) and kind.get_prep_value is IntegerField.get_prep_value:
        return {NoneType: None, int: None}
    return {}


def _hex(value: UUID) -> str:
    return value.hex


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
