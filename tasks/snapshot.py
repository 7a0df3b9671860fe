"""What the steps of an attempt leave in its folder for the next ones, kept when one fails: a later run goes on there.

Nothing is copied while all is well: before each step the folder's files are only looked at (size, times, inode). When a
step fails, what earlier ones made or changed is packed. What the failed step itself made is left out; if it changed a
file of theirs, the state before it is gone, and that is said.
"""

from __future__ import annotations

import os
import stat
import tarfile
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from ferris.artifacts import day_of
from ferris.continuing import BUCKET, Continuation
from ferris.errors import BackendError, NotFound
from ferris.execution import ExecutionOrder
from ferris.isolation import size_text
from ferris.ports import ObjectStore
from tasks.mask import BY_CHANCE, Masker
from tasks.package import PackageError, unpack
from tasks.within import opened_files

MOST_FILES: Final = 10_000
_LEFT_OUT: Final = "__pycache__"
_LONGEST_PAUSE: Final = 5.0
_FOLDER: Final = ("folder",)

Marks = dict[str, tuple[Any, ...]]
"""What tells a change of each file and folder, by path."""


class _No(Exception):
    """Nothing is kept; says why."""


class Snapshots:
    """Of one attempt. Does nothing for a service of one script, nor when `limit` (bytes) is 0."""

    def __init__(
        self, folder: Path, objects: ObjectStore, order: ExecutionOrder, masker: Masker, limit: int
    ) -> None:
        self._folder, self._objects, self._order, self._masker = folder, objects, order, masker
        self._limit = limit if len(order.scripts) > 1 else 0
        self._package: Marks = {}
        self._before: Marks | None = None
        self._resumed: frozenset[str] = frozenset()

    def resume(self, wait: Callable[[float], bool]) -> None:
        """Before the first step, with the package in the folder: what the run left that this one continues.

        PackageError when it is no longer there. While the store is away `wait` pauses for some seconds; it says when
        that was long enough.
        """
        continued = Continuation.from_json(self._order.continues)
        if continued is None:
            return
        pause = 0.2
        while True:
            try:
                with tempfile.TemporaryFile() as archive:
                    self._download(continued, archive)
                    self._resumed = frozenset(unpack(archive, self._folder, over=True))
                return
            except BackendError:
                if not wait(pause):
                    raise
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _download(self, continued: Continuation, archive: BinaryIO) -> None:
        try:
            with self._objects.open(BUCKET, continued.key) as source:
                while chunk := source.read(1024 * 1024):
                    archive.write(chunk)
        except NotFound:
            raise PackageError(
                f"what execution {continued.execution_id} left before its step {continued.step + 1} is no longer "
                "kept: run it again from the start"
            ) from None
        archive.seek(0)

    def begin(self) -> None:
        """The first step is about to begin; its folder is its own by now."""
        if self._limit:
            found = _marks(self._folder) or {}
            self._package = {path: mark for path, mark in found.items() if path not in self._resumed}

    def before(self, step: int) -> None:
        """A step is about to begin."""
        self._before = _marks(self._folder) if self._limit and step else None

    def keep(self, step: int, script: str, wait: Callable[[float], bool]) -> dict[str, Any]:
        """The step has failed: what its report says of what is kept, or of why nothing is."""
        if not self._limit or not step:
            return {}
        try:
            with tempfile.TemporaryFile() as archive:
                size, files = self._pack(archive, script)
                day = day_of(datetime.now(UTC))
                continuation = Continuation(self._order.execution_id, self._order.attempt, step, day)
                self._put(continuation.key, archive, wait)
        except _No as problem:
            return {"snapshot": {"problem": str(problem)}}
        except (BackendError, OSError) as error:
            return {"snapshot": {"problem": f"what the steps left could not be stored: {error}"}}
        return {"snapshot": {"day": day, "size": size, "files": files}}

    def _pack(self, archive: BinaryIO, script: str) -> tuple[int, int]:
        now = _marks(self._folder)
        if self._before is None or now is None:
            raise _No(f"its folder holds more than {MOST_FILES:,} files")
        for path, mark in self._before.items():
            if now.get(path) != mark:
                raise _No(f"{script} had changed {path!r:.200} already, which earlier steps left")
        gone = next((path for path in self._package if path not in self._before), None)
        if gone is not None:
            raise _No(f"an earlier step had deleted {gone!r:.200}, a file of the service")
        wanted = {path for path, mark in self._before.items() if self._package.get(path) != mark}
        size = sum(mark[1] for mark in map(self._before.__getitem__, wanted) if mark != _FOLDER)
        if size > self._limit:
            raise _No(
                f"the earlier steps left {size_text(size)}, more than the {size_text(self._limit)} that are kept"
            )
        with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar:
            for path in sorted(path for path in wanted if self._before[path] == _FOLDER):
                entry = tarfile.TarInfo(path)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            for path, source in opened_files(self._folder):
                if path in wanted:
                    self._add(tar, path, source)
                elif not isinstance(source, str):
                    source.close()
        archive.seek(0)
        return size, sum(self._before[path] != _FOLDER for path in wanted)

    def _add(self, tar: tarfile.TarFile, path: str, source: Any) -> None:
        if isinstance(source, str):
            raise _No(f"{path!r:.200} cannot be kept: {source}")
        with source:
            state = os.fstat(source.fileno())
            if self._before is None or _mark(state) != self._before[path]:
                raise _No(f"{path!r:.200} changes still")
            if self._masker.found_in(source, BY_CHANCE):
                raise _No(f"{self._masker.text(f'{path!r:.200}')} holds a secret, which is stored nowhere")
            source.seek(0)
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = state.st_size, 0o755 if state.st_mode & stat.S_IXUSR else 0o644
            tar.addfile(entry, source)

    def _put(self, key: str, archive: BinaryIO, wait: Callable[[float], bool]) -> None:
        pause = 0.2
        while True:
            try:
                archive.seek(0)
                self._objects.put(BUCKET, key, archive, "application/gzip")
                return
            except BackendError:
                if not wait(pause):
                    raise
            pause = min(_LONGEST_PAUSE, pause * 2)


def _marks(folder: Path) -> Marks | None:
    """Every file and folder below it; None when there are too many. Links are not followed."""
    found: Marks = {}
    for parent, folders, files, handle in os.fwalk(folder, follow_symlinks=False):
        folders[:] = [name for name in folders if name != _LEFT_OUT]
        within = os.path.relpath(parent, folder)
        for name in (*folders, *files):
            path = os.path.normpath(os.path.join(within, name))
            try:
                state = os.stat(name, dir_fd=handle, follow_symlinks=False)
            except OSError:
                continue
            found[path] = _FOLDER if stat.S_ISDIR(state.st_mode) else _mark(state)
        if len(found) > MOST_FILES:
            return None
    return found


def _mark(state: os.stat_result) -> tuple[Any, ...]:
    # The time of its last change of any kind cannot be set by who changes it.
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
