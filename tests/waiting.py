"""Waiting for what another thread or process brings about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")
PATIENCE = 60.0
"""Seconds: far more than anything takes, since machines are busy."""


def until(look: Callable[[], Seen], what: str = "", seconds: float = PATIENCE) -> Seen:
    """What `look` gives as soon as that is true; fails when it does not become so."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, what or "did not come about"
        time.sleep(0.02)
    return seen
