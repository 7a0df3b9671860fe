"""Makes events of what an S3 store tells about uploads: its notifications lie on a topic of the log.

A notice that is read again makes the same event, which is known then. Only platforms whose store tells run this role;
elsewhere whoever puts a file sends the event.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from ferris import events, uploads
from ferris.config import EVENTS, UPLOADS
from ferris.errors import BackendError, EventError
from ferris.ports import EventLog, LogRecord, Record, TellsUploads
from gateway.deadletter import Letter, put_aside
from gateway.role import Reader

log = logging.getLogger(__name__)


class Uploads(Reader):
    """Reads notices, appends events; the offset moves behind them."""

    group = "ferris.uploads"
    topics = (UPLOADS,)

    def __init__(self, event_log: EventLog, store: TellsUploads) -> None:
        super().__init__(event_log)
        self._store = store
        self._watched = False

    def turn(self) -> None:
        if not self._watched:
            self._watch()
        super().turn()

    def _watch(self) -> None:
        """Have the store tell about buckets that were there before it was asked to."""
        try:
            self._store.watch()
        except BackendError as error:
            log.warning("uploads are not told of: %s", error)
        self._watched = True

    def handle(self, records: list[LogRecord]) -> None:
        now = datetime.now(UTC)
        made, letters = [], []
        for record in records:
            try:
                made += uploads.from_notice(record.value, self._store.prefix, now=now)
            except EventError as error:
                letters.append(Letter(record, "unreadable_notice", str(error)))
        if made:
            self.log.append(EVENTS, [Record(events.encode(e), key=e.flow_id) for e in made])
        put_aside(self.log, letters)
