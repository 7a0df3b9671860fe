"""What an index finds: groups of those who ask the same, alone under a key or in a list."""

from __future__ import annotations

from typing import Any

from ferris.conditions import Clause, Condition


class Group:
    """What a rule asks, and everything that waits for it: whatever the caller keeps, by number.

    Mostly one waits, and stands here itself: each object more that a match touches is a wait for memory. Nobody
    waits any more where `member` is None. `rest` is what an event that is found has still to meet.
    """

    __slots__ = ("member", "number", "others", "places", "rest", "rule")

    def __init__(self, conditions: tuple[Condition, ...]) -> None:
        self.number = -1
        self.member: Any = None
        self.others: dict[int, Any] | None = None
        self.rest = conditions
        self.places: Clause = []
        self.rule: Any = None
        """The whole rule, for the caller to keep once it was needed."""

    def add(self, number: int, member: Any) -> None:
        if self.member is None:
            self.number, self.member = number, member
        elif self.others is None:
            self.others = {number: member}
        else:
            self.others[number] = member

    def remove(self, number: int) -> None:
        others = self.others
        if number != self.number:
            if others is not None:
                del others[number]
        elif others:
            self.number = next(iter(others))
            self.member = others.pop(self.number)
        else:
            self.number, self.member = -1, None
        if not others:
            self.others = None


def keep(table: dict[Any, Any], key: Any, group: Group) -> None:
    held = table.setdefault(key, group)
    if held is group:
        return
    if type(held) is list:
        held.append(group)
    else:
        table[key] = [held, group]


def drop(table: dict[Any, Any], key: Any, group: Group) -> None:
    held = table.get(key)
    if held is group:
        del table[key]
    elif type(held) is list and group in held:
        held.remove(group)
        if not held:
            del table[key]


def count(held: Any) -> int:
    return 0 if held is None else len(held) if type(held) is list else 1


def give(held: Any, found: list[Group]) -> None:
    if type(held) is list:
        found += held
    else:
        found.append(held)
