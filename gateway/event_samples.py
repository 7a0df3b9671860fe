"""Takes samples of events by type, so that the catalog learns what their data look like.

What it costs is bounded: of each type the first events, then at most one a second; a sample that fits what is known
needs no query. No sample is taken of the platform's own types, whose changes would tell of themselves.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from django.db import InterfaceError, OperationalError

from ferris import events
from ferris.config import EVENTS
from ferris.errors import BackendError
from ferris.event_schemas import LEARN, widened
from ferris.events import Event
from ferris.ports import EventLog, Record
from ferris_web.catalog.event_schemas import (
    Known,
    change_event,
    changes_told,
    changes_untold,
    schemas_known,
    schemas_widen,
)

log = logging.getLogger(__name__)

MAX_SAMPLE_BYTES: Final = 64 * 1024
_EVERY = 1.0
_FORGET = 60.0  # another gateway, or a person, may have changed what is known
_AT_ONCE = 100


class Samples:
    """For one thread: `look` at every event, then `learn` from those that were kept."""

    def __init__(self, event_log: EventLog, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = event_log, clock
        self._known: dict[str, Known] = {}
        self._due: dict[str, float] = {}
        self._kept: dict[str, list[Event]] = {}
        self._forget_at = clock() + _FORGET
        self._untold = True  # a gateway may have died between a change and its event

    def look(self, event: Event, size: int) -> None:
        """Keep the event if a sample of its type is wanted now."""
        name = event.type
        if self._due.get(name, 0.0) > self._clock():
            return
        if name.startswith("ferris.") or size > MAX_SAMPLE_BYTES or isinstance(event.data, bytes):
            return
        known = self._known.get(name)
        if known is not None and known.strict:
            return  # it changes no more
        kept = self._kept.setdefault(name, [])
        if known is None or known.learning:
            if len(kept) < LEARN - (known.learned if known else 0):
                kept.append(event)
                return
        elif not kept:
            kept.append(event)
        self._due[name] = self._clock() + _EVERY

    def learn(self, now: datetime) -> None:
        """Widen schemas by what was kept, durably, and tell of those that were broken; may be called again."""
        try:
            self._widen(now)
        except (OperationalError, InterfaceError, BackendError):
            raise  # the database is away or busy: the whole turn is repeated
        except Exception:
            log.exception("no schema could be made of samples of %s", ", ".join(sorted(self._kept)[:5]))
        self._kept.clear()
        if self._untold:
            self._tell()
        if self._clock() > self._forget_at:
            self._known.clear()
            self._due.clear()
            self._forget_at = self._clock() + _FORGET

    def _widen(self, now: datetime) -> None:
        names = sorted(self._kept)
        unread = [name for name in names if name not in self._known]
        for start in range(0, len(unread), _AT_ONCE):
            self._known.update(schemas_known(unread[start : start + _AT_ONCE]))
        new = [name for name in names if self._news(name)]
        for start in range(0, len(new), _AT_ONCE):
            some = {name: self._kept[name] for name in new[start : start + _AT_ONCE]}
            self._untold = True
            self._known.update(schemas_widen(some, now))

    def _news(self, name: str) -> bool:
        known = self._known.get(name)
        if known is not None and known.strict:
            return False
        if known is None or known.learning:
            return bool(self._kept[name])
        schema = known.schema or {}
        return widened(schema, [event.data for event in self._kept[name]]) != schema

    def _tell(self) -> None:
        """The events first, then the rows: what is told twice counts once."""
        while rows := changes_untold():
            told = [change_event(row) for row in rows]
            self._log.append(EVENTS, [Record(events.encode(e), key=e.flow_id) for e in told])
            changes_told(rows)
        self._untold = False
