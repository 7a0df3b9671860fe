"""What the page of an execution shows of its log: the last lines that fit a filter, and the place to follow from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from ferris.ports import LogLine
from ferris_web.console import filters
from ferris_web.executions.log_whole import log_lines
from ferris_web.executions.models import Execution

SHOWN = 500  # lines on the page at first; more on request
SHOWN_AT_MOST = 20_000
_LINE = 400  # characters that a line has on average, at most: a page of long lines has fewer of them
_LEVELS = {
    "debug": ("debug", "info", "warning", "error", "critical"),
    "info": ("info", "warning", "error", "critical"),
    "warning": ("warning", "error", "critical"),
    "error": ("error", "critical"),
}
LEVEL_OPTIONS = (
    ("", _("all lines")),
    ("info", _("info and up")),
    ("warning", _("warnings, errors")),
    ("error", _("errors only")),
)


@dataclass(frozen=True)
class Wanted:
    """A filter over log lines."""

    level: str = ""
    search: str = ""
    shown: int = SHOWN

    @classmethod
    def from_query(cls, query: QueryDict) -> Wanted:
        """`level`, `find` and `lines` of an address; wrong values filter nothing."""
        lines = query.get("lines", "")
        shown = min(int(lines), SHOWN_AT_MOST) if lines.isdecimal() and len(lines) < 8 else SHOWN
        return cls(
            filters.chosen(query, "level", LEVEL_OPTIONS), filters.text(query, "find", 200), max(shown, 1)
        )

    def takes(self, line: LogLine) -> bool:
        """True when this line is to be shown. What a script prints on stderr counts as a warning."""
        if self.level and severity(line) not in _LEVELS[self.level]:
            return False
        return not self.search or self.search.lower() in line.message.lower()

    @property
    def query(self) -> str:
        """The filter as a query string, for the stream."""
        return urlencode({k: v for k, v in (("level", self.level), ("find", self.search)) if v})

    @property
    def more(self) -> int:
        """How many lines to show when earlier ones are asked for."""
        return min(self.shown * 4, SHOWN_AT_MOST)


def severity(line: LogLine) -> str:
    """A line's level; of plain output the stream says it."""
    if line.level:
        return line.level.lower()
    return "warning" if line.stream == "stderr" else "info"


@dataclass(frozen=True)
class View:
    """The lines to show."""

    lines: list[LogLine]
    total: int  # lines that fit the filter
    after: int  # cursor behind the last line read: the stream goes on from here

    @property
    def hidden(self) -> int:
        """How many earlier lines are not shown."""
        return self.total - len(self.lines)


def last(row: Execution, wanted: Wanted) -> View:
    """The last lines that fit. The whole log is read: an execution's log has a limit of some megabytes.

    Never less than the last one of them, and else no more text than so many lines usually have.
    """
    total, after, length = 0, 0, 0
    kept: deque[LogLine] = deque()
    for line in log_lines(str(row.pk)):
        after = line.seq
        if wanted.takes(line):
            total += 1
            kept.append(line)
            length += len(line.message)
            while len(kept) > wanted.shown or (length > wanted.shown * _LINE and len(kept) > 1):
                length -= len(kept.popleft().message)
    return View(list(kept), total, after)


def fitting(lines: Iterable[LogLine], wanted: Wanted) -> list[LogLine]:
    """Those of these lines that fit."""
    return [line for line in lines if wanted.takes(line)]
