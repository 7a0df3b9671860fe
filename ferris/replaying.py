"""Replays: past events are sent once more, as events of their own that say where they come from.

A replayed event keeps source, type, subject, time and data. Its id is made of the replay and the original, and so
is its flow of the replay and the original flow: sent twice, it is the same event, and nothing runs twice. It says
`ferrisreplay` (the replay's id) and `ferrisreplayflow` (the original flow).
"""

from __future__ import annotations

import string
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from ferris import events
from ferris.content import is_json
from ferris.errors import FerrisError
from ferris.events import Event
from ferris.routing import FilterError, RoutingTable, Trigger, check_pattern

MARK: Final = "ferrisreplay"
ORIGINAL_FLOW: Final = "ferrisreplayflow"

_IDS: Final = uuid.UUID("7f0b6f3c-0f4e-5a43-9a53-1f4f0a6f2d11")
_COMMANDS: Final = (events.RUN_REQUESTED, events.RETRY_REQUESTED, events.SCHEDULE_DUE)
_OF_THE_ORIGINAL: Final = frozenset(
    {
        *("correlationid", "causationid", "ferrishops"),
        *("ferrisservice", "ferristrigger", "ferriseventname", "ferrispriority"),
        *("ferrisjoin", "ferrisgathered"),
    }
)
_LETTERS: Final = string.digits + string.ascii_uppercase


class SelectionError(FerrisError):
    """A selection that cannot be: the field and what was expected."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name, self.problem = name, problem

    def __str__(self) -> str:
        return f"{self.name}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events: by type or pattern, by filter or expression, of one flow. SelectionError.

    `derived`: also those that executions sent, or joins. Without them, only what came from outside is sent again, and
    the executions that this causes send the others anew.
    """

    event_type: str = "*"
    filter: Mapping[str, Any] | None = None
    cesql: str | None = None
    flow_id: str = ""
    derived: bool = False

    def table(self) -> RoutingTable:
        """What `wants` asks; made once for many events."""
        if self.filter is not None and self.cesql is not None:
            raise SelectionError("cesql", "stands beside a filter; give one of the two")
        try:
            check_pattern(self.event_type)
        except ValueError as error:
            raise SelectionError("event_type", str(error)) from None
        try:
            return RoutingTable([Trigger("", "", self.event_type, filter=self.filter, cesql=self.cesql)])
        except FilterError as error:
            raise SelectionError("filter" if self.cesql is None else "cesql", str(error)) from None

    def wants(self, event: Event, table: RoutingTable) -> bool:
        """True for an event to be sent again. Never one that is a replay itself, nor a command (a manual run, a
        retry, a due time): those were meant for one moment."""
        return (
            event.type not in _COMMANDS
            and MARK not in event.extensions
            and (self.derived or (event.causation_id is None and "ferrisjoin" not in event.extensions))
            and bool(table.match(event))
        )


def replayed(event: Event, replay: uuid.UUID, flow: str, service: str | None) -> Event:
    """The event as the replay sends it: within a flow of its own, to one service (by id) or to whoever listens."""
    kept = {name: value for name, value in event.extensions.items() if name not in _OF_THE_ORIGINAL}
    ours: dict[str, str | int | bool] = {
        MARK: str(replay),
        ORIGINAL_FLOW: flow,
        "correlationid": flow_of(replay, flow),
    }
    if service is not None:
        ours["ferrisservice"] = service
    return replace(
        event,
        id=id_of(replay, event.key),
        data=bytes_again(event),
        extensions={**kept, **ours},
    )


def id_of(replay: uuid.UUID, key: uuid.UUID) -> str:
    """The CloudEvents id that a replay gives to the event of that key."""
    return str(uuid.uuid5(_IDS, f"{replay}/{key}"))


def flow_of(replay: uuid.UUID, flow: str) -> str:
    """The flow that stands for an original one within a replay: ten characters, always the same."""
    number = uuid.uuid5(_IDS, f"{replay}/flow/{flow}").int
    letters = []
    for _ in range(10):
        number, rest = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[rest])
    return "".join(letters)


def bytes_again(event: Event) -> Any:
    """The data of an event of the journal, which keeps bytes as hexadecimal text."""
    kind = event.datacontenttype
    if type(event.data) is not str or is_json(kind) or str(kind).lower().startswith("text/"):
        return event.data
    try:
        return bytes.fromhex(event.data)
    except ValueError:
        return event.data
