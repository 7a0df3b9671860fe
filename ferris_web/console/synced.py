"""What a sync found, or would find, as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from ferris.differences import difference_lines

WORDS: Final = (
    _("trigger {type}"),
    _("trigger {type} where {expression}"),
    _("trigger {type} with {filter}"),
    _("nothing"),
)
ORDER = ("refused", "added", "changed", "removed")


@dataclass
class Row:
    """One service: what became of it, what is different, and every message about it."""

    name: str
    kind: str
    messages: list[dict[str, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def rows(result: Any) -> list[Row]:
    """What went wrong first; unchanged services only with messages, then folders that are none. An empty name is the
    repository."""
    result = result if isinstance(result, Mapping) else {}
    said: dict[str, list[dict[str, str]]] = {}
    for message in result.get("messages", ()):
        said.setdefault(message.get("service") or "", []).append(message)
    different = result.get("services", {})
    found = [
        Row(name, kind, said.pop(name, []), difference_lines(different.get(name, {}), gettext))
        for kind in ORDER
        for name in result.get(kind, ())
    ]
    same = set(result.get("unchanged", ()))
    others = [
        (name, "unchanged" if name in same else "skipped" if name else "", told)
        for name, told in said.items()
    ]
    return found + [Row(*one) for one in sorted(others, key=lambda one: (one[1] == "skipped", one[0]))]
