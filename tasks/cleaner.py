"""Cleans up behind executions that have ended: their folders, and processes that slipped away from them.

A script may start daemons: processes in a session of their own whose parents are gone. They are known by the user and
the control groups of their cell, where it has any; and they still carry the environment of the execution, with the path
of its channel, unless they took it away.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tasks.cell import Cell, content_of
from tasks.spares import Spares

log = logging.getLogger(__name__)

_AT_MOST_EVERY: Final = 1.0
"""Seconds between two looks at all processes of the machine."""


class Cleaner:
    """One thread. Folders go after the processes that might write into them."""

    def __init__(self, give_back: Callable[[Cell], None], spares: Spares) -> None:
        self._give_back, self._spares = give_back, spares
        self._changed = threading.Condition()
        self._ended: list[Cell] = []
        self._closed = False
        self._thread: threading.Thread | None = None

    def add(self, cell: Cell) -> None:
        """The attempt has ended that had this cell."""
        with self._changed:
            self._ended.append(cell)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cleaner", daemon=True)
                self._thread.start()
            if len(self._ended) == 1:  # else it knows already that there is something to do
                self._changed.notify_all()

    def close(self) -> None:
        """Clean up what is left, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._closed)
                if not self._ended:
                    return
                ended, self._ended = self._ended, []
            try:
                for cell in ended:
                    cell.end_processes()
                end_leftovers([cell.channel for cell in ended])
                for cell in ended:
                    for folder in cell.folders:
                        if not self._spares.give_back(folder):
                            remove(folder)
                    self._give_back(cell)
            except OSError:
                log.exception("cleaning up failed")
            with self._changed:
                self._changed.wait_for(lambda: self._closed, _AT_MOST_EVERY)


def end_leftovers(channels: list[str]) -> int:
    """Kill every process whose environment names one of these channels; how many there were.

    A channel that ends in `/` stands for all in that folder.
    """
    wanted = [f"\0FERRIS_CHANNEL={one}{'' if one.endswith('/') else chr(0)}".encode() for one in channels]
    ended: set[int] = set()
    while True:  # until a look finds no other: what is killed may just have started one
        new = {pid for pid in _processes() if pid not in ended and _end_if_left(pid, wanted)}
        if not new:
            return len(ended)
        ended |= new


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _end_if_left(pid: int, wanted: list[bytes]) -> bool:
    try:
        if not _carries(pid, wanted):
            return False
        handle = os.pidfd_open(pid)
        try:
            # Before it was opened the number may have become another's: so look again.
            if not _carries(pid, wanted):
                return False
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)
    except OSError:  # it has ended meanwhile, or belongs to somebody else
        return False
    return True


def _carries(pid: int, wanted: list[bytes]) -> bool:
    environ = b"\0" + content_of(f"/proc/{pid}/environ")
    return any(marker in environ for marker in wanted)


def remove(folder: Path) -> None:
    """Remove a folder, also one in which a script took away the right to do so."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for parent, names, _ in os.walk(folder):
            for name in names:
                inner = os.path.join(parent, name)
                if not os.path.islink(inner):  # chmod would follow it out of the folder
                    os.chmod(inner, 0o700)
        shutil.rmtree(folder, ignore_errors=True)
