"""Configuration and state in a table of the platform's own database, with Consul's compare-and-set.

One row with an empty key counts the changes. Every change first counts it up, which takes the database's
lock on that row (on SQLite: on the file), so changes happen one after the other and what is read after that
is current. A call inside a caller's own transaction becomes part of that one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from django.apps import apps
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from ferris.adapters.prepared import Prepared
from ferris.errors import BackendError
from ferris.ports import MAX_CONFIG_VALUE, Entry

T = TypeVar("T")

_BACKEND = "config store"
_INDEX_KEY = ""  # no entry can have it
_MAX_KEY = 512


class DatabaseConfigStore:
    """`ConfigStore` in Django's database; `url` is `database:`."""

    capabilities = frozenset({"transactional"})

    def __init__(self, url: str = "database:") -> None:
        self._url = url

    def get(self, key: str) -> Entry | None:
        """See `ConfigStore.get`."""
        _check_key(key)
        return _explained(lambda: _find([key]).get(key))

    def get_many(self, keys: Collection[str]) -> dict[str, Entry]:
        """See `ConfigStore.get_many`."""
        for key in keys:
            _check_key(key)
        return _explained(lambda: _find(list(keys)))

    def put(self, key: str, value: bytes, *, cas: int | None = None) -> bool:
        """See `ConfigStore.put`."""
        _check_key(key)
        if len(value) > MAX_CONFIG_VALUE:
            raise BackendError(
                _BACKEND,
                f"takes values up to {MAX_CONFIG_VALUE} bytes, and {key!r} has {len(value)}",
                "keep large values in the object store and their key here",
            )

        def change(index: int, before: Entry | None) -> bool:
            if cas is not None and cas != (before.index if before else 0):
                return False
            if before is None:
                _table().objects.create(key=key, value=value, modify_index=index)
            else:
                changed = {"value": value, "modify_index": index, "updated_at": timezone.now()}
                _table().objects.filter(key=key).update(**changed)
            return True

        return _explained(lambda: _change(key, change))

    def delete(self, key: str, *, cas: int | None = None) -> bool:
        """See `ConfigStore.delete`."""
        _check_key(key)

        def change(index: int, before: Entry | None) -> bool:
            if before is None or cas not in (None, before.index):
                return False
            _table().objects.filter(key=key).delete()
            return True

        return _explained(lambda: _change(key, change)) or cas is None

    def list(self, prefix: str) -> list[Entry]:
        """See `ConfigStore.list`."""
        if "\0" in prefix:
            return []
        rows = _explained(lambda: list(_table().objects.filter(key__startswith=prefix)))
        # SQLite's LIKE does not tell a from A, and databases sort by the rules of some language.
        found = [_entry(row) for row in rows if row.key != _INDEX_KEY and row.key.startswith(prefix)]
        return sorted(found, key=lambda entry: entry.key.encode())

    def index(self) -> int:
        """See `ConfigStore.index`."""
        return max((index for (index,) in _explained(lambda: _INDEX.rows([_INDEX_KEY]))), default=0)


def _table() -> Any:
    return apps.get_model("catalog", "KeyValue")


def _entry(row: Any) -> Entry:
    return Entry(row.key, bytes(row.value), row.modify_index)


# Asked for at every claim.
_FOUND = Prepared(
    lambda keys: _table().objects.filter(key__in=keys).values_list("key", "value", "modify_index")
)


_INDEX = Prepared(lambda keys: _table().objects.filter(key__in=keys).order_by().values_list("modify_index"))


def _find(keys: list[str]) -> dict[str, Entry]:
    rows = _FOUND.rows(keys) if keys else []
    return {name: Entry(name, bytes(value), index) for name, value, index in rows}


class _Unchanged(Exception):
    """Undoes the count of a change that did not happen."""


def _change(key: str, change: Callable[[int, Entry | None], bool]) -> bool:
    try:
        with transaction.atomic():
            index = _count_up()
            before = _find([key]).get(key)
            if not change(index, before):
                raise _Unchanged
    except _Unchanged:
        return False
    return True


def _count_up() -> int:
    counter = _table().objects.filter(key=_INDEX_KEY)
    if not counter.update(modify_index=F("modify_index") + 1):
        try:
            with transaction.atomic():
                _table().objects.create(key=_INDEX_KEY, value=b"", modify_index=1)
        except IntegrityError:  # another was first
            counter.update(modify_index=F("modify_index") + 1)
    [(index,)] = _INDEX.rows([_INDEX_KEY])
    return int(index)


def _check_key(key: str) -> None:
    try:
        key.encode()
    except UnicodeEncodeError:
        key = ""
    if not 1 <= len(key) <= _MAX_KEY or "\0" in key:
        raise BackendError(
            _BACKEND, f"cannot have the key {key[:100]!r}", f"use 1 to {_MAX_KEY} characters of text"
        )


def _explained(call: Callable[[], T]) -> T:
    try:
        return call()
    except DatabaseError as error:
        raise BackendError(
            _BACKEND, f"cannot use its table ({error})", "check the database; run `manage.py migrate`"
        ) from error
