"""Charts as text: what of SVG and of tables comes by the hundred.

A template takes some twenty times as long for each value, and a chart of 90 days has thousands. All text is escaped
here, as templates do.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from django.utils.safestring import SafeString, mark_safe

if TYPE_CHECKING:
    from ferris_web.console.plots import Cell, Plot


def columns(plot: Plot) -> SafeString:
    """The bars of a chart, a group for each label, with a link over the whole height where it has one."""
    return safe(_columns(plot))


def _columns(plot: Plot) -> Iterable[str]:
    for one in plot.columns:
        yield f'<a href="{escape(one.href)}" tabindex="-1">' if one.href else "<g>"
        yield f'<title>{escape(one.label)}</title><rect class="hit" x="{one.x}" y="0" width="{one.width}" '
        yield f'height="{plot.base}"/>'
        for bar in one.bars:
            yield f'<rect class="{escape(bar.kind)}" x="{bar.x}" y="{bar.y}" width="{bar.width}" '
            yield f'height="{bar.height}" rx="1.5"/>'
        if one.caption:
            yield f'<text x="{one.x}" y="{plot.height}" dy="-3">{escape(one.caption)}</text>'
        yield "</a>\n" if one.href else "</g>\n"


def rows(plot: Plot) -> SafeString:
    """The rows of the table of a chart that is seen, each value with its link."""
    return safe(
        f'<tr><th scope="row">{_linked(first)}</th>{"".join(_named(cell) for cell in rest)}</tr>\n'
        for first, *rest in plot.rows
    )


def _named(cell: Cell) -> str:
    name = f' data-label="{escape(cell.column)}"' if cell.text else ""
    return f'<td class="num"{name}>{_linked(cell)}</td>'


def _linked(cell: Cell) -> str:
    if cell.href and cell.text:
        return f'<a href="{escape(cell.href)}">{escape(cell.text)}</a>'
    return escape(cell.text)


def rows_heard(plot: Plot) -> SafeString:
    """The same for who hears the page: values alone."""
    return safe(
        f'<tr><th scope="row">{escape(first.text)}</th>{_values(rest)}</tr>\n' for first, *rest in plot.rows
    )


def _values(cells: Sequence[Cell]) -> str:
    return "".join(f"<td>{escape(cell.text)}</td>" for cell in cells)


def escape(text: object) -> str:
    """As it stands in text and between quotes. Django's own takes three times as long, mostly for what is safe."""
    return html.escape(str(text))


def safe(parts: Iterable[str]) -> SafeString:
    """The parts as one, of which every text was escaped."""
    return mark_safe("".join(parts))  # noqa: S308 - as it says
