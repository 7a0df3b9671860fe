"""The file of encryption keys: one a line, the newest in front. Read again by running processes when it has changed."""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

Stamp = tuple[int, int]
_NAME: Final = "encryption.keys"


def key_new() -> str:
    """A key that nobody has."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def keys_path(home: Path) -> Path:
    """Where the file lies."""
    return home / "keys" / _NAME


def keys_stamp(home: Path) -> Stamp | None:
    """Changes with every change of the file; None without one."""
    try:
        found = keys_path(home).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def keys_read(home: Path) -> tuple[str, ...]:
    """The keys, the newest in front. OSError."""
    return tuple(keys_path(home).read_text().split())


@contextmanager
def keys_alone(home: Path) -> Iterator[None]:
    """Nobody else on this machine replaces the file until the end. OSError."""
    path = keys_path(home).with_name(f".{_NAME}.lock")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
        os.fchmod(lock.fileno(), 0o600)  # nobody else has a reason to open it, whatever made it
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def keys_replace(home: Path, keys: Sequence[str]) -> None:
    """Put these in the file's place, durably: whoever reads it finds all of the old ones or all of these. OSError."""
    path = keys_path(home)
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("".join(f"{key}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
