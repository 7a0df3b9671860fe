"""Notices that executions changed and which events were taken in, for who watches: live screens, streams of the API,
`emit --wait`.

Appended after the commit: whoever reads the row on a notice sees the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from ferris.config import CHANGES
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.executions.models import Execution

EVENTS_TOLD: Final = b'{"events":'
"""How a notice begins that is about events only."""


@dataclass(frozen=True)
class Change:
    """What a notice says."""

    execution: UUID
    status: str
    service: str
    flow: str
    attempt: int
    progress: dict[str, Any] | None = None  # nothing else changed than this

    @classmethod
    def of(cls, row: Execution, service: str, *, only_progress: bool = False) -> Change:
        """The change of a row whose service has this name."""
        progress = row.progress if only_progress else None
        return cls(row.id, row.status, service, row.flow_id, row.attempt, progress)


def changes_tell(changes: Sequence[Change], events: Sequence[UUID] = ()) -> None:
    """Append the notices to `ferris.changes`, keyed by flow; one for all `events` that are in the journal by now."""
    notices = [Record(orjson.dumps(c), key=c.flow) for c in changes]
    if events:
        notices.append(Record(orjson.dumps({"events": events})))
    if notices:
        wiring.event_log().append(CHANGES, notices)
