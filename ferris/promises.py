"""Promises: after an event of one kind, one of another kind comes within a time, in the same flow or for the same key.

A project makes them in `ferris.json`, at the root of its repository. What counts, for the order as for the time, is
when events came onto the log: no sender's clock keeps a promise, or breaks one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Self

from ferris import events
from ferris.attributes import shown
from ferris.documents import Notes, Section, read_object
from ferris.event_keys import CORRELATION, EXPECTED, is_path, key_of
from ferris.events import Event
from ferris.routing import Refused, RoutingTable, Trigger
from ferris.triggers import TriggerSpec, trigger_of

FILE: Final = "ferris.json"
OVERDUE_EVENT: Final = "ferris.flow.overdue"

OPEN: Final = "open"
KEPT: Final = "kept"
OVERDUE: Final = "overdue"
LATE: Final = "late"
WITHDRAWN: Final = "withdrawn"
STATES: Final = (OPEN, KEPT, OVERDUE, LATE, WITHDRAWN)
"""`late`: kept after its time. `withdrawn`: its project no longer makes it."""

MOST: Final = 1000
MAX_NAME: Final = 200
_SHORTEST, _LONGEST = 0.1, 30 * 86400
_AFTER, _EXPECT = "after", "expect"


@dataclass(frozen=True, slots=True)
class Promise:
    """After an event that `after` takes, one that `expect` takes, `within` so many seconds. `by`: what both share."""

    name: str
    after: TriggerSpec
    expect: TriggerSpec
    within: float
    by: str = CORRELATION

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` turns them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """From `to_json`."""
        ends = {name: TriggerSpec(**document[name]) for name in (_AFTER, _EXPECT)}
        return cls(**{**document, **ends})


# --- ferris.json -----------------------------------------------------------------------------------


def promises_of(content: bytes, notes: Notes) -> tuple[Promise, ...]:
    """The promises of a project file; each mistake is noted at its place."""
    document = read_object(FILE, content, notes)
    if document is None:
        return ()
    section = Section(document, FILE, "", notes)
    section.known(("promises",))
    given = section.get("promises")
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MOST:
        section.wrong("promises", f"a list of at most {MOST} promises")
        return ()
    found: dict[str, Promise] = {}
    for index, item in enumerate(given):
        place = f"promises[{index}]"
        if not isinstance(item, dict):
            text = f"is {shown(item)}; expected an object with name, after, expect and within"
            notes.error(FILE, place, text)
            continue
        promise = _promise(Section(item, FILE, place, notes))
        if promise is not None and promise.name in found:
            notes.error(FILE, f"{place}.name", f"is {shown(promise.name)} as an earlier one: give it another")
        elif promise is not None:
            found[promise.name] = promise
    return tuple(found.values())


def _promise(section: Section) -> Promise | None:
    section.known(("name", _AFTER, _EXPECT, "within", "by"))
    name = section.get("name")
    good = isinstance(name, str) and bool(name.strip()) and len(name) <= MAX_NAME and name.isprintable()
    if not good:
        section.wrong("name", f"a name of at most {MAX_NAME} characters")
    after = trigger_of(section, section.key(_AFTER), section.get(_AFTER))
    expect = trigger_of(section, section.key(_EXPECT), section.get(_EXPECT))
    if after is not None and after.event_type == OVERDUE_EVENT:
        section.wrong(_AFTER, f"another type: no promise begins with {OVERDUE_EVENT}")
    within = section.duration("within", None, _SHORTEST, _LONGEST)
    if section.get("within") is None:
        section.notes.error(FILE, section.key("within"), 'is missing; expected a time such as "10m"')
    by = section.get("by")
    if by is None or by == "flow":
        by = CORRELATION
    elif not is_path(by):
        section.wrong("by", f'"flow", or {EXPECTED}')
    if not good or after is None or expect is None or within is None:
        return None
    return Promise(str(name).strip(), after, expect, within, str(by))


# --- events ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """What an event is in a promise: the one that it begins with, or one that it waits for, or both."""

    rule: str
    key: str
    begins: bool
    answers: bool


class PromiseTable:
    """The promises of all projects at one moment, found by the events that take part in them."""

    def __init__(self, rules: Mapping[str, Promise], refused: Refused | None = None) -> None:
        self.rules = dict(rules)
        self._table = RoutingTable(_triggers(self.rules), refused)

    def parts(self, event: Event) -> list[Part]:
        """In which promises the event takes part. Who it is addressed to makes no difference."""
        found: dict[str, set[str]] = {}
        for trigger in self._table.match(event, addressed=False):
            end, _, rule = trigger.service_id.partition(" ")
            found.setdefault(rule, set()).add(end)
        parts = []
        for rule, ends in found.items():
            key = key_of(event, self.rules[rule].by)
            if key is not None:
                begins = _AFTER in ends and event.type != OVERDUE_EVENT
                parts.append(Part(rule, key, begins, _EXPECT in ends))
        return parts


def _triggers(rules: Mapping[str, Promise]) -> Iterable[Trigger]:
    for rule, promise in rules.items():
        for end, spec in ((_AFTER, promise.after), (_EXPECT, promise.expect)):
            yield Trigger(f"{end} {rule}", promise.name, spec.event_type, spec.filter, cesql=spec.cesql)


def answered(due: datetime, at: datetime) -> str:
    """What an answer at that time makes of a promise."""
    return KEPT if at <= due else LATE


def overdue_event(
    promise: Promise, *, id: str, project: str, key: str, begun: Event, at: datetime, due: datetime,
    listeners: list[str],
) -> Event:  # fmt: skip
    """The event of a promise that was not kept in time, in the flow of the event that it began with."""
    by_flow = promise.by == CORRELATION
    return events.new(
        OVERDUE_EVENT,
        f"ferris/project/{project}",
        {
            "promise": promise.name,
            "project": project,
            "after": promise.after.event_type,
            "expected": promise.expect.event_type,
            "within": promise.within,
            "by": "flow" if by_flow else promise.by,
            "key": key,
            "started_by": {
                "id": begun.id,
                "source": begun.source,
                "type": begun.type,
                "subject": begun.subject,
                "time": events.rfc3339(begun.time),
            },
            "started_at": events.rfc3339(at),
            "due": events.rfc3339(due),
            "listeners": listeners,
        },
        now=due,
        id=id,
        subject=promise.name,
        correlation_id=begun.flow_id,
        causation_id=begun.causation_id,
        hops=begun.hops + 1,
    )
