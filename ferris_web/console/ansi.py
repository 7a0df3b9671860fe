"""Text with terminal colours as HTML: escaped, Select Graphic Rendition (ECMA-48 section 8.3.117) as classes of the
style sheet, every other control sequence dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from ferris.terminal import SEQUENCES

_ESCAPES = re.compile(SEQUENCES + r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COLOURS = frozenset({*range(30, 38), *range(90, 98)})
_STYLES = {1: 1, 2: 2, 3: 3, 4: 4, 9: 9}
_ENDS = {22: (1, 2), 23: (3,), 24: (4,), 29: (9,)}
_LEVELS = (0, 95, 135, 175, 215, 255)  # of the colour cube of 256 colours


@dataclass
class _State:
    """What is in force: a colour of the sixteen (0: none) and styles."""

    colour: int = 0
    styles: frozenset[int] = frozenset()

    def take(self, codes: str) -> None:
        numbers = _numbers(codes)
        for code in numbers:
            if code == 0:
                self.colour, self.styles = 0, frozenset()
            elif code in (38, 48, 58):
                colour = _extended(numbers)
                if code == 38 and colour:
                    self.colour = colour
            elif code in _COLOURS:
                self.colour = code
            elif code == 39:
                self.colour = 0
            elif code in _STYLES:
                self.styles |= {code}
            elif code in _ENDS:
                self.styles -= set(_ENDS[code])

    def span(self, text: str) -> str:
        codes = [*([self.colour] if self.colour else []), *sorted(self.styles)]
        if not text or not codes:
            return str(escape(text))
        return format_html('<span class="{}">{}</span>', " ".join(f"ansi-{code}" for code in codes), text)


def as_html(text: str) -> SafeString:
    """The text, safe to stand in a page."""
    out: list[str] = []
    state, last = _State(), 0
    for match in _ESCAPES.finditer(text):
        out.append(state.span(text[last : match.start()]))
        last = match.end()
        if match[1] is not None:
            state.take(match[1])
    out.append(state.span(text[last:]))
    return mark_safe("".join(out))  # noqa: S308 - each piece is escaped


def _numbers(codes: str) -> Iterator[int]:
    return iter([int(part[:4] or 0) for part in re.split("[;:]", codes)])


def _extended(numbers: Iterator[int]) -> int:
    """The nearest of the sixteen colours to the one that follows in 256 or in true colours; 0 when there is none."""
    kind = next(numbers, 0)
    if kind == 5:
        return _of_256(next(numbers, 0))
    if kind == 2:
        return _nearest(*(min(next(numbers, 0), 255) for _ in range(3)))
    return 0


def _of_256(number: int) -> int:
    if number < 16:
        return (30 if number < 8 else 82) + number
    if number < 232:
        return _nearest(*(_LEVELS[(number - 16) // step % 6] for step in (36, 6, 1)))
    return _nearest(*[8 + 10 * (min(number, 255) - 232)] * 3)


def _nearest(red: int, green: int, blue: int) -> int:
    """By which of the three are strong; grey by its brightness."""
    strongest = max(red, green, blue)
    if strongest - min(red, green, blue) < 40:
        return 30 if strongest < 64 else 90 if strongest < 160 else 37
    strong = strongest * 0.6
    return 30 + (red > strong) + 2 * (green > strong) + 4 * (blue > strong)
