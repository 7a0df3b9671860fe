"""Many rows at once, past the ORM: COPY on PostgreSQL, prepared inserts on SQLite."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction

AT_ONCE = 20_000
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
Encode = Callable[[Any], Any]


class Table:
    """Takes rows as tuples of the named fields; the others get their defaults. Writes them in batches.

    `flush` writes what is left.
    """

    def __init__(self, model: type[models.Model], names: Sequence[str]) -> None:
        self.count = 0
        self._rows: list[tuple[Any, ...]] = []
        fields = {field.attname: field for field in model._meta.concrete_fields}
        given = [fields.pop(name) for name in names]
        rest = [field for field in fields.values() if not isinstance(field, models.AutoField)]
        encode = _copied if connection.vendor == "postgresql" else _bound
        self._encoders = [encode(field) for field in given]
        self._defaults = tuple(_default(field, encode(field)) for field in rest)
        quote = connection.ops.quote_name
        self._table = quote(model._meta.db_table)
        self._columns = ", ".join(quote(field.column) for field in (*given, *rest))
        self._places = ", ".join(["%s"] * (len(given) + len(rest)))

    def add(self, *values: Any) -> None:
        """One row more."""
        encoded = [
            None if value is None else encode(value)
            for encode, value in zip(self._encoders, values, strict=True)
        ]
        self._rows.append((*encoded, *self._defaults))
        self.count += 1

    @property
    def full(self) -> bool:
        """True when enough rows wait to be written."""
        return len(self._rows) >= AT_ONCE

    def flush(self) -> None:
        """Write what was added, in one transaction."""
        if not self._rows:
            return
        with transaction.atomic(), connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                lines = ("\t".join(r"\N" if v is None else v for v in row) for row in self._rows)
                data = io.StringIO("\n".join(lines) + "\n")
                cursor.copy_expert(f"COPY {self._table} ({self._columns}) FROM STDIN", data)
            else:
                insert = f"INSERT INTO {self._table} ({self._columns}) VALUES ({self._places})"  # noqa: S608
                cursor.executemany(insert, self._rows)
        self._rows.clear()


def _default(field: models.Field[Any, Any], encode: Encode) -> Any:
    value = field.get_default()
    return None if value is None else encode(value)


def _bound(field: models.Field[Any, Any]) -> Encode:
    """As Django's SQLite backend keeps the values of a field."""
    if isinstance(field, models.UUIDField) or _refers_to_uuid(field):
        return lambda value: value.hex if isinstance(value, UUID) else value
    if isinstance(field, models.DateTimeField):
        return lambda value: str(value.replace(tzinfo=None))
    if isinstance(field, models.JSONField):
        return json.dumps
    return lambda value: value


def _copied(field: models.Field[Any, Any]) -> Encode:
    """As the text form of COPY writes them."""
    if isinstance(field, models.JSONField):
        return lambda value: json.dumps(value).translate(_ESCAPES)
    if isinstance(field, models.BinaryField):
        return lambda value: "\\\\x" + bytes(value).hex()
    return lambda value: value.isoformat() if isinstance(value, datetime) else str(value).translate(_ESCAPES)


def _refers_to_uuid(field: models.Field[Any, Any]) -> bool:
    return isinstance(field, models.ForeignKey) and isinstance(field.target_field, models.UUIDField)


def hurry() -> None:
    """SQLite: no waiting for the disk and a large cache, for this connection. A crash costs what was made."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=OFF")
            cursor.execute("PRAGMA cache_size=-600000")


def settle() -> None:
    """As it is where it is in use: PostgreSQL looks at its tables by itself now and then, SQLite never does."""
    with connection.cursor() as cursor:
        cursor.execute(
            "PRAGMA wal_checkpoint(TRUNCATE)" if connection.vendor == "sqlite" else "VACUUM ANALYZE"
        )
