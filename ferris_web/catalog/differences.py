"""What two versions of a service differ in: file by file, as a unified diff."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ferris.errors import NotFound
from ferris.text_differences import text_difference
from ferris_web.catalog.archive import SourceFile
from ferris_web.catalog.models import ServiceVersion
from ferris_web.catalog.selectors import version_file

MOST_FILES = 50  # that are compared line by line
MOST_BYTES = 300_000  # of a file that is


@dataclass(frozen=True, slots=True)
class Change:
    """One file: `kind` is added, removed or changed. `note`: why its lines are not compared, or not all."""

    path: str
    kind: str
    lines: tuple[str, ...] = ()
    note: str = ""


def versions_compared(old: ServiceVersion, new: ServiceVersion) -> list[Change]:
    """The files that differ, by path. BackendError when the packages are away."""
    sides = old, new
    return _compared(_listed(old), _listed(new), lambda side, path: _text(sides[side], path))


def files_compared(old: Mapping[str, SourceFile], new: Mapping[str, SourceFile]) -> list[Change]:
    """The same for files that are here."""
    sides = old, new
    return _compared(old, new, lambda side, path: _decoded(sides[side][path].content))


def _compared(
    before: Mapping[str, object], after: Mapping[str, object], text: Callable[[int, str], str | None]
) -> list[Change]:
    """`text` of a file on side 0 or 1; None when its lines are not to be compared."""
    differing = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    found = []
    for number, path in enumerate(differing):
        kind = "changed" if path in before and path in after else "added" if path in after else "removed"
        if number >= MOST_FILES:
            found.append(Change(path, kind, note="not compared: too many files differ"))
            continue
        texts = text(0, path) if path in before else "", text(1, path) if path in after else ""
        if (a := texts[0]) is None or (b := texts[1]) is None:
            found.append(Change(path, kind, note="not compared: no text, or too long"))
            continue
        difference = text_difference(a, b)
        if not difference and kind == "changed":
            continue  # an old version's list tells no digests, and its text is the same
        found.append(Change(path, kind, difference.lines, difference.note))
    return found


def _listed(version: ServiceVersion) -> dict[str, object]:
    return {entry["path"]: (entry["size"], entry.get("sha256")) for entry in version.files}


def _text(version: ServiceVersion, path: str) -> str | None:
    try:
        content = version_file(version, path)
    except NotFound:
        return None
    return _decoded(content)


def _decoded(content: bytes) -> str | None:
    return None if len(content) > MOST_BYTES or b"\0" in content else content.decode("utf-8", "replace")
