"""`context.progress(done, total, message)`: how far the script is, for who watches."""

from __future__ import annotations

import atexit
import os
from _thread import start_new_thread
from time import monotonic, sleep

from ferris_ef.wire import lock, tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EVERY = 0.1
"""Seconds between two words that go out; of those between them the last one goes out at the end of that time."""


def progress(done: float, total: float | None = None, message: str | None = None) -> None:
    """Say that `done` of `total` is done; without a total just how much. May be called as often as one likes.

    The message (its first 200 characters) tells what is being done. Without a platform it is written to standard
    error. ValueError or TypeError for what is no number from 0.
    """
    _number("done", done)
    if total is not None:
        _number("total", total)
    if message is not None and not isinstance(message, str):
        message = str(message)
    if os.environ.get("EF_ENV") == "local" or not os.environ.get("FERRIS_CHANNEL"):
        import sys

        of = "" if total is None else f"/{total:g}"
        print(f"progress {done:g}{of}{' ' + message if message else ''}", file=sys.stderr, flush=True)
        return
    _teller.take({"op": "progress", "done": done, "total": total, "message": message})


class _Teller:
    """Sends the first word at once, and of many that follow quickly the latest.

    Under the wire's own lock: with two, a signal handler might want one while it keeps from another thread the other.
    """

    def __init__(self) -> None:
        self._pending: dict[str, Any] | None = None
        self._next = 0.0
        self._pid = 0  # whose thread will send what is pending

    def take(self, message: dict[str, Any]) -> None:
        with lock:
            if monotonic() >= self._next:
                self._pending = None
                self._send(message)
                return
            self._pending = message
            if self._pid != os.getpid():
                self._pid = os.getpid()
                start_new_thread(self._later, ())

    def flush(self) -> None:
        with lock:
            if self._pending is not None:
                message, self._pending = self._pending, None
                self._send(message)

    def _send(self, message: dict[str, Any]) -> None:
        self._next = monotonic() + EVERY
        tell(message)

    def _later(self) -> None:
        sleep(EVERY)
        with lock:
            self._pid = 0
        try:
            self.flush()
        except Exception:
            return  # the executor has gone, and this script with it

    def forked(self) -> None:
        """In the child: what is pending is the parent's to send."""
        self._pending = None


def _number(which: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{which}: is a {type(value).__name__}; expected a number")
    if not 0 <= value <= 2**53:
        raise ValueError(f"{which}: is {value!r}; expected a number from 0")


_teller = _Teller()
os.register_at_fork(after_in_child=_teller.forked)
atexit.register(_teller.flush)
