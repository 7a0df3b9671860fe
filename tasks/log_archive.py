"""Takes every line of an attempt, compressed; once the log's limit is passed, all of it goes to the object store."""

from __future__ import annotations

import logging
import queue
import threading
import time
import zlib
from typing import Final

from ferris.errors import BackendError
from ferris.log_archive import BUCKET, CONTENT_TYPE, part_key, text_line
from ferris.ports import ObjectStore

log = logging.getLogger(__name__)

_PART: Final = 4 * 1024 * 1024
"""Compressed bytes of one part, about."""
_GATHERED: Final = 64 * 1024
_MOST_WAITING: Final = 4
_LEVEL: Final = 3
_PATIENCE: Final = 60.0
_LONGEST_PAUSE: Final = 5.0


class LogArchive:
    """Of one attempt. Lines in from its thread, parts out from another; a store that is slow slows the script down.

    Until `keep` is called nothing leaves the memory, where the compressed lines need a tenth of the limit or so.
    """

    def __init__(self, objects: ObjectStore, execution_id: str, attempt: int) -> None:
        self._objects, self._execution_id, self._attempt = objects, execution_id, attempt
        self._lines: list[str] = []
        self._gathered = 0
        self._packer = zlib.compressobj(_LEVEL, wbits=31)
        self._packed: list[bytes] = []
        self._size = 0
        self._parts: queue.Queue[bytes | None] = queue.Queue(_MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._failed = ""

    def add(self, time: str, step: str | None, level: str, message: str) -> None:
        """Take a line, masked."""
        if self._failed:
            return
        line = text_line(time, step, level, message)
        self._lines.append(line)
        self._gathered += len(line)
        if self._gathered >= _GATHERED:
            self._pack()

    def keep(self) -> None:
        """The log's limit is passed: store what came, and everything that will come."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._store, name="log-archive", daemon=True)
            self._thread.start()

    def close(self) -> str:
        """Store the rest; what went wrong, or "". Nothing is stored that `keep` was not called for."""
        if self._thread is None:
            return ""
        self._pack()
        self._cut()
        self._parts.put(None)
        self._thread.join()
        return self._failed

    def _pack(self) -> None:
        self._packed.append(self._packer.compress("".join(self._lines).encode("utf-8", "replace")))
        self._size += len(self._packed[-1])
        self._lines.clear()
        self._gathered = 0
        if self._thread is not None and self._size >= _PART:
            self._cut()

    def _cut(self) -> None:
        """End the part: each is a gzip member of its own."""
        self._packed.append(self._packer.flush())
        self._parts.put(b"".join(self._packed))
        self._packer = zlib.compressobj(_LEVEL, wbits=31)
        self._packed.clear()
        self._size = 0

    def _store(self) -> None:
        part = 0
        while (content := self._parts.get()) is not None:
            part += 1
            if not self._failed:
                self._put(part_key(self._execution_id, self._attempt, part), content)

    def _put(self, key: str, content: bytes) -> None:
        deadline, pause = time.monotonic() + _PATIENCE, 0.2
        while True:
            try:
                self._objects.put(BUCKET, key, content, CONTENT_TYPE)
                return
            except BackendError as error:
                if time.monotonic() > deadline:
                    self._failed = str(error)
                    log.error("the log of execution %s cannot be archived: %s", self._execution_id, error)
                    return
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
