"""Files that a step's script left in its folder for artifacts go to the object store: checked, counted, masked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final

from ferris.artifacts import BUCKET, content_type_of, day_of, key_of, name_problem
from ferris.errors import BackendError
from ferris.execution import ExecutionOrder
from ferris.ports import ObjectStore
from tasks.mask import BY_CHANCE, MASK, SHORTEST, Masker
from tasks.spares import Spares, is_empty, is_private
from tasks.within import opened_files

_CHUNK: Final = 1024 * 1024
_LARGEST_MASKED: Final = 64 * 1024 * 1024
_KIND: Final = "artifacts"
_LONGEST_PAUSE: Final = 5.0
_MOST_LOOKED_AT: Final = 10_000
_TEXT: Final = ("application/json", "application/xml", "application/javascript", "image/svg+xml")

Note = Callable[[str, str], None]
"""Takes (level, message): a line of the platform's own in the execution's log."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one attempt: bytes and files."""

    bytes: int
    count: int


class Artifacts:
    """The artifacts of one attempt. Used by the execution's thread only."""

    def __init__(
        self,
        folder: Path,
        objects: ObjectStore,
        order: ExecutionOrder,
        masker: Masker,
        note: Note,
        limits: Limits,
        spares: Spares,
    ) -> None:
        self.folder = folder
        self._objects, self._order, self._masker, self._note = objects, order, masker, note
        self._bytes, self._count = limits.bytes, limits.count
        self._stated: dict[str, str] = {}
        self._spares = spares

    def prepare(self, step: int) -> Path:
        """The empty folder of a step, made. Nothing else is in it when its script begins."""
        self._stated = {}
        folder = self.folder / str(step)
        if step == 0 and self._spares.take(self.folder, _KIND, _is_unused):
            return folder
        self.folder.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700)
        return folder

    def state(self, name: str, content_type: str) -> None:
        """The script says what a file is."""
        self._stated[name] = content_type

    def keep(self, step: int, wait: Callable[[float], bool]) -> tuple[dict[str, Any], str]:
        """Store what the step has left: what its report says of it, and "" or what went wrong.

        While the store is away `wait` pauses for some seconds; it says when that was long enough. What is
        refused, and why, is said in the log.
        """
        day = day_of(datetime.now(UTC))
        kept: dict[str, dict[str, Any]] = {}
        problem = ""
        try:
            for name, source in self._files(self.folder / str(step)):
                with source:
                    content, shown = self._content(name, source)
                    if content is None or shown in kept:
                        continue
                    kind = content_type_of(shown, self._stated.get(name))
                    key = key_of(day, self._order.execution_id, self._order.attempt, step, shown)
                    size = self._put(key, content, kind, wait)
                self._bytes -= size
                self._count -= 1
                kept[shown] = {"name": shown, "size": size, "content_type": kind}
        except BackendError as error:
            problem = f"its artifacts could not be stored: {error}"
            self._note("error", problem)
        return {"artifacts": list(kept.values()), "artifacts_day": day} if kept else {}, problem

    def _put(self, key: str, content: BinaryIO, kind: str, wait: Callable[[float], bool]) -> int:
        pause = 0.2
        while True:
            try:
                content.seek(0)
                return self._objects.put(BUCKET, key, content, kind).size
            except BackendError:
                if not wait(pause):
                    raise
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _files(self, folder: Path) -> Iterator[tuple[str, BinaryIO]]:
        """Files that may be kept, in the order of their names, opened; the others are told of."""
        looked_at, over = 0, 0
        for name, opened in opened_files(folder):
            looked_at += 1
            if looked_at > _MOST_LOOKED_AT:
                self._refuse_rest("more files are not looked at")
                return
            problem = opened if isinstance(opened, str) else name_problem(name)
            if not problem and not isinstance(opened, str):
                size = os.fstat(opened.fileno()).st_size
                if self._count <= 0:
                    opened.close()
                    over += 1
                    continue
                if size <= self._bytes:
                    yield name, opened
                    continue
                problem = f"it has {size} bytes, and {self._bytes} are left of this execution's limit"
            if not isinstance(opened, str):
                opened.close()
            self._refuse(name, problem)
        if over:
            self._refuse_rest(f"{over} more files are not kept: the limit of their number is reached")

    def _content(self, name: str, source: BinaryIO) -> tuple[BinaryIO | None, str]:
        """The file as it may be stored, and its name; None when it may not."""
        shown = self._masker.text(name)
        if shown != name:
            self._note("warning", f"the name of an artifact held a secret; it is kept as {shown}")
        kind = content_type_of(name, self._stated.get(name))
        size = os.fstat(source.fileno()).st_size
        masked = (kind.startswith("text/") or kind in _TEXT) and size <= _LARGEST_MASKED
        if not self._masker.found_in(source, SHORTEST if masked else BY_CHANCE):
            return source, shown
        if not masked:
            self._refuse(name, "it holds a secret, and is no text in which that could be masked")
            return None, shown
        source.seek(0)
        self._note("warning", f"the artifact {shown} held a secret; it is kept with {MASK} in its place")
        text = source.read().decode("utf-8", "surrogateescape")
        return BytesIO(self._masker.text(text).encode("utf-8", "surrogateescape")), shown

    def _refuse(self, name: str, problem: str) -> None:
        self._note("warning", f"the artifact {name!r:.300} is not kept: {problem}")

    def _refuse_rest(self, problem: str) -> None:
        self._note("warning", f"artifacts: {problem}")


def _is_unused(folder: Path) -> bool:
    """True for a folder in which one step has left nothing."""
    return is_private(folder) and os.listdir(folder) == ["0"] and is_empty(folder / "0")
