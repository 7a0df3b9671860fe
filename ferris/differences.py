"""What is different between two versions of a service: triggers gained and lost, keys of the manifest, files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

MOST_FILES: Final = 200
"""Names of files that one difference lists."""
_TRIGGERS: Final = "triggers"


def service_difference(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    files_before: Sequence[Mapping[str, Any]] = (),
    files_after: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Of two manifests as plain values, None for none: `triggers` {gained, lost}, `manifest` [{key, before, after}],
    `files` {added, changed, removed}. What is the same is left out; of a service that is new or gone its triggers are
    what counts."""
    old, new = list((before or {}).get(_TRIGGERS, ())), list((after or {}).get(_TRIGGERS, ()))
    gained, lost = _without(new, old), _without(old, new)
    found: dict[str, Any] = {}
    if gained or lost:
        found["triggers"] = {"gained": gained, "lost": lost}
    if before is not None and after is not None:
        keys = sorted(before.keys() | after.keys() - {_TRIGGERS})
        changed = [
            {"key": key, "before": before.get(key), "after": after.get(key)}
            for key in keys
            if key != _TRIGGERS and before.get(key) != after.get(key)
        ]
        if changed:
            found["manifest"] = changed
        if files := _files(files_before, files_after):
            found["files"] = files
    return found


TRIGGER: Final = "trigger {type}"
TRIGGER_WHERE: Final = "trigger {type} where {expression}"
TRIGGER_WITH: Final = "trigger {type} with {filter}"
NOTHING: Final = "nothing"
"""The words of differences, for who says them in another language."""


def difference_lines(found: Mapping[str, Any], say: Callable[[str], str] = str) -> list[str]:
    """A difference in words, a line each. `say` has the words above in another language."""
    triggers, files = found.get("triggers", {}), found.get("files", {})
    lines = [f"+ {_trigger(one, say)}" for one in triggers.get("gained", ())]
    lines += [f"- {_trigger(one, say)}" for one in triggers.get("lost", ())]
    lines += [
        f"~ {one['key']}: {_text(one['before'], say)} → {_text(one['after'], say)}"
        for one in found.get("manifest", ())
    ]
    for sign, kind in (("+", "added"), ("~", "changed"), ("-", "removed")):
        lines += [f"{sign} {path}" for path in files.get(kind, ())]
    return lines


def _trigger(trigger: Mapping[str, Any], say: Callable[[str], str]) -> str:
    kind = str(trigger.get("event_type", ""))
    if trigger.get("cesql"):
        return say(TRIGGER_WHERE).format(type=kind, expression=trigger["cesql"])
    if trigger.get("filter"):
        told = json.dumps(trigger["filter"], ensure_ascii=False, sort_keys=True)
        return say(TRIGGER_WITH).format(type=kind, filter=told)
    return say(TRIGGER).format(type=kind)


def _text(value: Any, say: Callable[[str], str]) -> str:
    return say(NOTHING) if value is None else json.dumps(value, ensure_ascii=False)


def _without(some: Iterable[Any], others: Sequence[Any]) -> list[Any]:
    rest = list(others)
    found = []
    for one in some:
        if one in rest:
            rest.remove(one)
        else:
            found.append(one)
    return found


def _files(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    old = {one["path"]: one.get("sha256") for one in before}
    new = {one["path"]: one.get("sha256") for one in after}
    found = {
        "added": sorted(new.keys() - old.keys()),
        "changed": sorted(path for path in old.keys() & new.keys() if old[path] != new[path]),
        "removed": sorted(old.keys() - new.keys()),
    }
    return {kind: paths[:MOST_FILES] for kind, paths in found.items() if paths}
