"""Joins: when the events of several kinds belong together, or one of them is missing.

What counts is which events came within the window, not in which order they arrived: a sequence goes by the events'
own `time`, by arrival where that is equal. The window goes by arrival, so that no sender's clock can hold a join
open. Whatever a join completes with is used up: the next event of the key begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from ferris.intake import ABSENCE, SEQUENCE, Join

AFTER: Final = 1
OF: Final = 2
"""The bits of an absence's two entries."""

MOST_LIVE: Final = 1000
"""Of more events than these, the oldest count no more."""


@dataclass(frozen=True, slots=True)
class Member:
    """An event that takes part in a join. `entries`: a bit for each entry that it matches."""

    event: UUID
    entries: int
    time: datetime
    at: datetime


def filled(rule: Join, members: Sequence[Member]) -> list[Member | None]:
    """For each entry the event that fills it, None where one is missing."""
    if rule.kind == SEQUENCE:
        return _in_order(len(rule.entries), members)
    if rule.kind == ABSENCE:
        after = next((m for m in members if m.entries & AFTER), None)
        return [after, None if after is None else _answer(after, members)]
    return _assigned(len(rule.entries), members)


def complete(rule: Join, members: Sequence[Member]) -> bool:
    """True when the events fill every entry; for an absence: when what was awaited is there."""
    if rule.kind == ABSENCE:
        return any(m.entries & AFTER and _answer(m, members) is not None for m in members)
    return None not in filled(rule, members)


def answered(member: Member, members: Sequence[Member]) -> bool:
    """True when what is awaited after this event of an absence came already, and overtook it."""
    return bool(member.entries & AFTER) and _answer(member, members) is not None


def live(rule: Join, members: Sequence[Member], now: datetime) -> list[Member]:
    """Those that still count: they arrived less than the window ago."""
    window = timedelta(seconds=rule.within)
    return [m for m in members if m.at + window > now][-MOST_LIVE:]


def overdue(rule: Join, members: Sequence[Member], now: datetime) -> bool:
    """True when an absence is a fact: something waited for its answer through the whole window."""
    window = timedelta(seconds=rule.within)
    return rule.kind == ABSENCE and any(m.entries & AFTER and m.at + window <= now for m in members)


def expires(rule: Join, members: Sequence[Member]) -> datetime:
    """When the first of these events counts no more."""
    return min(m.at for m in members) + timedelta(seconds=rule.within)


def _answer(after: Member, members: Sequence[Member]) -> Member | None:
    """What was awaited after this one: another event, by its own time not before it; of one time, which came later."""
    here = False
    for member in members:
        if member.event == after.event:
            here = True
        elif member.entries & OF and (member.time > after.time or (here and member.time == after.time)):
            return member
    return None


def _in_order(count: int, members: Sequence[Member]) -> list[Member | None]:
    found: list[Member | None] = []
    for member in sorted(members, key=lambda m: (m.time, m.at)):
        if len(found) < count and member.entries >> len(found) & 1:
            found.append(member)
    return found + [None] * (count - len(found))


def _assigned(count: int, members: Sequence[Member]) -> list[Member | None]:
    """As many entries as possible, each with an event of its own (augmenting paths; the earlier event wins)."""
    taken: list[int | None] = [None] * count

    def place(index: int, tried: set[int]) -> bool:
        for entry in range(count):
            if members[index].entries >> entry & 1 and entry not in tried:
                tried.add(entry)
                holder = taken[entry]
                if holder is None or place(holder, tried):
                    taken[entry] = index
                    return True
        return False

    for index in range(len(members)):
        if None not in taken:
            break
        place(index, set())
    return [None if index is None else members[index] for index in taken]
