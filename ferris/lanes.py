"""Lanes: which Celery queue an execution waits in, and why. A lane is policy, a queue is where it ends up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

PRIORITY: Final = "priority"
DEFAULT: Final = "default"
SLOW: Final = "slow"
SCHEDULED: Final = "scheduled"
LANES: Final = (PRIORITY, DEFAULT, SLOW, SCHEDULED)

LAST_RUNS: Final = 5
"""So many runs decide whether a service is slow."""
_FEWEST_RUNS: Final = 3

WHY: Final = {
    "urgent": "its priority is 1 to 3",
    "scheduled": "the clock started it",
    "default": "its priority is 4 to 7",
    "patient": "its priority is 8 to 10",
    "slow_service": "most of its service's last runs took longer than the threshold for slow ones",
    "spilled": "its own lane was overloaded, and this one had idle executors",
}
"""Why an execution is in its lane: what `lane_reason` says, in words."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A lane, and a key of WHY."""

    lane: str
    reason: str


def choose(priority: int, trigger: str, *, slow: bool = False) -> Choice:
    """The lane for a service's priority (1 urgent .. 10 patient) and the execution's trigger type.

    1-3 overtake everything, also when they are slow; else slow services keep to themselves, and whatever the clock
    started stays out of the way of what someone waits for.
    """
    if priority <= 3:
        return Choice(PRIORITY, "urgent")
    if slow:
        return Choice(SLOW, "slow_service")
    if trigger == "scheduled":
        return Choice(SCHEDULED, "scheduled")
    return Choice(DEFAULT, "default") if priority <= 7 else Choice(SLOW, "patient")


def is_slow(last_seconds: Sequence[float], threshold: float) -> bool:
    """True when most of a service's last runs (up to LAST_RUNS, at least three) took longer than the threshold.

    A single run, slow or fast, moves no service: of five it takes three.
    """
    last = last_seconds[-LAST_RUNS:]
    return len(last) >= _FEWEST_RUNS and 2 * sum(seconds > threshold for seconds in last) > len(last)


@dataclass(frozen=True, slots=True)
class Crew:
    """A worker as spilling sees it: the lanes it serves, its slots, and how many of these are taken."""

    lanes: frozenset[str]
    slots: int
    running: int


def spills(crews: Iterable[Crew], waiting: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """How many of those that wait in an overloaded lane may go to which other lane: by (from, to).

    Overloaded: more wait in its queue than two for each slot that serves it. They go where nothing waits and workers
    are idle that do not serve their own lane anyway; never to `priority`. Of what is slow half the idle slots are
    kept free.
    """
    crews = list(crews)
    idle = {id(crew): max(0, crew.slots - crew.running) for crew in crews}
    found: dict[tuple[str, str], int] = {}
    for source in LANES:
        own = sum(crew.slots for crew in crews if source in crew.lanes)
        left = waiting.get(source, 0) - 2 * own
        for target in (DEFAULT, SCHEDULED, SLOW):
            if target == source or waiting.get(target, 0) or left <= 0:
                continue
            for crew in crews:
                if target not in crew.lanes or source in crew.lanes:
                    continue
                room = idle[id(crew)] // 2 if source == SLOW else idle[id(crew)]
                if (count := min(left, room)) > 0:
                    found[source, target] = found.get((source, target), 0) + count
                    idle[id(crew)] -= count
                    left -= count
    return found
