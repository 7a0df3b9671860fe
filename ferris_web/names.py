"""What there is once, mostly by its name: of two who make one at the same moment, one does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction

from ferris.errors import Conflict


@contextmanager
def once(taken: str) -> Iterator[None]:
    """A transaction in which it is made; a Conflict that says `taken` when another made it already, or does now."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError:
        raise Conflict(taken) from None
