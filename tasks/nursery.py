"""PID namespaces for executions: in each a script sees and signals only what it started itself.

The other side is `boot/_ferris_nursery.py`. One namespace is always made ahead, so that no execution waits for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROGRAM: Final = Path(__file__).resolve().parent / "boot" / "_ferris_nursery.py"
_NEWPID: Final = 0x20000000
_PATIENCE: Final = 10.0


@dataclass(slots=True)
class Namespace:
    """One namespace: `handle` is what is entered; `first` its first process."""

    handle: int
    first: int

    def end(self) -> None:
        """Kill all that is in it."""
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self.first, signal.SIGKILL)

    def close(self) -> None:
        """End it and give it back."""
        self.end()
        os.close(self.handle)
        os.close(self.first)


class Nursery:
    """Makes namespaces; one for its process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def take(self) -> Namespace:
        """A namespace with nobody in it. OSError."""
        with self._lock:
            try:
                return self._take()
            except OSError:  # it was killed, perhaps: once anew
                self._end()
                return self._take()

    def close(self) -> None:
        """End it, with all that is left in its namespaces."""
        with self._lock:
            self._end()

    def _take(self) -> Namespace:
        control = self._control or self._begin()
        said, handles, _, _ = socket.recv_fds(control, 32, 1, socket.MSG_CMSG_CLOEXEC)
        if not handles:
            raise (
                OSError(int(said[1:] or b"0"), "no PID namespace could be made")
                if said
                else ConnectionResetError()
            )
        first = handles[0]
        control.send(b"+", socket.MSG_NOSIGNAL)
        try:
            return Namespace(os.open(f"/proc/{int(said)}/ns/pid", os.O_RDONLY | os.O_CLOEXEC), first)
        except OSError:
            os.close(first)
            raise

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(_PATIENCE)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-E", str(_PROGRAM), str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env={},
                cwd="/",
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        ours.send(b"+")
        self._control = ours
        return ours

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def entered(namespace: int | None) -> Iterator[None]:
    """What this thread starts meanwhile is in the namespace; the thread itself stays where it is. OSError."""
    if namespace is None:
        yield
        return
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(namespace)
        try:
            yield
        finally:
            _setns(own)
    finally:
        os.close(own)


def _setns(handle: int) -> None:
    if _libc().setns(handle, _NEWPID):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


_loaded: list[ctypes.CDLL] = []


def _libc() -> ctypes.CDLL:
    if not _loaded:
        _loaded.append(ctypes.CDLL(None, use_errno=True))
    return _loaded[0]
