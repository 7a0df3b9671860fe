"""Events of strict types that do not fit their schema: put aside, with the field and what was expected there."""

from __future__ import annotations

from ferris.event_schemas import Schema, misfits
from ferris.events import Event
from ferris.ports import LogRecord
from ferris_web.catalog.event_schemas import schemas_enforced
from gateway.deadletter import Letter

REASON = "schema"
_NAMED = 5


class StrictTypes:
    """For one thread. Schemas are read when the catalog's revision has changed: what is not strict costs nothing."""

    def __init__(self) -> None:
        self._revision = -1
        self._schemas: dict[str, Schema] = {}

    def fitting(
        self, batch: list[tuple[Event, LogRecord]], letters: list[Letter], revision: int
    ) -> list[tuple[Event, LogRecord]]:
        """The events that fit, in order; a letter for each other."""
        if revision != self._revision:
            self._schemas = schemas_enforced()
            self._revision = revision
        if not self._schemas:
            return batch
        kept = []
        for event, record in batch:
            schema = self._schemas.get(event.type)
            detail = "" if schema is None else _misfit(schema, event)
            if detail:
                letters.append(Letter(record, REASON, detail, event.type, event.id, event.flow_id or ""))
            else:
                kept.append((event, record))
        return kept


def _misfit(schema: Schema, event: Event) -> str:
    if isinstance(event.data, bytes):
        return "data are no JSON"
    return "; ".join(change.problem for change in misfits(schema, event.data)[:_NAMED])
