"""What there is once, mostly by its name: of two who make one at the same moment, one does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import IntegrityError, transaction
from django.db.models import Model

from ferris.errors import Conflict

M = TypeVar("M", bound=Model)


@contextmanager
def once(taken: str) -> Iterator[None]:
    """A transaction in which it is made; a Conflict that says `taken` when another made it already, or does now."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError:
        raise Conflict(taken) from None


def held(model: type[M], name: str, *, new: bool, taken: str) -> M | None:
    """The row of that name, locked until the transaction ends, or None. Conflict that says `taken` where there is one
    and it is to be `new`."""
    found = model._default_manager.select_for_update().filter(name=name).first()
    if new and found is not None:
        raise Conflict(taken)
    return found
