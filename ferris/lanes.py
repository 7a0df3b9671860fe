"""Lanes: which Celery queue an execution waits in. A lane is policy, a queue is where it ends up."""

from __future__ import annotations

from typing import Final

PRIORITY: Final = "priority"
DEFAULT: Final = "default"
SLOW: Final = "slow"
SCHEDULED: Final = "scheduled"
LANES: Final = (PRIORITY, DEFAULT, SLOW, SCHEDULED)


def choose(priority: int, trigger: str) -> str:
    """The lane for a service's priority (1 urgent .. 10 patient) and the execution's trigger type.

    1-3 overtake everything; whatever the clock started stays out of the way of what someone waits for.
    """
    if priority <= 3:
        return PRIORITY
    if trigger == "scheduled":
        return SCHEDULED
    return DEFAULT if priority <= 7 else SLOW
