"""Rows of models written past the ORM's compiler: on hot paths that costs more than the database does.

    EVENTS = Inserts(Event)
    EVENTS.save([first, second])

What is written are the fields of a model, with their conversions, as `bulk_create` would; a key that the database gives
out (as `Step.id`) is left to it, and the rows do not learn it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import AutoField, Model


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
        return [
            field.get_db_prep_save(field.pre_save(row, add=True), connection)
            for row in rows
            for field in self._fields
        ]

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
