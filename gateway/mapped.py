"""Events that event maps make of those that were routed."""

from __future__ import annotations

from collections.abc import Sequence

from ferris.errors import EventError
from ferris.event_maps import EventMap
from ferris.events import Event
from ferris.ports import LogRecord
from ferris.replaying import MARK as REPLAYED
from ferris_web.catalog.event_maps import event_maps_by_source
from gateway.deadletter import Letter

REASON = "not_mapped"


class Maps:
    """For one thread. Maps are read when the catalog's revision has changed: without one, nothing is looked at."""

    def __init__(self) -> None:
        self._revision = -1
        self._maps: dict[str, list[tuple[str, EventMap]]] = {}

    def made(
        self, batch: Sequence[tuple[Event, LogRecord]], letters: list[Letter], revision: int
    ) -> list[Event]:
        """The events that maps make of these, but for those that were put aside, and for replays: what a map made
        of the original is an event of the journal itself. Made again, each is the same event."""
        if revision != self._revision:
            self._maps = event_maps_by_source()
            self._revision = revision
        if not self._maps:
            return []
        aside = {id(letter.record) for letter in letters}
        found = []
        for event, record in batch:
            maps = self._maps.get(event.type)
            if maps is None or id(record) in aside or REPLAYED in event.extensions:
                continue
            for name, by in maps:
                try:
                    found.append(by.event(event, name))
                except EventError as error:
                    detail = f"to {name}: {error}"
                    letters.append(Letter(record, REASON, detail, event.type, event.id, event.flow_id or ""))
        return found
