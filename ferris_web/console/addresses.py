"""Addresses of pages whose names are chosen by users or by hostile senders.

A name that cannot be one part of a path (slashes, dots only, empty) goes into the query of `.../named/` instead:
browsers fold `..` and servers fold `%2F` before any route sees them.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from django.urls import reverse

from ferris_web.catalog.models import ValueChange
from ferris_web.catalog.values import Place
from ferris_web.executions.models import SavedView

_PLAIN = re.compile(r"(?!\.+$)[A-Za-z0-9_.:@+~ -]{1,200}", re.ASCII)


def _named(route: str, fallback: str, name: object) -> str:
    text = str(name)
    if _PLAIN.fullmatch(text) and text != "named":
        return reverse(route, args=[text])
    return f"{reverse(fallback)}?name={quote(text, safe='')}"


def flow(flow_id: object) -> str:
    """The page of one flow."""
    return _named("console:flow", "console:flow-by-name", flow_id)


def event_type(name: object) -> str:
    """The page of one event type."""
    return _named("console:event-type", "console:event-type-by-name", name)


def service(name: object) -> str:
    """The page of one service."""
    return reverse("console:service", args=[name])


def value(of: ValueChange | Place, more: str = "", *arguments: object) -> str:
    """The editor of a value, or the one that a change is of; with `more` its history, or a change of it."""
    owner = of.service or of.project
    scope = "service" if of.service else "project" if of.project else "platform"
    named = [owner.name] if owner else []
    return reverse(f"console:{scope}-{of.kind}{more and f'-{more}'}", args=[*named, *arguments])


def saved_view(row: SavedView) -> str:
    """The list, or the search, with the filters of a view."""
    return f"{reverse(f'console:{row.listing}')}?{row.query or 'all=1'}"
