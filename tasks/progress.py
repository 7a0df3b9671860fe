"""How far a script says it is: of many words the latest goes out, some times a second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from tasks.loop import Loop

EVERY: Final = 0.5
"""Seconds between two reports of one execution."""
LARGEST: Final = 2**53

Report = Callable[[float, float | None, str], None]
"""Takes (done, total, message)."""


class Progress:
    """Of one attempt. Used inside its loop."""

    def __init__(self, loop: Loop, report: Report) -> None:
        self._loop, self._report = loop, report
        self._latest: tuple[float, float | None, str] | None = None
        self._said: tuple[float, float | None, str] | None = None
        self._next = 0.0
        self._timed = False

    def take(self, message: Mapping[str, Any]) -> None:
        """A word of the script's; what is no number counts for nothing."""
        done, total = _number(message.get("done")), _number(message.get("total"))
        if done is None:
            return
        text = message.get("message")
        self._latest = done, total if total else None, text if isinstance(text, str) else ""
        left = self._next - time.monotonic()
        if left <= 0:
            self.flush()
        elif not self._timed:
            self._timed = True
            self._loop.after(left, self._on_time)

    def flush(self) -> None:
        """Report the latest word now, if it is not reported."""
        if self._latest is not None and self._latest != self._said:
            self._said = self._latest
            self._next = time.monotonic() + EVERY
            self._report(*self._latest)
        self._latest = None

    def _on_time(self) -> None:
        self._timed = False
        self.flush()


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and 0 <= value <= LARGEST else None
