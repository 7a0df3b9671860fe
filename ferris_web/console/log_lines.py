"""Lines of a log as HTML, written as text: a page has up to 20,000 of them, and a template takes several times as long
for each."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from ferris.ports import LogLine
from ferris_web.console import ansi


def log_lines(lines: Iterable[LogLine]) -> SafeString:
    """Items of the list that the page of an execution has, each with its place to link to."""
    return mark_safe("".join(map(_line, lines)))  # noqa: S308 - each piece is escaped


def _line(line: LogLine) -> str:
    at = timezone.localtime(line.time)
    platform = ' class="platform"' if line.stream == "platform" else ""
    level = escape(line.level.lower())
    word = "stderr" if line.stream == "stderr" and not line.level else level
    return (
        f'<li id="L{line.seq}"{platform}>'
        f'<a class="at" href="#L{line.seq}" title="{at.isoformat()}">{at:%H:%M:%S}.{at.microsecond // 1000:03d}</a>'
        f'<span class="src" title="{escape(line.step or "")}">{escape(line.step or line.stream)}</span>'
        f'<span class="lv lv-{level}">{word}</span>'
        f'<span class="msg">{ansi.as_html(line.message)}</span></li>'
    )
