"""Dead letters get another chance."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ferris import events
from ferris.config import EVENTS
from ferris.errors import Conflict, EventError
from ferris.events import Event
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.executions.models import DeadLetter
from ferris_web.executions.models import Event as EventRow

HOP_LIMIT = "hop_limit"


def dead_letter_event(row: DeadLetter) -> Event | None:
    """The event inside a dead letter, or None when there is none that could be sent again."""
    if row.topic != EVENTS:
        return None
    try:
        return events.with_flow(events.from_record(bytes(row.value), {}, now=row.created_at))
    except EventError:
        return None


def dead_letter_redrive(row: DeadLetter, *, now: datetime) -> Event:
    """Append the event of a dead letter to the log again under its own identity, so that its flow goes on.

    One that was stopped by the hop limit begins to count anew. Conflict when there is no event inside, or when
    the journal has it already: sending that again would change nothing.
    """
    event = dead_letter_event(row)
    if event is None:
        raise Conflict("this record is no event that could be sent again; mend it and send it as a new event")
    if EventRow.objects.filter(pk=event.key).exists():
        raise Conflict("this event is in the journal already: it was handled in the meantime")
    if row.reason == HOP_LIMIT:
        event = replace(event, extensions={k: v for k, v in event.extensions.items() if k != "ferrishops"})
    wiring.event_log().append(EVENTS, [Record(events.encode(event), key=event.flow_id)])
    return event
