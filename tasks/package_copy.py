"""Copies of a small package, and whether one is still what it was."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Final

from tasks.spares import is_plain

_LARGEST: Final = 256 * 1024
_MOST: Final = 32
"""Bytes and entries of a package that is worth comparing instead of copying."""


class PackageCopy:
    """What a copy of the package in `folder` consists of. `small`: it can be compared."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, tuple[int, int, bytes]] = {}
        """Mode, time of the last change, content."""
        self._folders: dict[str, int] = {}
        self.small = self._look()

    def make(self, path: Path) -> None:
        """Make a copy there; each file is as old as the package's, so that nobody can tell one copy from another."""
        shutil.copytree(self._folder, path, symlinks=True, copy_function=_copy)

    def unchanged(self, path: Path) -> bool:
        """True when that copy is what `make` makes. OSError when it cannot be looked at."""
        if not is_plain(path, self._folders[""]):
            return False
        seen = 0
        for name, entry in _entries(path):
            seen += 1
            if name in self._folders:
                if not is_plain(entry.path, self._folders[name]):
                    return False
            elif name not in self._files or not self._same(entry.path, *self._files[name]):
                return False
        return seen == len(self._files) + len(self._folders) - 1

    def _same(self, path: str, mode: int, changed: int, content: bytes) -> bool:
        if not is_plain(path, mode) or os.lstat(path).st_mtime_ns != changed:
            return False
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.read(handle, len(content) + 1) == content
        finally:
            os.close(handle)

    def _look(self) -> bool:
        self._folders[""] = os.lstat(self._folder).st_mode
        size = 0
        for name, entry in _entries(self._folder):
            found = entry.stat(follow_symlinks=False)
            size += found.st_size
            if size > _LARGEST or len(self._files) + len(self._folders) > _MOST:
                return False
            if stat.S_ISDIR(found.st_mode):
                self._folders[name] = found.st_mode
            else:
                self._files[name] = (found.st_mode, found.st_mtime_ns, Path(entry.path).read_bytes())
        return True


def _entries(folder: str | Path, within: str = "") -> list[tuple[str, os.DirEntry[str]]]:
    """All below a folder, with their names; links are not followed."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = within + entry.name
            found.append((name, entry))
            if entry.is_dir(follow_symlinks=False):
                found += _entries(entry.path, f"{name}/")
    return found


def _copy(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    shutil.copymode(source, target)
    found = os.stat(source)
    os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns))
