"""What the executor itself logs about an execution stands in that execution's own log too, as stream "platform":
searchable where people look for it, without access to the machine's logs.

Everything else an executor or a gateway logs goes to standard error only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from tasks.journal import LEVELS, Journal

_OURS: Final = ("tasks", "ferris")
_journal: ContextVar[Journal | None] = ContextVar("ferris_journal", default=None)


class _ToTheExecution(logging.Handler):
    """Runs in the execution's own thread, the only one that may use its journal."""

    def emit(self, record: logging.LogRecord) -> None:
        journal = _journal.get()
        if journal is None or journal.finished or record.name.partition(".")[0] not in _OURS:
            return
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text = f"{text}: {type(error).__name__}: {error}"
        level = record.levelname.lower()
        journal.note(level if level in LEVELS else "info", text)


_handler = _ToTheExecution(logging.INFO)


@contextmanager
def told(journal: Journal) -> Iterator[None]:
    """Until the end of the block, this thread's records go to the journal as well."""
    root = logging.getLogger()
    if _handler not in root.handlers:
        root.addHandler(_handler)
    before = _journal.set(journal)
    try:
        yield
    finally:
        _journal.reset(before)
