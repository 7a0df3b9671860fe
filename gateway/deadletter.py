"""Takes what cannot be handled off the path, with its reason and its origin, so that the partition moves on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ferris.config import DEAD_LETTER
from ferris.ports import EventLog, LogRecord, Record
from ferris_web.executions.models import DeadLetter
from gateway import metrics

REASONS = {
    "unreadable": "it is no CloudEvent",
    "hop_limit": "its flow is longer than the limit: probably services that trigger one another in a circle",
    "schema": "its data do not fit the schema of its type, which is strict",
    "not_mapped": "an event map could make no event of it",
    "not_dispatched": "its executions could not be written",
    "not_recorded": "the report could not be written",
    "unreadable_notice": "it is no notification of an object store",
    "not_indexed": "it cannot be searched for: the record has not the form of its kind",
}


@dataclass(frozen=True)
class Letter:
    """A record to put aside: why, and what is known of it."""

    record: LogRecord
    reason: str
    detail: str
    event_type: str = ""
    event_id: str = ""
    flow_id: str = ""


def put_aside(log: EventLog, letters: Sequence[Letter]) -> None:
    """Append the letters to the dead-letter topic: the original bytes, and the reason in the headers."""
    if not letters:
        return
    log.append(
        DEAD_LETTER, [Record(letter.record.value, letter.record.key, _headers(letter)) for letter in letters]
    )
    for letter in letters:
        metrics.PUT_ASIDE.labels(letter.reason).inc()


def _headers(letter: Letter) -> dict[str, bytes]:
    said = {
        "ferris-reason": letter.reason,
        "ferris-detail": letter.detail[:2000],
        "ferris-topic": letter.record.topic,
        "ferris-partition": str(letter.record.partition),
        "ferris-offset": str(letter.record.offset),
        "ferris-event-type": letter.event_type,
        "ferris-event-id": letter.event_id,
        "ferris-flow": letter.flow_id,
    }
    return {**letter.record.headers, **{name: text.encode() for name, text in said.items()}}


def row(record: LogRecord) -> DeadLetter:
    """The dead letter's row, from its record on the dead-letter topic."""

    def said(name: str, default: str = "") -> str:
        return record.headers.get(f"ferris-{name}", default.encode()).decode(errors="replace")

    return DeadLetter(
        topic=said("topic", record.topic),
        partition=int(said("partition", "0") or 0),
        offset=int(said("offset", str(record.offset)) or record.offset),
        reason=said("reason", "unknown"),
        detail=said("detail"),
        event_type=said("event-type"),
        event_id=said("event-id"),
        flow_id=said("flow"),
        value=record.value,
        headers={
            name: raw.decode(errors="replace")
            for name, raw in record.headers.items()
            if not name.startswith("ferris-")
        },
        created_at=record.timestamp or datetime.now(UTC),
    )
