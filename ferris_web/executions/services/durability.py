"""Rows that need not be on the disk at once, because the event log still has what they were made of.

The router's transaction is visible when it commits, and doorbells ring; it is made durable (`settle`) before the
log's offset moves. If the machine loses its power in between, the events are read again and become the same rows.
Who claims such a row writes behind it into the same journal: a claim that is durable makes everything before it
durable. On SQLite this takes a wait for the disk out of every event's way; elsewhere commits are as ever.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from django.db import connection


class Behind:
    """The commits of one thread's connection, that are made durable later."""

    def __init__(self) -> None:
        self._behind: Any = None

    def begin(self) -> None:
        """From now on commits of this thread wait for no disk. Call it again at will: connections come and go."""
        if connection.vendor != "sqlite" or connection.in_atomic_block:
            return
        connection.ensure_connection()
        if self._behind is not connection.connection:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA synchronous=NORMAL")
            self._behind = connection.connection

    def settle(self) -> None:
        """Return when everything that was committed is durable."""
        if self._behind is None:
            return
        # What is not in this file any more was copied into the database, after it had been made durable here.
        with suppress(FileNotFoundError):
            journal = os.open(f"{connection.settings_dict['NAME']}-wal", os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(journal)
            finally:
                os.close(journal)
