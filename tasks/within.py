"""Files in folders that scripts can write, opened so that nothing outside is reached.

Opened relative to their folder and without following links: a script that still runs cannot swap one in.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def opened_files(folder: Path) -> Iterator[tuple[str, BinaryIO | str]]:
    """Every file below a folder with its name, opened, or why it is not."""
    for parent, folders, files, handle in os.fwalk(folder, follow_symlinks=False):
        folders.sort()
        within = os.path.relpath(parent, folder)
        for file in sorted(files):
            name = os.path.normpath(os.path.join(within, file))
            yield name, _open(file, handle)
        for inner in folders:
            if _is_link(inner, handle):
                yield os.path.normpath(os.path.join(within, inner)), "it is a link"


def opened(folder: Path, name: str) -> BinaryIO | str:
    """One of them, opened, or why it is not."""
    *folders, file = name.split("/")
    at = os.open(folder, _FOLDER)
    try:
        for inner in folders:
            try:
                below = os.open(inner, _FOLDER, dir_fd=at)
            except OSError as error:
                return (
                    "it is behind a link" if _is_link(inner, at) else f"it cannot be read: {error.strerror}"
                )
            os.close(at)
            at = below
        return _open(file, at)
    finally:
        os.close(at)


def _open(file: str, folder: int) -> BinaryIO | str:
    try:
        handle = os.open(
            file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, dir_fd=folder
        )
    except OSError as error:
        return "it is a link" if _is_link(file, folder) else f"it cannot be read: {error.strerror}"
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return os.fdopen(handle, "rb")
    os.close(handle)
    return "it is a link" if stat.S_ISREG(found.st_mode) else "it is neither a file nor a folder"


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False
