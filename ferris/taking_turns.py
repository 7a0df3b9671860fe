"""Taking turns at something: a rule of values only. Any clock that does not go back will do, in seconds."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Who = TypeVar("Who", bound=Hashable)


class Line(Generic[Who]):
    """First come, first served; it is the turn of who stands in front. Nobody waits for longer than `patience`: whose
    wait has been that long goes on in place of one who has had the turn for as long, and else without a turn.

    Every call says who goes on now.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: dict[Who, float] = {}  # when each came; of the first: since when it has the turn

    def ask(self, who: Who, now: float) -> list[Who]:
        """Take a place, or keep it: who has the turn already goes on."""
        if who == self._first():
            return [who]
        self._since[who] = now
        return [who] if len(self._since) == 1 else self.look(now)

    def end(self, who: Who, now: float) -> list[Who]:
        """Leave the line, whether it was one's turn or not."""
        had_it = who == self._first()
        self._since.pop(who, None)
        return self._begin(now) if had_it else []

    def look(self, now: float) -> list[Who]:
        """Those for whom the time has come."""
        going: list[Who] = []
        first = self._first()
        if first is not None and len(self._since) > 1 and self._late(first, now):
            going = self.end(first, now)
        late = [who for who in self._since if who != self._first() and self._late(who, now)]
        for who in late:
            del self._since[who]
        return going + late

    def _first(self) -> Who | None:
        return next(iter(self._since), None)

    def _begin(self, now: float) -> list[Who]:
        first = self._first()
        if first is None:
            return []
        self._since[first] = now
        return [first]

    def _late(self, who: Who, now: float) -> bool:
        return now - self._since[who] >= self._patience
