"""Queries that Django puts into SQL once: on hot paths that costs more than the database does.

    ROWS = Prepared(lambda ids: Execution.objects.filter(pk__in=ids).values_list("id", "status"))
    ROWS.rows([first, second])

What is asked stays a query of models, with their converters; only the values change from call to call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import UUIDField

Value = UUID | str | int
_UUID: Any = UUIDField()


@dataclass(frozen=True)
class _Statement:
    sql: str
    params: tuple[Any, ...]
    places: tuple[tuple[int, int], ...]  # in `params`, and which value belongs there
    converters: Any


class Prepared:
    """A `values_list` whose lists of values (UUIDs, texts, numbers) are all that changes: what
    stands in `IN (...)`. Each has at least one.

    Annotations stand last in its list of fields.
    """

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self._statements: dict[Any, _Statement] = {}

    def rows(self, *lists: Sequence[Value]) -> list[tuple[Any, ...]]:
        """What the query finds with these values in it."""
        lists = tuple(map(_filled, lists))
        shape = (connection.vendor, *((type(values[0]), len(values)) for values in lists))
        statement = self._statements.get(shape)
        if statement is None:
            statement = self._statements.setdefault(shape, self._put(lists))
        values = [_adapted(value) for value in chain(*lists)]
        params = list(statement.params)
        for place, number in statement.places:
            params[place] = values[number]
        with connection.cursor() as cursor:
            cursor.execute(statement.sql, params)
            found = cursor.fetchall()
        if not statement.converters:
            return [tuple(row) for row in found]
        return [tuple(_converted(row, statement.converters)) for row in found]

    def _put(self, lists: Sequence[Sequence[Value]]) -> _Statement:
        """The SQL, made with values that stand nowhere else, so that their places are known."""
        stand_ins = [[_stand_in(value) for value in values] for values in lists]
        compiler = self._make(*stand_ins).query.get_compiler(connection=connection)
        sql, params = compiler.as_sql()
        numbers = {_adapted(value): number for number, value in enumerate(chain(*stand_ins))}
        places = tuple(
            (place, numbers[param])
            for place, param in enumerate(params)
            if isinstance(param, Value) and param in numbers
        )
        if {number for _, number in places} != set(range(len(numbers))):
            raise AssertionError(f"not every value has its place in {sql}")
        converters = compiler.get_converters([column[0] for column in compiler.select])
        return _Statement(
            sql,
            tuple(params),
            places,
            tuple((at, tuple(funcs), expression) for at, (funcs, expression) in converters.items()),
        )


def _filled(values: Sequence[Value]) -> Sequence[Value]:
    """Some value more than once, so that there are few lengths, each of which is a statement."""
    return [*values, *[values[-1]] * ((1 << (len(values) - 1).bit_length()) - len(values))]


def _stand_in(value: Value) -> Value:
    unlike_any = uuid4()
    if isinstance(value, int):
        return unlike_any.int >> 66  # fits into a bigint
    return unlike_any if isinstance(value, UUID) else unlike_any.hex


def _adapted(value: Value) -> Any:
    return _UUID.get_db_prep_value(value, connection) if isinstance(value, UUID) else value


def _converted(row: Sequence[Any], converters: Any) -> list[Any]:
    values = list(row)
    for at, functions, expression in converters:
        value = values[at]
        for convert in functions:
            value = convert(value, expression, connection)
        values[at] = value
    return values
