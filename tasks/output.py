"""What a script prints becomes lines: any bytes, any length, with a level where one can be recognised."""

from __future__ import annotations

import codecs
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from tasks.mask import Masker

LONGEST_LINE: Final = 16 * 1024
PARTIAL_SECONDS: Final = 1.0
REDRAW_SECONDS: Final = 10.0
CONTINUED: Final = " …"
"""Ends a part of a line that was too long for one."""

_LEVELS: Final = {
    "DEBUG": "debug", "TRACE": "debug",
    "INFO": "info", "NOTICE": "info",
    "WARNING": "warning", "WARN": "warning",
    "ERROR": "error", "SEVERE": "error",
    "CRITICAL": "critical", "FATAL": "critical", "PANIC": "critical",
}  # fmt: skip
# "ERROR: x", "[warn] x", "2026-01-31 09:30:00,123 INFO x", "WARNING:root:x", "2026-01-31T09:30:00Z [error] x"
_COLOUR: Final = r"(?:\x1b\[[\d;]*m)*"
_TIME: Final = r"(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.,]*(?:Z|[+-]\d\d:?\d\d)?\]?[\s:|-]*)?"
_NAME: Final = r"(?:\[\s*(?P<boxed>[A-Za-z]{4,8})\s*\]|(?P<plain>[A-Z]{4,8})\b(?=[\s:|\-\x1b]))"
_PREFIX: Final = re.compile(rf"\s*{_COLOUR}\s*{_TIME}{_COLOUR}{_NAME}")
# The last one begins the report of a syntax error, which has no heading.
_TRACEBACK: Final = (
    "Traceback (most recent call last):",
    "  + Exception Group Traceback (most recent call last):",
    '  File "',
)


class Lines:
    """Bytes in as they were read, finished lines out: masked, decoded, at most LONGEST_LINE characters each.

    A carriage return within a line starts it again, as on a terminal: what was overwritten is dropped. With
    `after`, which calls back when a time has passed, a beginning of a line that nothing follows for a while is
    shown as it is (what follows is then a line of its own), and of a line that is overwritten again and again
    (a progress bar) its state now and then.
    """

    def __init__(
        self,
        masker: Masker,
        emit: Callable[[str], None],
        after: Callable[[float, Callable[[], None]], None] | None = None,
    ) -> None:
        self._masker = masker
        self._emit = emit
        self._after = after
        self._timed = self._ended = False
        self._fed = 0  # how often
        self._fed_then = 0  # when the time was set
        self._redrawn_at = time.monotonic()
        self._shown = ""  # the state of the line that was shown last
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, content: bytes) -> None:
        """Take what was read."""
        self._fed += 1
        self._take(self._decoder.decode(content))
        if self._rest:
            self._set_time(PARTIAL_SECONDS)

    def finish(self) -> None:
        """The stream ended: what has no newline yet is a line too."""
        self._ended = True
        self._take(self._decoder.decode(b"", final=True))
        if self._rest:
            self._line(self._rest)
            self._rest = ""

    def _set_time(self, seconds: float) -> None:
        if self._after is not None and not self._timed:
            self._timed, self._fed_then = True, self._fed
            self._after(seconds, self._on_time)

    def _on_time(self) -> None:
        self._timed = False
        if not self._rest or self._ended:
            return
        if "\r" in self._rest.removesuffix("\r"):
            self._redraw()
        elif self._fed == self._fed_then:
            at = self._masker.open_end(self._rest)
            if at and self._rest[:at].strip():
                self._emit(self._masker.text(self._rest[:at]) + CONTINUED)
                self._rest = self._rest[at:]
                return
        self._set_time(PARTIAL_SECONDS)

    def _redraw(self) -> None:
        """Show the state of a line that is overwritten, if that was not done lately."""
        if time.monotonic() - self._redrawn_at < REDRAW_SECONDS:
            return
        state = self._rest.removesuffix("\r").rpartition("\r")
        # Behind the last carriage return may be half a state; the one before it is whole.
        whole = state[0].rpartition("\r")[2] if not self._rest.endswith("\r") else state[2]
        if whole.strip() and whole != self._shown and len(whole) <= LONGEST_LINE:
            self._redrawn_at, self._shown = time.monotonic(), whole
            self._emit(self._masker.text(whole))

    def _take(self, text: str) -> None:
        if "\n" not in text and len(self._rest) + len(text) <= LONGEST_LINE:
            self._rest += text
            return
        text = self._rest + text
        *whole, rest = text.split("\n")
        # Looking once through all that was read is much quicker than through each of many short lines.
        plain = "\r" not in text and not self._masker.holds(text)
        for line in whole:
            if plain:
                self._plain_line(line)
            else:
                self._line(line)
        self._rest = rest[rest.rfind("\r", 0, -1) + 1 :]
        # The last characters stay: they may be the beginning of a secret.
        if plain and (most := len(self._rest) - self._masker.longest) > LONGEST_LINE:
            at = most - most % LONGEST_LINE
            self._plain_line(self._rest[:at], ended=False)
            self._rest = self._rest[at:]
        while len(self._rest) > LONGEST_LINE + self._masker.longest:
            self._rest = self._part(self._rest)

    def _plain_line(self, line: str, ended: bool = True) -> None:
        """Emit a line that holds neither a secret nor a carriage return, in parts if it is too long; `ended`: that was
        all of it."""
        at = 0
        while len(line) - at > LONGEST_LINE:
            self._emit(line[at : at + LONGEST_LINE] + CONTINUED)
            at += LONGEST_LINE
        self._emit((line[at:] if at else line) + ("" if ended else CONTINUED))

    def _line(self, line: str) -> None:
        line = line.removesuffix("\r")
        if "\r" in line:
            line = line[line.rindex("\r") + 1 :]
        while len(line) > LONGEST_LINE:
            line = self._part(line)
        self._emit(self._masker.text(line))

    def _part(self, text: str) -> str:
        """Emit the first part of a text that is too long; give the rest."""
        at = self._masker.cut(text, LONGEST_LINE)
        self._emit(self._masker.text(text[:at]) + CONTINUED)
        return text[at:]


class Levels:
    """Recognises the level of lines of one stream. Tracebacks are errors from their first line to their last."""

    def __init__(self, default: str) -> None:
        self._default = default
        self._in_traceback = False

    def of(self, line: str) -> str:
        """debug, info, warning, error or critical."""
        if line.startswith(_TRACEBACK):
            self._in_traceback = True
            return "error"
        if self._in_traceback:
            # Indented lines belong to it; the first that is not is the exception itself.
            self._in_traceback = line.startswith(" ")
            return "error"
        found = _PREFIX.match(line)
        name = (found["boxed"] or found["plain"]).upper() if found else ""
        return _LEVELS.get(name, self._default)


class Budget:
    """Keeps an execution's lines within a limit: the head passes at once, of the rest the tail is kept.

    `pass_on` gets each line that goes out, as the caller's own value.
    """

    def __init__(self, limit: int, pass_on: Callable[[object], None]) -> None:
        self._head = limit - limit // 4
        self._tail_limit = limit // 4
        self._pass_on = pass_on
        self._tail: deque[tuple[int, object]] = deque()
        self._tail_size = 0
        self.over = False
        self.dropped_lines = 0
        self.dropped_bytes = 0

    def add(self, size: int, line: object) -> bool:
        """Take a line; False for the first one that does not pass at once."""
        if not self.over and size <= self._head:
            self._head -= size
            self._pass_on(line)
            return True
        first, self.over = not self.over, True
        self._tail.append((size, line))
        self._tail_size += size
        while self._tail_size > self._tail_limit and len(self._tail) > 1:
            gone, _ = self._tail.popleft()
            self._tail_size -= gone
            self.dropped_lines += 1
            self.dropped_bytes += gone
        return not first

    def tail(self) -> Iterator[object]:
        """The kept last lines, once the execution has ended."""
        while self._tail:
            yield self._tail.popleft()[1]
