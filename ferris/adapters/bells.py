"""Waking readers in other processes, and telling who may read: named pipes and file locks. Nothing here
polls.

A bell is a named pipe a reader owns, in a folder everyone who appends looks into. The pipe gets its name
only when its reader has opened it, so one that nobody has open belongs to a dead reader and is removed by
whoever finds it.

A seat is held by one member at a time, by a lock the kernel frees when the holder dies, however it dies.
The others wait on a named pipe the holder keeps open for writing: the kernel reports its end (POLLHUP) at
that same moment.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import select
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

_SAFETY_SECONDS = 30.0  # a writer killed between its commit and the bell is heard at the latest by then
_SEAT_RETRY_SECONDS = (0.002, 0.01, 0.05, 0.25, 1.0)
_STALE_SECONDS = 60.0


def ring(folder: Path) -> None:
    """Wake every reader that has a bell in this folder. Never fails: what was appended is on the log
    anyway.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("cannot ring in %s: %s; readers will be late", folder, error.strerror)
        return
    for name in names:
        if not name.startswith("."):
            _ring_one(folder / name)


def _ring_one(path: Path) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody has it open: its reader is dead
            with suppress(OSError):
                path.unlink()
        elif error.errno != errno.ENOENT:
            logger.warning("cannot ring %s: %s; its reader will be late", path, error.strerror)
        return
    try:
        os.write(fd, b"!")
    except (BlockingIOError, BrokenPipeError):
        pass  # full of rings already, or closed just now
    finally:
        os.close(fd)


class Alarm:
    """What one reader waits on: its bells, its seats, and `wake` from another thread.

    Call `clear`, look for work, then `wait`: a bell rung after `clear` ends the wait at once.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._paths: list[Path] = []
        self._bells: list[int] = []
        self._closing = threading.RLock()  # `wake` may come from a signal handler of the closing thread
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        try:
            for folder in folders:
                self._hang(folder)
        except BaseException:
            self.close()
            raise
        _opened.add(self)

    def _hang(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(folder)
        name = f"{os.getpid()}-{secrets.token_hex(6)}"
        hidden = folder / f".{name}"
        os.mkfifo(hidden, 0o600)
        # Read and write: with a writer of its own the pipe never reports its end.
        self._bells.append(os.open(hidden, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        os.rename(hidden, folder / name)
        self._paths.append(folder / name)

    def clear(self) -> None:
        """Forget the rings so far."""
        for bell in self._bells:
            _drain(bell)

    def wait(self, seconds: float, seats: Iterable[Seat] = ()) -> bool:
        """Until a bell rings, a seat may have become free, or `seconds` are over; True if `wake` was
        called.
        """
        poller = select.poll()
        for fd in (*self._bells, self._wake_read):
            poller.register(fd, select.POLLIN)
        for seat in seats:
            seconds = min(seconds, seat.retry_after)
            if seat.fileno is not None:
                poller.register(seat.fileno, 0)  # POLLHUP is always reported
        ready = poller.poll(max(0.0, min(seconds, _SAFETY_SECONDS)) * 1000)
        return any(fd == self._wake_read for fd, _ in ready) and _drain(self._wake_read)

    def wake(self) -> None:
        """End the wait under way, or else the next one. From any thread, and from a signal handler."""
        with self._closing, suppress(BlockingIOError):
            if self._wake_write >= 0:
                os.write(self._wake_write, b"!")

    def close(self) -> None:
        """Take the bells down."""
        with self._closing:
            for path in self._paths:
                path.unlink(missing_ok=True)
            self._paths.clear()
            self.drop()

    def drop(self) -> None:
        """Close the descriptors only: what a forked child does with its parent's."""
        for fd in (*self._bells, self._wake_read, self._wake_write):
            if fd >= 0:
                os.close(fd)
        self._bells.clear()
        self._wake_read = self._wake_write = -1


class Seat:
    """The right to be the one reader of a topic for a group."""

    def __init__(self, folder: Path, name: str) -> None:
        self._lock_path = folder / f"{name}.lock"
        self._life_path = folder / f"{name}.life"
        self._make_files()
        self._lock: int | None = None
        self._life: int | None = None  # held open for writing: the others see its end when we end
        self._watch: int | None = None
        self._refused = 0
        _opened.add(self)

    def _make_files(self) -> None:
        self._life_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.mkfifo(self._life_path, 0o600)

    @property
    def held(self) -> bool:
        return self._lock is not None

    @property
    def fileno(self) -> int | None:
        """Reports POLLHUP when the holder is gone; None while we hold the seat."""
        return self._watch if self._refused == 0 else None

    @property
    def retry_after(self) -> float:
        """Seconds after which to try again even without a sign."""
        if self.held or self._refused == 0:
            return _SAFETY_SECONDS
        return _SEAT_RETRY_SECONDS[min(self._refused, len(_SEAT_RETRY_SECONDS)) - 1]

    def take(self) -> bool:
        """Try to sit down; True when the seat is ours now. Does not wait."""
        holder_gone = self._watch is not None and _has_ended(self._watch)
        self._make_files()
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._watch is None:
            self._watch = os.open(self._life_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # Opened before the lock is tried: whoever holds the lock is always seen as alive.
        life = os.open(self._life_path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            os.close(life)
            # A dying holder's pipe may end a moment before its lock does: then a short wait, not a spin.
            self._refused = self._refused + 1 if holder_gone else 0
            return False
        # For `holder` alone: the lock and the pipe say what holds. So a full disk is no reason not to read.
        with suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
        os.close(self._watch)
        self._lock, self._life, self._watch, self._refused = lock, life, None, 0
        return True

    def release(self) -> None:
        """Leave; those waiting learn of it at once."""
        self.drop()

    def drop(self) -> None:
        for fd in (self._lock, self._life, self._watch):
            if fd is not None:
                os.close(fd)
        self._lock = self._life = self._watch = None


def holder(folder: Path, name: str) -> str:
    """The process that holds a seat, "" when nobody does. Disturbs nobody: it neither tries the lock nor reads."""
    try:
        # ENXIO unless somebody has the pipe open: the holder, or one that waits and so holds it in a moment.
        os.close(os.open(folder / f"{name}.life", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        return (folder / f"{name}.lock").read_text()
    except OSError:
        return ""


def _drain(fd: int) -> bool:
    try:
        while len(os.read(fd, 65536)) == 65536:
            pass
    except BlockingIOError:
        pass
    return True


def _has_ended(fd: int) -> bool:
    poller = select.poll()
    poller.register(fd, 0)
    return any(event & select.POLLHUP for _, event in poller.poll(0))


def _sweep(folder: Path) -> None:
    """Remove pipes whose maker died before it could give them their name."""
    for path in folder.glob(".*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                _ring_one(path)


_opened: weakref.WeakSet[Alarm | Seat] = weakref.WeakSet()


def _drop_all() -> None:
    """A forked child must not keep its parent's seats taken, nor its bells alive."""
    for opened in list(_opened):
        opened.drop()


os.register_at_fork(after_in_child=_drop_all)
