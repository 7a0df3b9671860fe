"""The folder of Python environments on a machine: what is in it, who uses what, and what may go.

Every environment has a lock file beside it, which stays: shared while an execution uses the environment, exclusive
while one is built or removed. Its time of change says when it was last used. Locks end with their processes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ABOUT: Final = "ferris.json"
"""Inside an environment: what it was built from."""
_LOCK: Final = ".lock"


@dataclass(frozen=True, slots=True)
class Found:
    """An environment: its bytes, what is in it, when it was last used (seconds since 1970)."""

    path: Path
    size: int
    requirements: tuple[str, ...]
    used_at: float


def python_of(there: Path) -> Path:
    """Its interpreter; whole environments have one that is there."""
    return there / "bin" / "python"


def lock_of(there: Path) -> Path:
    """The lock file of an environment."""
    return there.with_name(there.name + _LOCK)


def new_part(there: Path) -> Path:
    """A path for what will become this environment, or no longer is it. Hidden, on the same disk."""
    return there.with_name(f".{there.name}.{os.getpid()}.{secrets.token_hex(4)}")


def write_about(there: Path, requirements: list[str]) -> None:
    """Note inside an environment what it is and how large."""
    said = {"requirements": requirements, "size": size_of(there)}
    (there / ABOUT).write_text(json.dumps(said))


def size_of(folder: Path) -> int:
    """Bytes on disk of everything below a folder; what has several names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                told = os.lstat(os.path.join(place, name))
                if (told.st_dev, told.st_ino) not in seen:
                    seen.add((told.st_dev, told.st_ino))
                    total += told.st_blocks * 512
    return total


def environments(folder: Path) -> list[Found]:
    """Every environment, the longest unused first."""
    found = []
    for there in folder.iterdir() if folder.is_dir() else ():
        if there.name.startswith(".") or not python_of(there).exists():
            continue
        try:
            about = json.loads((there / ABOUT).read_text())
            size, wanted = int(about["size"]), tuple(map(str, about["requirements"]))
        except (OSError, ValueError, KeyError, TypeError):  # built before there was such a file
            size, wanted = size_of(there), ("?",)
        with contextlib.suppress(OSError):
            found.append(Found(there, size, wanted, lock_of(there).stat().st_mtime))
    return sorted(found, key=lambda one: one.used_at)


def prune(folder: Path, limit: int) -> list[Found]:
    """Remove environments, the longest unused first, until those left have at most `limit` bytes. What is in use
    stays; so do those without packages, which are small and always needed. What died half built goes, too."""
    sweep(folder)
    there = environments(folder)
    left = sum(one.size for one in there)
    gone = []
    for one in there:
        if left <= limit:
            break
        if one.requirements and remove(one.path):
            left -= one.size
            gone.append(one)
    return gone


def remove(there: Path) -> bool:
    """Remove an environment unless somebody uses it; False then. Never seen half: it loses its name first."""
    with held(there, fcntl.LOCK_EX) as mine:
        if mine:
            discard(there)
        return mine


def discard(there: Path) -> None:
    """Remove it, whatever state it is in; the caller holds its lock."""
    part = new_part(there)
    with contextlib.suppress(FileNotFoundError):
        there.rename(part)
    shutil.rmtree(part, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what builders that were killed, or removals that were, left behind."""
    for part in folder.glob(".*") if folder.is_dir() else ():
        there = folder / part.name[1:].rsplit(".", 2)[0]
        with held(there, fcntl.LOCK_EX) as mine:
            if mine:
                shutil.rmtree(part, ignore_errors=True)


def sweep_parts(there: Path) -> None:
    """The same for one environment; the caller holds its lock."""
    for part in there.parent.glob(f".{there.name}.*"):
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def held(there: Path, how: int) -> Iterator[bool]:
    """The environment's lock, if nobody is in the way."""
    handle = open_lock(there)
    try:
        yield try_lock(handle, how)
    finally:
        os.close(handle)


def open_lock(there: Path) -> int:
    """The lock file, open and not locked; closing it gives the lock back."""
    return os.open(lock_of(there), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def try_lock(handle: int, how: int) -> bool:
    """Take the lock now, or not at all."""
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
