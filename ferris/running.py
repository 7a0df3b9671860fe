"""The platform that runs with a home, as its lock file says: which process, and where it listens.

The file is the lock itself, so it is never replaced: one write of a few bytes, which a reader sees whole or not at all.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOCK: Final = "platform.lock"
_MOST: Final = 500


@dataclass(frozen=True)
class Running:
    """A platform on this machine. Without a port it serves nothing: it is being exported, say."""

    pid: int
    host: str = ""
    port: int | None = None

    @property
    def address(self) -> str:
        """Where a program on this machine reaches it; nothing without a port."""
        if self.port is None:
            return ""
        host = "127.0.0.1" if self.host in ("", "0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def told(file: int, running: Running) -> None:
    """Write it into the lock file, which the caller holds."""
    said = json.dumps({"pid": running.pid, "host": running.host, "port": running.port}).encode()
    os.pwrite(file, said.ljust(_MOST) + b"\n", 0)


def read(home: Path) -> Running | None:
    """What the lock file of a home says, of a platform that may have ended."""
    try:
        said = json.loads((home / LOCK).read_bytes())
        return Running(
            int(said["pid"]), str(said["host"]), None if said["port"] is None else int(said["port"])
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def running(home: Path) -> Running | None:
    """The platform that runs with this home now; None when none does."""
    found = read(home)
    if found is None:
        return None
    try:
        os.kill(found.pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # it is there, and somebody else's
        pass
    return found
