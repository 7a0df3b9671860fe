"""How rows are written in a terminal: columns, colours where somebody looks, times of day."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

_COLOURS = {
    "completed": "32",
    "failed": "31",
    "cancelled": "33",
    "skipped": "2",
    "in_progress": "36",
    "error": "31",
    "critical": "31",
    "warning": "33",
    "platform": "2",
}


def colour(text: str, kind: str, out: TextIO | None = None) -> str:
    """`text` in the colour of a status or level; plain where no terminal is, or with NO_COLOR (no-color.org)."""
    out = out or sys.stdout
    code = _COLOURS.get(kind)
    if code is None or not out.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def clean(text: str) -> str:
    """What scripts and senders wrote, without what would move a terminal's cursor; colours stay."""
    kept = "".join(c if c.isprintable() or c in "\t\x1b" else "�" for c in text)
    parts = kept.split("\x1b")
    return parts[0] + "".join(_escape(one) for one in parts[1:])


def _escape(text: str) -> str:
    """What stood behind an escape: kept whole where it sets a colour (`[1;31m`), else without the escape."""
    end = text.find("m")
    if text.startswith("[") and 0 < end <= 12 and all(c.isdigit() or c == ";" for c in text[1:end]):
        return f"\x1b{text}" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text[end + 1 :]
    return text


def progress(line: str = "") -> None:
    """Say to who watches how far it is, in place of what was said before; nothing: take that away."""
    if sys.stderr.isatty():
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kinds: int | None = None) -> Iterator[str]:
    """Lines of columns as wide as what stands in them; column `kinds` in its colour."""
    cells = [[clean(str(cell)) for cell in row] for row in rows]
    widths = [
        max(len(head[at]), *(len(row[at]) for row in cells)) if cells else len(head[at])
        for at in range(len(head))
    ]
    yield "  ".join(name.ljust(width) for name, width in zip(head, widths, strict=True)).rstrip()
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if kinds is not None:
            padded[kinds] = colour(padded[kinds], row[kinds])
        yield "  ".join(padded).rstrip()


def print_json(value: Any) -> None:
    """One indented document."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def moment(text: str | None) -> str:
    """`2026-11-25T23:31:19.117Z` as `2026-11-25 23:31:19`."""
    return text[:19].replace("T", " ") if text else ""


def log_line(line: dict[str, Any]) -> str:
    """A line of a log: time, script, message; the level where it is more than information."""
    level = line["level"] if line["level"] not in ("info", "debug") else ""
    mark = f"{level.upper()} " if level else ""
    text = f"{line['time'][11:23]}  {line['step'] or 'platform'}  {mark}{clean(line['message'])}"
    return colour(text, "platform" if line["stream"] == "platform" else level)
