"""How often somebody may ask: a rule of values only (the generic cell rate algorithm).

One moment is all there is to remember of each caller: when its whole allowance is back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`amount` requests in `window` seconds. All may come at once; they come back one by one, evenly."""

    amount: int
    window: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a request. Times are seconds from `now`."""

    allowed: bool
    remaining: int
    whole_in: float  # until the whole allowance is back
    wait: float  # until the next request is allowed; 0: at once


def take(rate: Rate, whole_at: float, now: float) -> tuple[Taken, float]:
    """Count one request of a caller whose allowance is whole at `whole_at`; with the moment to remember instead.

    A refused request counts for nothing. `now` is of any clock, in seconds; was it set back, the caller has used its
    whole allowance at most, and gets it back within a window.
    """
    each = rate.window / rate.amount
    before = max(min(whole_at, now + rate.window), now)
    after = before + each
    if after - now > rate.window + each / 1000:  # sums of floats
        return Taken(False, 0, before - now, after - now - rate.window), before
    remaining = math.floor((rate.window - (after - now)) / each + 1e-3)
    return Taken(True, remaining, after - now, 0.0 if remaining else each), after
