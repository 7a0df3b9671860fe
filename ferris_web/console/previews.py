"""What a page shows of a file that a script has left: a picture, a page in a sandbox, a table, a text."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ferris.artifacts import BUCKET
from ferris_web import wiring
from ferris_web.console import presentation
from ferris_web.executions.models import Artifact

ROWS, COLUMNS, CELL = 200, 50, 500
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml", "image/avif"})
PAGES = frozenset({"text/html", "application/xhtml+xml"})
_LARGEST_THUMBNAIL = 2 * 1024 * 1024
_LARGEST_IMAGE = 32 * 1024 * 1024
_LARGEST_PAGE = 32 * 1024 * 1024
_LARGEST_TEXT = 64 * 1024 * 1024  # of which the beginning is shown
_READ = 512 * 1024
_TEXTS = frozenset({"application/xml", "application/javascript", "application/yaml", "application/x-sql",
                    "application/x-sh", "application/x-ndjson", "application/toml"})  # fmt: skip


@dataclass(frozen=True)
class Preview:
    """One of `image`, `page`, `table`, `text`; or `none`, and why. `cut`: more than what is shown."""

    kind: str
    why: str = ""
    text: SafeString | None = None
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    cut: str = ""


def has_thumbnail(artifact: Artifact) -> bool:
    """True for a picture that is small enough to be shown in a list."""
    return artifact.content_type in IMAGES and artifact.size <= _LARGEST_THUMBNAIL


def framed(artifact: Artifact) -> bool:
    """True for what may be shown inside a page: the browser gets it for nothing but to look at."""
    limits = {"image": _LARGEST_IMAGE, "page": _LARGEST_PAGE}
    return artifact.size <= limits.get(_kind(artifact), -1)


def preview_of(artifact: Artifact) -> Preview:
    """What to show."""
    kind = _kind(artifact)
    if kind in ("image", "page"):
        return Preview(kind) if framed(artifact) else Preview("none", gettext("It is too large to be shown."))
    if kind == "none":
        return Preview(
            "none",
            gettext("There is no preview of {content_type}.").format(content_type=artifact.content_type),
        )
    if artifact.size > _LARGEST_TEXT:
        return Preview("none", gettext("It is too large to be shown."))
    with wiring.object_store().open(BUCKET, artifact.key) as source:
        content = source.read(_READ)
    cut = artifact.size > len(content)
    text = content.decode("utf-8-sig", "replace")
    if kind == "table":
        return _table(text, artifact.name, cut)
    if kind == "json" and not cut:
        return Preview("text", text=presentation.json_source(text))
    shown = presentation.code_block(text, artifact.name)
    return Preview(
        "text",
        text=shown,
        cut=gettext("The first {size}.").format(size=presentation.size(len(content))) if cut else "",
    )


def _kind(artifact: Artifact) -> str:
    kind = artifact.content_type
    if kind in IMAGES:
        return "image"
    if kind in PAGES:
        return "page"
    if kind in ("text/csv", "text/tab-separated-values"):
        return "table"
    if kind == "application/json" or kind.endswith("+json"):
        return "json"
    return "text" if kind.startswith("text/") or kind in _TEXTS else "none"


def _table(text: str, name: str, cut: bool) -> Preview:
    """The first rows and columns. A text without any comma is a table of one column."""
    if cut:
        text = text[: text.rfind("\n") + 1]
    try:
        lines = [_cells(row) for row in _rows(text, name)]
    except csv.Error:  # a field beyond the module's limit, NUL in old Pythons
        return Preview("text", text=presentation.code_block(text, "table.txt"))
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    more = cut or len(rows) > ROWS
    return Preview(
        "table",
        header=header,
        rows=rows[:ROWS],
        cut=gettext("The first {count} rows.").format(count=ROWS) if more else "",
    )


def _rows(text: str, name: str) -> list[list[str]]:
    try:
        dialect: Any = csv.Sniffer().sniff(text[:8192], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel_tab if name.endswith((".tsv", ".tab")) else csv.excel
    found = []
    for row in csv.reader(io.StringIO(text, newline=""), dialect):
        found.append(row)
        if len(found) > ROWS + 1:
            break
    return found


def _cells(row: list[str]) -> list[str]:
    shown = [presentation.shorten(cell, CELL) for cell in row[:COLUMNS]]
    return [*shown, "…"] if len(row) > COLUMNS else shown
