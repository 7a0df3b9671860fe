"""The folder in which a worker's scripts run, beside those of other workers of this machine."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import IO, Final

from tasks.cleaner import end_leftovers, remove
from tasks.spares import Spares

# A socket's path has 107 bytes (sun_path of unix(7)). Scripts make some, too, in their temporary folder, which lies
# here: multiprocessing takes 43 for `/1234567.tmp/pymp-12345678/listener-12345678`.
_LONGEST_SOCKETS: Final = 60
_ELSEWHERE: Final = "ferris-sockets-"


class Workplace:
    """The folder in which this worker's scripts run. What workers that died left beside it is removed."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        self._own = parent / f"{socket.gethostname()}-{os.getpid()}"
        # One at a time: a lock that was just made, and not taken yet, would look like that of a worker that died.
        with (parent / "sweep").open("a") as sweeping:
            fcntl.flock(sweeping, fcntl.LOCK_EX)
            self._lock = _lock(self._own.with_name(f"{self._own.name}.lock"))
            self._sweep(parent)
            shutil.rmtree(self._own, ignore_errors=True)
            self._own.mkdir(mode=0o700)
        self.attempts = self._own / "attempts"
        self.attempts.mkdir()
        spare = self._own / "spare"
        spare.mkdir()
        self.spares = Spares(spare)
        self._sockets = self._short(self._own / "sockets")
        self._numbers = itertools.count(1)

    def socket_path(self) -> str:
        """A path for a new Unix socket."""
        return str(self._sockets / str(next(self._numbers)))

    def close(self) -> None:
        """Remove the folder."""
        remove(self._own)
        shutil.rmtree(self._sockets, ignore_errors=True)
        if self._lock is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._lock.name)
            self._lock.close()

    def _sweep(self, parent: Path) -> None:
        for lock in parent.glob("*.lock"):
            if lock.name != f"{self._own.name}.lock" and (held := _lock(lock)) is not None:
                with held:
                    left = [parent / lock.name.removesuffix(".lock")]
                    elsewhere = Path(held.read())
                    if elsewhere.name.startswith(_ELSEWHERE):
                        left.append(elsewhere)
                    end_leftovers([f"{folder}/" for folder in left])
                    for folder in left:
                        remove(folder)
                    lock.unlink(missing_ok=True)

    def _short(self, folder: Path) -> Path:
        """The folder, made; another one when its path leaves no room for sockets in it. The lock tells of that one."""
        if len(os.fsencode(folder)) <= _LONGEST_SOCKETS:
            folder.mkdir()
            return folder
        elsewhere = Path(tempfile.mkdtemp(prefix=_ELSEWHERE))
        if self._lock is not None:
            self._lock.write(str(elsewhere))
            self._lock.flush()
        return elsewhere


def _lock(path: Path) -> IO[str] | None:
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.seek(0)
    return file
