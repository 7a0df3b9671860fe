"""What an edit makes of a service's files: values in, values out.

An edit names each file as its author saw it, by SHA-256; who changes what somebody else has changed meanwhile is told.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ferris.documents import Notes, read_object
from ferris.errors import Conflict, NotFound
from ferris.scripts import SUFFIXES
from ferris.service_files import MANIFEST
from ferris_web.catalog.archive import SourceFile

Files = Mapping[str, SourceFile]
NOTHING: Final = ""
"""The SHA-256 of a file that is not there, in `Edit.seen`."""


@dataclass(frozen=True)
class Edit:
    """Changes of one save, in this order: `move` (old path to new), `remove`, `put`, `scripts`.

    `scripts` is the order in which they run, written into manifest.json. `seen` is the SHA-256, in hex, of files as
    the author saw them; a file that is not in it is changed whatever it holds.
    """

    put: Mapping[str, bytes] = field(default_factory=dict)
    remove: Sequence[str] = ()
    move: Mapping[str, str] = field(default_factory=dict)
    scripts: Sequence[str] | None = None
    seen: Mapping[str, str] = field(default_factory=dict)


class Overtaken(Conflict):
    """Somebody else changed these files meanwhile; nothing was written."""

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(paths)} was changed by somebody else since you opened it, and nothing was saved: look at "
            "what is there now, then save again"
        )
        self.paths = tuple(paths)


def fingerprint(file: SourceFile | None) -> str:
    """SHA-256 of a file's content in hex; `NOTHING` without a file."""
    return hashlib.sha256(file.content).hexdigest() if file else NOTHING


def overtaken(files: Files, edit: Edit) -> list[str]:
    """The files that are not as the author saw them."""
    return [path for path, seen in edit.seen.items() if fingerprint(files.get(path)) != seen]


def edited(files: Files, edit: Edit) -> dict[str, SourceFile]:
    """The files after the edit. Overtaken, NotFound for a file that is to go, Conflict for a name that is taken."""
    if late := overtaken(files, edit):
        raise Overtaken(late)
    after = dict(files)
    for old, new in edit.move.items():
        file = _taken(after, old)
        if new in after:
            raise Conflict(f"there is a file {new} already: choose another name, or delete that one first")
        after[new] = file
    for path in edit.remove:
        _taken(after, path)
    for path, content in edit.put.items():
        before = files.get(path)
        after[path] = SourceFile(content, before.executable if before else False)
    renamed = {old: new for old, new in edit.move.items() if old.endswith(SUFFIXES)}
    gone = {path for path in edit.remove if path not in edit.put and path.endswith(SUFFIXES)}
    if MANIFEST in after and MANIFEST not in edit.put and (renamed or gone):
        _rewrite(after, lambda said: _followed(said, renamed, gone))
    if edit.scripts is not None:
        wanted = list(edit.scripts)
        if not wanted:
            raise Conflict("no script is left to run: leave one in the order at least")
        _rewrite(after, lambda said: _ordered(said, wanted))
    return after


def _taken(files: dict[str, SourceFile], path: str) -> SourceFile:
    if path not in files:
        raise NotFound(f"there is no file {path!r}")
    return files.pop(path)


def _rewrite(files: dict[str, SourceFile], change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """manifest.json with a change in it, written only when there is one."""
    file = files.get(MANIFEST)
    notes = Notes()
    said = read_object(MANIFEST, file.content, notes) if file else {}
    if notes.failed or said is None:
        raise Conflict("manifest.json cannot be read: mend it first")
    changed = change(dict(said))
    if changed != said or list(changed) != list(said):
        files[MANIFEST] = SourceFile((json.dumps(changed, indent=2, ensure_ascii=False) + "\n").encode())


def _followed(said: dict[str, Any], renamed: Mapping[str, str], gone: set[str]) -> dict[str, Any]:
    """Scripts that were renamed or deleted are so in the manifest as well. An entrypoint that is gone stays: the check
    of the whole says that it names nothing."""
    entry, order = said.get("entrypoint"), said.get("execution_order")
    if isinstance(entry, str) and entry in renamed:
        said["entrypoint"] = renamed[entry]
    if isinstance(order, list):
        left = [name for name in order if not (isinstance(name, str) and name in gone)]
        said["execution_order"] = [
            renamed.get(name, name) if isinstance(name, str) else name for name in left
        ]
    return said


def _ordered(said: dict[str, Any], scripts: list[str]) -> dict[str, Any]:
    """`execution_order`; the entrypoint, which would win over it, goes."""
    if said.get("entrypoint") and scripts == [said["entrypoint"]]:
        return said
    said.pop("entrypoint", None)
    said["execution_order"] = scripts
    return said


def line_of(content: str, key: str) -> int | None:
    """The line of a JSON file, from 1, at which the key of a message begins (`a.b[2]`: that of "b"), or None."""
    names = [part.partition("[")[0] for part in key.split(".")]
    at = 0
    for name in names:
        found = content.find(f'"{name}"', at) if name else -1
        if found < 0:
            break
        at = found
    return content.count("\n", 0, at) + 1 if at else None
