"""Folders that an attempt has left as it got them, for the next one.

To make and remove a file or folder is dear: a file system does not give out for some seconds what was just removed, and
searches around it (ext4: 1.5 ms of an execution that leaves nothing, where many run). A folder is kept only if the next
attempt cannot tell it from a new one: what is in it is compared, not trusted.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

MOST: Final = 256
"""Of one kind: the cleaner comes once a second, and gives back what all attempts of that second had."""
MOST_KINDS: Final = 16
"""Those that were used last."""
EMPTY: Final = "empty"
_PRIVATE: Final = 0o700

Unchanged = Callable[[Path], bool]


class Spares:
    """Those of one worker, in a folder of its own. Any thread may call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._kept: dict[str, list[Path]] = {}  # the kind that was used last is the last
        self._number = 0
        self._lent: dict[Path, tuple[str, Unchanged]] = {}

    def take(self, path: Path, kind: str, unchanged: Unchanged) -> bool:
        """Have a kept folder of this kind at `path`; False when there is none, and the caller is to make it.

        `unchanged` says at its end whether it can be kept, again or for the first time.
        """
        with self._lock:
            self._lent[path] = (kind, unchanged)
            kept = self._kept.get(kind)
            if not kept:
                return False
            spare = kept.pop()
        try:
            os.rename(spare, path)
        except OSError:  # another file system, say
            return False
        return True

    def empty(self, path: Path) -> None:
        """Have an empty folder at `path`, which nobody else may enter."""
        if not self.take(path, EMPTY, is_empty):
            path.mkdir(mode=_PRIVATE)

    def give_back(self, path: Path) -> bool:
        """Keep the folder of an attempt that has ended, if it is as it was; else it is the caller's to remove."""
        with self._lock:
            kind, unchanged = self._lent.pop(path, ("", is_empty))
            if not kind or len(self._kept.get(kind, ())) >= MOST:
                return False
            self._number += 1
            spare = self._folder / str(self._number)
        try:
            if not unchanged(path):
                return False
            os.rename(path, spare)
        except OSError:
            return False
        old: list[Path] = []
        with self._lock:
            kept = self._kept.pop(kind, [])
            self._kept[kind] = [*kept, spare]
            if len(self._kept) > MOST_KINDS:
                old = self._kept.pop(next(iter(self._kept)))
        for one in old:
            shutil.rmtree(one, ignore_errors=True)
        return True


def is_empty(path: Path) -> bool:
    """True for a folder as `Spares.empty` makes it."""
    return is_private(path) and not os.listdir(path)


def is_private(path: Path) -> bool:
    """True for a folder of this process's user, and for nobody else."""
    return is_plain(path, stat.S_IFDIR | _PRIVATE)


def is_plain(path: str | Path, mode: int) -> bool:
    """True for what belongs to this process's user, has this mode and nothing attached to it."""
    found = os.lstat(path)
    return (
        found.st_mode == mode
        and found.st_uid == os.geteuid()
        and (stat.S_ISDIR(mode) or found.st_nlink == 1)
        and not os.listxattr(path, follow_symlinks=False)
    )
