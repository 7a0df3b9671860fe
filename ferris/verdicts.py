"""Why an event made a service run or not: one verdict for the pair, computed from the event and what the service was.

What the platform decided in the meantime (an execution, a gathering, a wait) is the caller's to add; here the
triggers speak.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ferris.conditions import ABSENT
from ferris.errors import FerrisError
from ferris.events import RETRY_REQUESTED, RUN_REQUESTED, SCHEDULE_DUE, Event
from ferris.routing import Explanation, Trigger, explain, type_matches

ADDRESSED: Final = frozenset((RUN_REQUESTED, RETRY_REQUESTED, SCHEDULE_DUE))
"""Event types that run the one service they name, whatever anybody's triggers say."""


class Kind(StrEnum):
    """What became of an event at a service."""

    RAN = "ran"
    WAITING = "waiting"
    SKIPPED = "skipped"
    DEBOUNCED = "debounced"
    BATCHED = "batched"
    DUPLICATE = "duplicate"
    HELD = "held"
    RELEASED = "released"
    DROPPED = "dropped"
    JOINED = "joined"
    EXPIRED = "expired"
    UNJOINED = "unjoined"
    MATCHES = "matches"
    FILTERED = "filtered"
    OTHER_TYPE = "other_type"
    ADDRESSED = "addressed"
    NO_TRIGGER = "no_trigger"
    INACTIVE = "inactive"
    VANISHED = "vanished"
    NOT_YET = "not_yet"


MEANING: Final[Mapping[Kind, str]] = {
    Kind.RAN: "there is an execution, which has begun or ended",
    Kind.WAITING: "there is an execution that has not begun",
    Kind.SKIPPED: "an execution was written and not run, on purpose",
    Kind.DEBOUNCED: "merged with others of its key; the execution is named once it is there",
    Kind.BATCHED: "gathered with others; the execution is named once it is there",
    Kind.DUPLICATE: "another event of its key came first and ran in its stead",
    Kind.HELD: "throttled: held back until the limit lets it through",
    Kind.RELEASED: "throttled: held back, then let through",
    Kind.DROPPED: "throttled: left out",
    Kind.JOINED: "one of the events that a join asks for",
    Kind.EXPIRED: "one of the events of a join that did not come about in time",
    Kind.UNJOINED: "its join passed it over, as it has no key",
    Kind.MATCHES: "its triggers match, and no execution is known",
    Kind.FILTERED: "a trigger names the type, and its filter or expression is false",
    Kind.OTHER_TYPE: "its triggers name other event types",
    Kind.ADDRESSED: "the event is addressed to another service",
    Kind.NO_TRIGGER: "events do not trigger it",
    Kind.INACTIVE: "it was inactive",
    Kind.VANISHED: "its folder was gone from its repository",
    Kind.NOT_YET: "it was not there yet",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """A verdict: what it is, and for `filtered` the clause that failed, what it asks for and what the event holds."""

    kind: Kind
    why: str
    trigger: str = ""
    clause: str = ""
    expected: Any = None
    seen: Any = None

    @property
    def near(self) -> bool:
        """True when a trigger names the event's type."""
        return bool(self.trigger)


def judge(
    event: Event,
    service: str,
    service_id: str,
    triggers: Sequence[Trigger],
    *,
    active: bool = True,
    vanished: bool = False,
) -> Reason:
    """What these triggers of a service say of an event. Of several that name its type, the first that fails tells."""
    near = next((t.event_type for t in triggers if type_matches(t.event_type, event.type)), "")
    if vanished:
        return Reason(Kind.VANISHED, f"the folder of {service} was gone from its repository", near)
    if not active:
        return Reason(Kind.INACTIVE, f"{service} was inactive", near)
    if event.type in ADDRESSED or event.service is not None:
        if event.service not in (service, service_id):
            said = f"the event is addressed to {event.service}, and to nobody else"
            return Reason(Kind.ADDRESSED, said, near, "ferrisservice", service, event.service)
        if event.type in ADDRESSED:
            return Reason(Kind.MATCHES, f"the event is addressed to {service}", near)
    if not triggers:
        return Reason(Kind.NO_TRIGGER, f"{service} has no trigger: events do not make it run")
    failed: Reason | None = None
    for trigger in triggers:
        if not type_matches(trigger.event_type, event.type):
            continue
        reason = _by_filter(event, trigger)
        if reason.kind is Kind.MATCHES:
            return reason
        failed = failed or reason
    if failed is not None:
        return failed
    wanted = [trigger.event_type for trigger in triggers]
    said = f"the type is {event.type}; {service} listens for {_listed(wanted)}"
    return Reason(Kind.OTHER_TYPE, said, "", "type", wanted, event.type)


def _by_filter(event: Event, trigger: Trigger) -> Reason:
    try:
        told = explain(event, trigger)
    except FerrisError as error:
        return Reason(Kind.FILTERED, f"its filter is wrong: {error}", trigger.event_type)
    if told.matched:
        return Reason(Kind.MATCHES, f"its trigger for {trigger.event_type} matches", trigger.event_type)
    return Reason(
        Kind.FILTERED, in_words(told), trigger.event_type, told.clause, plain(told.expected), plain(told.seen)
    )


def in_words(told: Explanation) -> str:
    """An explanation as a sentence: `data.mag is 3.2; expected [{"numeric": [">=", 5]}]`."""
    return f"{told.clause} is {shown(told.seen)}; expected {shown(told.expected)}"


def shown(value: Any) -> str:
    """A value as JSON, `absent` for nothing, cut where it becomes long."""
    text = _text(value)
    return text if len(text) <= 300 else f"{text[:299]}…"


def _text(value: Any) -> str:
    if value is ABSENT:
        return "absent"
    if isinstance(value, Mapping) and ABSENT in value.values():
        return "{" + ", ".join(f'"{name}": {_text(inner)}' for name, inner in value.items()) + "}"
    return json.dumps(plain(value), ensure_ascii=False, default=str)


def plain(value: Any) -> Any:
    """The value as JSON can hold it; what is absent becomes null, also inside."""
    if value is ABSENT:
        return None
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _listed(types: Sequence[str]) -> str:
    shown_types = types[:3]
    more = len(types) - len(shown_types)
    return ", ".join(shown_types) + (f" and {more} more" if more else "")
