"""What becomes of an event that a service wants thinned, gathered or joined: rules over what is open for its key.

Decided from values alone, by arrival: the time at which the event came onto the log, not when somebody got round
to reading it. A router that was away decides as one that was not. `Pens` is what is open for one service; who
keeps it as rows loads it before and saves it after.

An event that lacks the key of a rule is not touched by that rule. In a join it has no part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from ferris import joins
from ferris.event_keys import key_of
from ferris.events import Event
from ferris.intake import (
    ABSENCE,
    MAX_BYTES,
    MAX_EVENTS,
    WAIT,
    Batch,
    Debounce,
    Deduplicate,
    Intake,
    Join,
    Throttle,
)
from ferris.joins import Member

RUN: Final = "run"
"""Decisions. `run`: an execution of its own, at once."""
DEBOUNCED: Final = "debounced"
BATCHED: Final = "batched"
DUPLICATE: Final = "duplicate"
DROPPED: Final = "dropped"
HELD: Final = "held"
JOINED: Final = "joined"
EXPIRED: Final = "expired"
RELEASED: Final = "released"
UNJOINED: Final = "unjoined"
DISCARDED: Final = "discarded"
"""By hand, before its time: of an event, and of a gathering."""
DECISIONS: Final = (DEBOUNCED, BATCHED, DUPLICATE, DROPPED, HELD, RELEASED, JOINED, EXPIRED, DISCARDED)

OPEN: Final = "open"
"""States of a gathering. `ran`: it became an execution; `met`: what was awaited came; `due`: it did not, which is to
be told; `told`: it was; `over`: its window has passed."""
RAN: Final = "ran"
MET: Final = "met"
DUE: Final = "due"
TOLD: Final = "told"
OVER: Final = "over"
STATES: Final = (OPEN, RAN, MET, DUE, TOLD, EXPIRED, OVER, DISCARDED)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event as a gathering sees it. `entries`: a bit for each entry of the join that it matches."""

    event: Event
    id: UUID
    at: datetime
    size: int = 0
    entries: int = 0


@dataclass(slots=True)
class Pen:
    """What is open for one key. `due_at`: when the clock must act; `until`: when it can be forgotten.

    `passes`: when a throttle let events through, in milliseconds; `held`: how many wait. `members`: of a join.
    """

    kind: str
    key: str
    opened_at: datetime
    first: UUID
    last: UUID
    due_at: datetime | None = None
    until: datetime | None = None
    size: int = 0
    bytes: int = 0
    held: int = 0
    passes: list[int] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    state: str = OPEN
    gone: list[UUID] = field(default_factory=list)

    def add(self, arrival: Arrival) -> None:
        """Count one more event in."""
        self.last = arrival.id
        self.size += 1
        self.bytes += arrival.size


class Pens:
    """What is open for one service, by kind and key, and what was closed since."""

    def __init__(self, opened: Mapping[tuple[str, str], Pen] | None = None) -> None:
        self.open: dict[tuple[str, str], Pen] = dict(opened or {})
        self.closed: list[Pen] = []

    def get(self, kind: str, key: str) -> Pen | None:
        return self.open.get((kind, key))

    def begin(self, kind: str, key: str, arrival: Arrival) -> Pen:
        """Open one with this event as its first; it is not yet counted in."""
        pen = Pen(kind, key, arrival.at, arrival.id, arrival.id)
        self.open[kind, key] = pen
        return pen

    def close(self, pen: Pen, state: str) -> None:
        pen.state = state
        if state != DUE:
            pen.due_at = None
        del self.open[pen.kind, pen.key]
        self.closed.append(pen)


@dataclass(slots=True)
class Taken:
    """What became of one event. `closed`: gatherings that its coming closed, in order."""

    decision: str
    pen: Pen | None = None
    closed: list[Pen] = field(default_factory=list)


def places(intake: Intake, event: Event) -> Iterator[tuple[str, str]]:
    """The kind and key of everything open that the event may touch."""
    join = intake.join
    if join is not None:
        key = key_of(event, join.by)
        if key is not None:
            yield "join", key
        return
    for kind in ("deduplicate", "throttle", "debounce", "batch"):
        rule = getattr(intake, kind)
        key = None if rule is None else key_of(event, rule.key)
        if key is not None:
            yield kind, key


def take(intake: Intake, pens: Pens, arrival: Arrival) -> Taken:
    """Decide about one event; what is open and closed changes with it."""
    before = len(pens.closed)
    taken = _take(intake, pens, arrival)
    taken.closed = pens.closed[before:]
    return taken


def _take(intake: Intake, pens: Pens, arrival: Arrival) -> Taken:
    for kind, key in places(intake, arrival.event):
        if kind == "join" and intake.join is not None:
            return _join(intake.join, pens, key, arrival)
        if kind == "deduplicate" and intake.deduplicate is not None:
            found = _deduplicate(intake.deduplicate, pens, key, arrival)
        elif kind == "throttle" and intake.throttle is not None:
            found = _throttle(intake.throttle, pens, key, arrival)
        elif kind == "debounce" and intake.debounce is not None:
            found = _debounce(intake.debounce, pens, key, arrival)
        elif kind == "batch" and intake.batch is not None:
            found = _batch(intake.batch, pens, key, arrival)
        else:
            continue
        if found is not None:
            return found
    return Taken(UNJOINED if intake.join is not None else RUN)


# --- thinned ---------------------------------------------------------------------------------------


def _deduplicate(rule: Deduplicate, pens: Pens, key: str, arrival: Arrival) -> Taken | None:
    pen = pens.get("deduplicate", key)
    if pen is not None and pen.until is not None and arrival.at < pen.until:
        pen.add(arrival)
        return Taken(DUPLICATE, pen)
    if pen is not None:
        pens.close(pen, OVER)
    pen = pens.begin("deduplicate", key, arrival)
    pen.until = arrival.at + timedelta(seconds=rule.window)
    return None


def _throttle(rule: Throttle, pens: Pens, key: str, arrival: Arrival) -> Taken | None:
    pen = pens.get("throttle", key)
    if pen is not None and not pen.held and pen.until is not None and pen.until <= arrival.at:
        pens.close(pen, OVER)  # what it counted lies behind: a new one begins
        pen = None
    pen = pen or pens.begin("throttle", key, arrival)
    pen.last = arrival.id
    at = max(_milliseconds(arrival.at), pen.passes[-1] if pen.passes else 0)
    if not pen.held and _passes(rule, pen, at):
        return None
    pen.size += 1
    if rule.excess != WAIT:
        return Taken(DROPPED, pen)
    pen.held += 1
    pen.due_at = free_at(rule, pen)
    return Taken(HELD, pen)


def _passes(rule: Throttle, pen: Pen, at: int) -> bool:
    """Let one through at that time if the limit allows it."""
    per = round(rule.per * 1000)
    pen.passes = [passed for passed in pen.passes if passed + per > at]
    if len(pen.passes) >= rule.limit:
        return False
    pen.passes.append(at)
    pen.until = _moment(at + per)
    return True


def free_at(rule: Throttle, pen: Pen, ahead: int = 0) -> datetime:
    """When the next held event may pass; with `ahead`, the one that has so many before it."""
    per = round(rule.per * 1000)
    window = pen.passes[-rule.limit :]
    rounds, place = divmod(ahead, rule.limit)
    if len(window) < rule.limit:  # there is room at once
        window = [pen.passes[-1] - per if pen.passes else 0] * (rule.limit - len(window)) + window
    return _moment(window[place] + per * (rounds + 1))


def release(rule: Throttle, pen: Pen, now: datetime) -> int:
    """Let go what may pass now, in real time; how many events that is."""
    at, count = _milliseconds(now), 0
    while pen.held and _passes(rule, pen, at):
        pen.held -= 1
        count += 1
    pen.due_at = free_at(rule, pen) if pen.held else None
    return count


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


# --- gathered --------------------------------------------------------------------------------------


def _debounce(rule: Debounce, pens: Pens, key: str, arrival: Arrival) -> Taken:
    pen = _current("debounce", pens, key, arrival)
    pen.add(arrival)
    quiet = arrival.at + timedelta(seconds=rule.wait)
    latest = pen.opened_at + timedelta(seconds=rule.max_wait)
    # One that came before another, and was read after it, does not shorten the wait.
    pen.due_at = min(latest, quiet if pen.due_at is None else max(quiet, pen.due_at))
    if _full(pen):
        pens.close(pen, RAN)
    return Taken(DEBOUNCED, pen)


def _batch(rule: Batch, pens: Pens, key: str, arrival: Arrival) -> Taken:
    pen = _current("batch", pens, key, arrival)
    pen.add(arrival)
    pen.due_at = pen.opened_at + timedelta(seconds=rule.wait)
    if pen.size >= rule.size or _full(pen):
        pens.close(pen, RAN)
    return Taken(BATCHED, pen)


def _current(kind: str, pens: Pens, key: str, arrival: Arrival) -> Pen:
    """The open one; a new one when its time had passed before this event came."""
    pen = pens.get(kind, key)
    if pen is not None and pen.due_at is not None and pen.due_at <= arrival.at:
        pens.close(pen, RAN)
        pen = None
    return pen or pens.begin(kind, key, arrival)


def _full(pen: Pen) -> bool:
    return pen.size >= MAX_EVENTS or pen.bytes >= MAX_BYTES


# --- joined ----------------------------------------------------------------------------------------


def _join(rule: Join, pens: Pens, key: str, arrival: Arrival) -> Taken:
    pen = pens.get("join", key)
    if pen is not None:
        pen = pass_time(rule, pens, pen, arrival.at)
    member = Member(arrival.id, arrival.entries, arrival.event.time, arrival.at)
    if pen is None:
        pen = pens.begin("join", key, arrival)
    members = [*pen.members, member]
    if joins.complete(rule, members):
        asks = rule.kind == ABSENCE and bool(arrival.entries & joins.AFTER)
        if asks and not joins.answered(member, members):
            # It answers what waited, and waits for an answer itself.
            pens.close(pen, MET)
            pen = pens.begin("join", key, arrival)
        else:
            pen.members.append(member)
            pen.add(arrival)
            pens.close(pen, MET if rule.kind == ABSENCE else RAN)
            return Taken(JOINED, pen)
    pen.members.append(member)
    pen.add(arrival)
    _keep(rule, pen, pen.members[-joins.MOST_LIVE :])
    return Taken(JOINED, pen)


def pass_time(rule: Join, pens: Pens, pen: Pen, now: datetime) -> Pen | None:
    """What has become of an open join by now: what expired is gone from it; None when it closed."""
    if joins.overdue(rule, pen.members, now):
        pens.close(pen, DUE)
        return None
    _keep(rule, pen, joins.live(rule, pen.members, now))
    if not pen.members:
        pens.close(pen, EXPIRED)
        return None
    return pen


def _keep(rule: Join, pen: Pen, members: list[Member]) -> None:
    kept = {member.event for member in members}
    pen.gone += [member.event for member in pen.members if member.event not in kept]
    pen.members = members
    pen.due_at = joins.expires(rule, members) if members else None
