"""Dead letters and failed executions get another chance, one of them or a whole group.

A group is worked off in pieces, each durable when it returns. Whoever dies on the way begins again where the rows
say: a dead letter's event keeps its (source, id), and the retry of an execution has an id made of it, so that what
was sent twice runs once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from ferris import events
from ferris.attributes import PLATFORM_ONLY
from ferris.config import EVENTS
from ferris.errors import Conflict, EventError
from ferris.events import Event
from ferris.fingerprints import fingerprint
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.executions import failures
from ferris_web.executions.failures import FailureGroup, LetterGroup
from ferris_web.executions.models import DeadLetter, Execution
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.services.requests import event_check, retry_event
from ferris_web.executions.visibility import Projects

HOP_LIMIT = "hop_limit"
AT_ONCE = 500
RETRY_SOURCE = "ferris/retry"
_RETRY_IDS = uuid.UUID("b6c1d7a2-3f0e-5b84-9c53-2c1a7e9d4f60")


@dataclass(frozen=True)
class Piece:
    """What a piece of a group came to. `refused` of its members cannot be sent; `following` is the place of the
    next piece, None when this was the last."""

    sent: int
    refused: int
    following: str | None


# --- dead letters ------------------------------------------------------------------------------------


def dead_letter_event(row: DeadLetter) -> Event | None:
    """The event inside a dead letter, or None when there is none that could be sent again."""
    if row.topic != EVENTS:
        return None
    headers = {name: str(text).encode() for name, text in row.headers.items()}
    try:
        return events.with_flow(events.from_record(bytes(row.value), headers, now=row.created_at))
    except EventError:
        return None


def dead_letter_redrive(row: DeadLetter, *, now: datetime, edited: Any = None) -> Event:
    """Append the event of a dead letter to the log again under its own identity, so that its flow goes on.

    `edited`: the whole CloudEvent as it is to be sent instead. An event that could be read keeps id and source, and
    what only the platform sets; bytes that are no event may become any that could come from outside. One that was
    stopped by the hop limit begins to count anew. EventError for what is wrong with the edited one, or does
    not fit the schema of a strict type, as it would come back at once; Conflict when
    there is no event inside, or when the journal has it already: sending that again would change nothing.
    """
    original = dead_letter_event(row)
    event = original if edited is None else _mended(row, original, edited, now)
    if event is None:
        raise Conflict("this record is no event that could be sent again; mend it and send it as a new event")
    if EventRow.objects.filter(pk=event.key).exists():
        raise Conflict("this event is in the journal already: it was handled in the meantime")
    event_check(event)
    _append([_counted_anew(row, event)])
    DeadLetter.objects.filter(pk=row.pk).update(redriven_at=now)
    return event


def dead_letter_delete(row: DeadLetter) -> None:
    """Throw it away; what the log holds of it stays there as long as the log keeps it."""
    row.delete()


def _mended(row: DeadLetter, original: Event | None, edited: Any, now: datetime) -> Event:
    if row.topic != EVENTS:
        raise Conflict(f"only events can be sent again; this record came from {row.topic}")
    event = events.parse(json.dumps(edited).encode(), now=now)
    if original is None:
        if events.is_reserved(event.type):
            raise EventError("type", f"{event.type!r} is reserved for the platform; choose another type")
        ours = next((name for name in PLATFORM_ONLY if name in event.extensions), None)
        if ours is not None:
            raise EventError(ours, "is set by the platform only; leave it out")
        return events.with_flow(event)
    for name in ("id", "source"):
        if getattr(event, name) != getattr(original, name):
            raise EventError(name, f"must stay {getattr(original, name)!r}: it says which event this is")
    if event.type != original.type and (events.is_reserved(event.type) or events.is_reserved(original.type)):
        raise EventError("type", f"must stay {original.type!r}: such types are the platform's own")
    kept = {name: value for name, value in event.extensions.items() if name not in PLATFORM_ONLY}
    kept |= {name: value for name, value in original.extensions.items() if name in PLATFORM_ONLY}
    return events.with_flow(replace(event, extensions=kept))


def _counted_anew(row: DeadLetter, event: Event) -> Event:
    if row.reason != HOP_LIMIT:
        return event
    return replace(event, extensions={k: v for k, v in event.extensions.items() if k != "ferrishops"})


def dead_letters_redrive(
    group: LetterGroup,
    *,
    now: datetime,
    after: str = "",
    most: int = AT_ONCE,
    projects: Projects | None = None,
) -> Piece:
    """Send the next `most` dead letters of a group that were not sent yet, the oldest first.

    One whose event the journal has already counts as sent. Those that hold no event are refused, and stay.
    """
    rows = list(_behind(failures.letters(group, projects).filter(redriven_at=None), after)[:most])
    done = dead_letters_send(rows, now)
    return Piece(done, len(rows) - done, str(rows[-1].pk) if len(rows) == most else None)


def dead_letters_send(rows: Sequence[DeadLetter], now: datetime) -> int:
    """Send these dead letters on their way again; how many of them hold an event. The others stay as they are."""
    found = [(row, dead_letter_event(row)) for row in rows]
    known = set(
        EventRow.objects.filter(pk__in=[event.key for _, event in found if event]).values_list(
            "pk", flat=True
        )
    )
    _append([_counted_anew(row, event) for row, event in found if event and event.key not in known])
    done = [row.pk for row, event in found if event]
    DeadLetter.objects.filter(pk__in=done).update(redriven_at=now)
    return len(done)


def _behind(rows: QuerySet[DeadLetter], after: str) -> QuerySet[DeadLetter]:
    return (rows.filter(pk__gt=int(after)) if after else rows).order_by("pk")


# --- failed executions -------------------------------------------------------------------------------


def failures_retry(
    group: FailureGroup,
    *,
    actor: str,
    now: datetime,
    after: str = "",
    most: int = AT_ONCE,
    projects: Projects | None = None,
) -> Piece:
    """Ask for another execution of the next `most` failures, the oldest first: of those that are of this group.

    Each failed execution is asked for once, whoever asks and however often: one that was retried in any way is
    passed over. A service that is inactive or gone is refused, as its executions would be skipped.
    """
    rows = list(failures.executions(group, after, projects)[:most])
    sent: list[Event] = []
    refused = 0
    for row in rows:
        if group.kind and fingerprint(row.error) != group.kind:
            continue
        if not row.service.runs:
            refused += 1
            continue
        sent.append(retry_once(row, actor, now))
    _append(sent)
    return Piece(len(sent), refused, failures.place_of(rows[-1]) if len(rows) == most else None)


def retry_once(row: Execution, actor: str, now: datetime) -> Event:
    """The one retry of a failed execution that a group asks for."""
    event = retry_event(row, RETRY_SOURCE, now=now, id=str(uuid.uuid5(_RETRY_IDS, str(row.pk))))
    return replace(event, extensions={**event.extensions, "ferrisactor": actor})


def _append(batch: list[Event]) -> None:
    if batch:
        records = [Record(events.encode(event), key=event.flow_id) for event in batch]
        wiring.event_log().append(EVENTS, records)
