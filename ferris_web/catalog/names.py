"""Names that there are once: of two who make one at the same moment, one does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction

from ferris.errors import Conflict


@contextmanager
def once(taken: str) -> Iterator[None]:
    """A transaction in which something of a name is made; a Conflict that says `taken` when another makes it now."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError:
        raise Conflict(taken) from None
