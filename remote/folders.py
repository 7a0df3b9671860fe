"""A folder of services on this machine: what of it a platform gets, and what has changed in it."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from remote.client import Refused

# As the platform's own reading of folders has it (ferris_web.catalog.archive): what tools and local runs leave.
_LEFT = frozenset(
    {
        ".git", ".hg", ".svn", "__pycache__", ".venv", "node_modules", ".mypy_cache", ".pytest_cache",
        ".ruff_cache", ".idea", ".vscode", ".ipynb_checkpoints", "ef_objects", "ef_artifacts",
        "ef_env.json", "ef_package_state.json", ".DS_Store",
    }
)  # fmt: skip
# What editors keep beside a file while it is open (vim, Emacs, backups): each keystroke would be a version.
_OPEN = re.compile(r"\..*\.sw[a-p]|.*~|\.#.*|#.*#", re.DOTALL)
_MOST_BYTES = 50 * 1024 * 1024  # of one service; a request is not made for more


class Unusable(Refused):
    """A folder here cannot be put there as it is now."""


def services_of(folder: Path) -> list[Path]:
    """The folders in it that hold a service: each that has files and does not begin with a dot."""
    if not folder.is_dir():
        raise Refused(f"there is no folder {folder}")
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith((".", "_")) and path.name not in _LEFT
    ]
    if (folder / "manifest.json").exists():
        raise Refused(f"{folder} is a service itself: give the folder above it")
    return [path for path in found if any(_files(path))]


def fingerprint(service: Path) -> str:
    """Changes when a file of it does: by paths, sizes and times."""
    digest = hashlib.sha256()
    for path, name in _files(service):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # it went this moment; the next look says so
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def files_of(service: Path) -> dict[str, Any]:
    """Its files as `POST /api/v1/services/` takes them; Unusable when they are too large or cannot be read."""
    found: dict[str, Any] = {}
    size = 0
    for path, name in _files(service):
        try:
            size += path.stat().st_size
            content = path.read_bytes() if size <= _MOST_BYTES else b""
        except FileNotFoundError:
            continue  # it went this moment; the next look says so
        except OSError as error:
            raise Unusable(f"{name} cannot be read: {error.strerror}") from None
        if size > _MOST_BYTES:
            raise Unusable(f"has more than {_MOST_BYTES >> 20} MB: put large files into a bucket")
        try:
            found[name] = content.decode()
        except UnicodeDecodeError:
            found[name] = {"base64": base64.b64encode(content).decode()}
    return found


def _files(service: Path) -> Iterator[tuple[Path, str]]:
    """The regular files of a service and their paths in it. Links are not followed: they may lead anywhere."""
    for place, folders, names in os.walk(service):
        folders[:] = sorted(name for name in folders if name not in _LEFT)
        for name in sorted(names):
            path = Path(place) / name
            if name in _LEFT or name.endswith(".pyc") or _OPEN.fullmatch(name) or not _regular(path):
                continue
            yield path, path.relative_to(service).as_posix()


def _regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:  # an editor has put it in the place of another this moment
        return False
