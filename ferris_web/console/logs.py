"""What the page of an execution shows of its log: the last lines that fit a filter, and the place to follow from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from ferris.ports import LogLine
from ferris_web.console import filters
from ferris_web.executions.log_reading import lines_back
from ferris_web.executions.models import Execution

SHOWN = 500  # lines on the page at first; more on request
SHOWN_AT_MOST = 20_000
_FILTERED = 2000  # lines read at once where some of them may not fit
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
    earlier: bool  # there are lines before these that fit
    after: int  # cursor behind the last line read: the stream goes on from here


def last(row: Execution, wanted: Wanted) -> View:
    """The last lines that fit. Read from the end, and no further back than these: however long the log is, the page
    takes the same time; but for a filter that few lines fit.

    Never less than the last one of them, and else no more text than so many lines usually have.
    """
    after, length, earlier = 0, 0, False
    kept: list[LogLine] = []
    for line in lines_back(str(row.pk), piece=_FILTERED if wanted.query else wanted.shown + 1):
        after = after or line.seq
        if wanted.takes(line):
            length += len(line.message)
            if len(kept) == wanted.shown or (length > wanted.shown * _LINE and kept):
                earlier = True
                break
            kept.append(line)
    return View(kept[::-1], earlier, after)


def fitting(lines: Iterable[LogLine], wanted: Wanted) -> list[LogLine]:
    """Those of these lines that fit."""
    return [line for line in lines if wanted.takes(line)]
