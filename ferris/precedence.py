"""Who goes first among those that wait: a priority from the event, and fair shares. Values in, decision out.

Within a lane *projects* take turns: the next is of the project that has the fewest under way. Within a project the
more urgent go first; of equal priority services and the keys of `fair_share` take turns, one each; then the older.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self, TypeVar

from ferris.documents import whole_of
from ferris.events import Event
from ferris.limits import key_of

URGENT, PATIENT = 1, 10

FROM_SERVICE: Final = ""
FROM_EVENT: Final = "event"
MISSING: Final = "missing"
INVALID: Final = "invalid"
OF_THE_RUN: Final = "run"
BY_HAND: Final = "person"

PRIORITY_FROM: Final = {
    FROM_SERVICE: "its service's",
    FROM_EVENT: "from its event, as the manifest asks",
    MISSING: "its service's: the event has no value where the manifest looks for one",
    INVALID: "its service's: the event's value is no priority from 1 to 10",
    OF_THE_RUN: "asked for with this run",
    BY_HAND: "set by hand while it waited",
}
"""Where an execution's priority comes from: what `priority_from` says, in words."""


@dataclass(frozen=True, slots=True)
class PriorityFrom:
    """A priority that the event brings: at `key` a number from 1 to 10, or one of the texts of `values`."""

    key: str
    values: Mapping[str, int] = field(default_factory=dict)

    def of(self, event: Event, default: int) -> tuple[int, str]:
        """The priority for this event, or the default; and a key of PRIORITY_FROM."""
        text = key_of(event, self.key)
        if not text or text == "null":
            return default, MISSING
        known = self.values.get(text)
        number = whole_of(text) if known is None else known
        if number is None or not URGENT <= number <= PATIENT:
            return default, INVALID
        return number, FROM_EVENT


@dataclass(frozen=True, slots=True)
class Precedence:
    """What a manifest says of who goes first. `fair_share`: the path to whom an execution is for."""

    priority: PriorityFrom | None = None
    fair_share: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values, without what is not said."""
        said: dict[str, Any] = {}
        if self.priority:
            said["priority"] = {"key": self.priority.key, "values": dict(self.priority.values)}
        if self.fair_share:
            said["fair_share"] = self.fair_share
        return said

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Self:
        """From `to_json`."""
        said = document or {}
        priority = said.get("priority")
        return cls(PriorityFrom(**priority) if priority else None, said.get("fair_share", ""))

    def share_key(self, event: Event) -> str:
        """For whom the execution of this event is; empty without a key."""
        return key_of(event, self.fair_share)


class Aged(Protocol):
    """Something that waits, and since when."""

    @property
    def created_at(self) -> Any: ...


W = TypeVar("W", bound=Aged)
P = TypeVar("P")


def share_out(waiting: Mapping[P, Sequence[W]], busy: Mapping[P, int], most: int) -> list[W]:
    """Of those that wait, by project in their order there, the next `most` to go: each time one of the project that
    has the fewest under way, and of equal ones that whose next has waited longest."""
    numbered = list(enumerate(waiting.items()))
    queue = [(busy.get(p, 0), rows[0].created_at, number, 0) for number, (p, rows) in numbered if rows]
    rows_of = {number: rows for number, (_, rows) in numbered}
    heapq.heapify(queue)
    chosen: list[W] = []
    while queue and len(chosen) < most:
        count, _, number, at = queue[0]
        rows = rows_of[number]
        chosen.append(rows[at])
        if at + 1 < len(rows):
            heapq.heapreplace(queue, (count + 1, rows[at + 1].created_at, number, at + 1))
        else:
            heapq.heappop(queue)
    return chosen


def turns(entering: Sequence[tuple[P, Any]], last: Mapping[Any, int], first: Mapping[P, int]) -> list[int]:
    """A turn for each that begins to wait, given as its queue and, within that, its share.

    `last`: by share, the latest turn of those of it that wait; `first`: by queue, the turn that is next there. Who
    waits behind others of its share gets the turn after theirs, anyone else the one that is next: so each share has
    one in every turn, however many of another one wait.
    """
    latest, head = dict(last), dict(first)
    given = []
    for queue, share in entering:
        before = latest.get(share)
        turn = head.get(queue, 0) if before is None else before + 1
        latest[share] = turn
        head.setdefault(queue, turn)
        given.append(turn)
    return given
