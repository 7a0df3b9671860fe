"""How values are written for people: times, durations, sizes, JSON, log lines, source files, READMEs.

Everything here takes hostile text. What returns `SafeString` has escaped or cleaned it; the rest is plain text that
the templates escape.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import nh3
from django.utils import dateformat
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext, gettext_noop
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import JsonLexer, get_lexer_for_filename
from pygments.lexers.special import TextLexer
from pygments.util import ClassNotFound

from ferris.highlighting import Span, pieces

# Beyond this many characters highlighting costs more than it tells; beyond the second the text is cut.
HIGHLIGHT_LIMIT = 100_000
TEXT_LIMIT = 400_000


def relative(moment: datetime, now: datetime) -> str:
    """`moment` as seen from `now`: "just now", "5 min ago", "in 2 h"; from a week on the date itself."""
    seconds = (now - moment).total_seconds()
    distance = abs(seconds)
    if distance < 5:
        return gettext("just now")
    if distance > 7 * 86400:
        return dateformat.format(moment.astimezone(UTC), gettext("j M Y"))
    for unit, size in ((gettext_noop("d"), 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if distance >= size:
            amount = f"{int(distance // size)} {gettext(unit)}"
            said = gettext("{amount} ago") if seconds > 0 else gettext("in {amount}")
            return said.format(amount=amount)
    return gettext("just now")


def absolute(moment: datetime) -> str:
    """`2026-11-24 03:12:05.120 UTC`; a whole second, as of a schedule, without thousandths."""
    part = moment.microsecond // 1000
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}{f'.{part:03d}' if part else ''} UTC"


def duration(length: timedelta | float | None) -> str:
    """A length of time with a unit that fits: 12 ms, 3.4 s, 2 min 5 s, 1 h 12 min."""
    if length is None:
        return ""
    seconds = max(0.0, length.total_seconds() if isinstance(length, timedelta) else float(length))
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{number_format(seconds, 1)} s"
    whole = round(seconds)
    if whole < 3600:
        return _two(whole // 60, "min", whole % 60, "s")
    if whole < 2 * 86400:
        return _two(whole // 3600, "h", whole % 3600 // 60, "min")
    return _two(whole // 86400, gettext("d"), whole % 86400 // 3600, "h")


def milliseconds(amount: int | None) -> str:
    """The same for a number of milliseconds."""
    return duration(None if amount is None else amount / 1000)


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large} {unit} {small} {small_unit}" if small else f"{large} {unit}"


def size(count: int) -> str:
    """A number of bytes: 812 B, 3.4 KiB, 1.2 MiB."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{number_format(amount, 1)} {unit}"
        amount /= 1024
    return f"{number_format(amount, 1)} TiB"


@dataclass(frozen=True)
class Bar:
    """A progress bar. Without `percent` nobody knows how much there is to do."""

    percent: int | None
    text: str
    message: str


def progress(said: Mapping[str, Any] | None) -> Bar | None:
    """What a script said of its progress, as a bar; None when it said nothing."""
    if not said or not isinstance(said.get("done"), int | float):
        return None
    done, total, message = said["done"], said.get("total"), str(said.get("message") or "")
    if not total:
        return Bar(None, gettext("{amount} done").format(amount=_amount(done)), message)
    percent = min(100, int(100 * done / total))
    amounts = gettext("{done} of {total}").format(done=_amount(done), total=_amount(total))
    return Bar(percent, f"{percent} % ({amounts})", message)


def _amount(number: float) -> str:
    return number_format(number, 0 if float(number).is_integer() else 2, force_grouping=True)


def shorten(text: str, length: int) -> str:
    """`text` in at most `length` characters, the middle left out: both ends of a dotted name tell something."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[-tail:]}"


def marked(text: str, spans: Iterable[Span], width: int) -> SafeString:
    """About `width` characters of `text`, what stands at the places marked."""
    return format_html_join(
        "",
        "{}{}{}",
        (
            (mark_safe("<mark>"), piece, mark_safe("</mark>")) if fits else ("", piece, "")
            for piece, fits in pieces(text, spans, width)
        ),
    )


def json_text(value: Any) -> str:
    """`value` as indented JSON, keys in their order."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def json_block(value: Any) -> SafeString:
    """`value` as an indented, coloured block of JSON."""
    return code_block(json_text(value), "value.json", lines=False)


def json_source(text: str) -> SafeString:
    """A JSON text, indented and coloured; as it is when it is no JSON."""
    try:
        return json_block(json.loads(text))
    except (ValueError, RecursionError):
        return code_block(text, "value.txt", lines=False)


def code_block(text: str, filename: str, *, lines: bool = True) -> SafeString:
    """The text of a file, coloured by its name, with line numbers when asked for."""
    cut = len(text) > TEXT_LIMIT
    text = text[:TEXT_LIMIT]
    lexer = JsonLexer() if filename.endswith(".json") else _lexer(filename)
    if len(text) > HIGHLIGHT_LIMIT:
        lexer = TextLexer()
    formatter = HtmlFormatter(
        cssclass="highlight", wrapcode=True, linenos="inline" if lines else False, nobackground=True
    )
    block = mark_safe(highlight(text, lexer, formatter))  # noqa: S308 - Pygments escapes
    # A block that scrolls must be reachable by keyboard (WCAG 2.1.1).
    block = mark_safe(block.replace("<pre", '<pre tabindex="0"', 1))  # noqa: S308
    return (
        block
        + format_html(
            '<p class="muted small">{}</p>', gettext("Cut after {limit} characters.").format(limit=TEXT_LIMIT)
        )
        if cut
        else block
    )


def _lexer(filename: str) -> Any:
    try:
        return get_lexer_for_filename(filename, stripnl=False)
    except ClassNotFound:
        return TextLexer(stripnl=False)


@cache
def _markdown() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    parser.core.ruler.push("lower_headings", _lower_headings)
    return parser


def _lower_headings(state: StateCore) -> None:
    """A README's headings stand below those of the page."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + 2)}"


_TAGS = nh3.ALLOWED_TAGS - {"img", "map", "area"}  # pictures would tell a third party who reads what


def readme(text: str) -> SafeString:
    """A README as HTML: Markdown without raw HTML, cleaned once more, its links without referrer."""
    html = _markdown().render(text[:TEXT_LIMIT])
    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes={"a": {"href", "title"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(clean)  # noqa: S308 - nh3 cleaned it
