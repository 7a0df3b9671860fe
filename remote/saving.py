"""Files that commands write: whole, for their owner only, and in no other's place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from remote.client import Refused


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file to write and read, which its owner only may read. It appears at `path` when it is whole, or not at
    all; Refused when something is there, or when it cannot be written."""
    if path.exists():
        raise Refused(f"{path} is there already; name another file, or move that one away")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _private(part) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(path)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _private(path: Path) -> IO[bytes]:
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b")
    except OSError as error:
        raise Refused(
            f"{path.parent} cannot be written: {error.strerror}; name a file in another folder"
        ) from error
