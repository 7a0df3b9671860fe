"""Pages of long lists by cursor: see `ferris_web.keyset`. A damaged cursor means the first page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from ferris_web import keyset

PAGE_SIZE = 50


@dataclass(frozen=True)
class Page:
    """One page in the list's order. `older`, `newer` are the query strings of the pages behind and before it, `newest`
    that of the first one."""

    rows: list[Any]
    older: str
    newer: str
    newest: str
    first: bool

    def __iter__(self) -> Any:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def page(
    rows: QuerySet[Any],
    query: QueryDict,
    *,
    time: str = "created_at",
    order: Sequence[str] = (),
    size: int = PAGE_SIZE,
    way: keyset.Way | None = None,
) -> Page:
    """The page that `query["cursor"]` names of rows in this order, or else by `-time, -pk`."""
    order = order or (f"-{time}", f"-{rows.model._meta.pk.name}")
    try:
        found = keyset.cut(rows, order, query.get("cursor", ""), size, way)
    except keyset.WrongCursor:
        found = keyset.cut(rows, order, "", size, way)
    rest = query.copy()
    rest.pop("cursor", None)
    newest = f"?{rest.urlencode()}"

    def link(cursor: str) -> str:
        if not cursor:
            return ""
        rest["cursor"] = cursor
        return f"?{rest.urlencode()}"

    return Page(found.rows, link(found.after), link(found.before), newest, not found.before)
