"""Keeps the threads of a process on one processor, and what it starts on all.

Python runs one thread of a process at a time, and lets another have its turn whenever one calls the system. With more
processors than one, whoever waits for a turn is woken on another one at each such call, mostly to find that the caller
is back already. On one processor it is not woken before the caller really waits.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

log = logging.getLogger(__name__)

_POSSIBLE: Final = hasattr(os, "sched_setaffinity")
_allowed: set[int] = set()
"""The processors that this process might use, once it keeps to one of them."""


def keep_to_one() -> int | None:
    """Have the calling thread, and those that it starts from now on, run on one of the processors allowed to it: which
    one. None where there is one only, or the system does not do that."""
    global _allowed
    if not _POSSIBLE:
        return None
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        return None
    one = sorted(allowed)[
        os.getpid() % len(allowed)
    ]  # several platforms of a machine should not all choose the same
    try:
        os.sched_setaffinity(0, {one})
    except OSError as error:
        log.info("this process does not keep to one processor: %s", error.strerror)
        return None
    _allowed = allowed
    return one


@contextmanager
def all_allowed() -> Iterator[None]:
    """Start another program within this: it may use all processors that this process was given."""
    if not _allowed:
        yield
        return
    own = os.sched_getaffinity(0)
    _move(_allowed)
    try:
        yield
    finally:
        _move(own)


def _move(to: set[int]) -> None:
    try:
        os.sched_setaffinity(0, to)  # of this thread alone; a program inherits it from who starts it
    except OSError as error:  # they were taken from this process meanwhile: the system has chosen others
        log.debug("the processors stay as they are: %s", error.strerror)
