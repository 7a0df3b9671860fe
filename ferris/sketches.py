"""A sketch of many durations: how many lie in each of a few bins, from which percentiles follow to within a tenth.

A sketch is a JSON object: bin to count. Bins grow by the factor 2 ** (1/4), so that one second and one hour are told
equally well, and sketches are merged by adding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from typing import Final

_BINS_PER_DOUBLING: Final = 4
Sketch = MutableMapping[str, int]


def bin_of(milliseconds: float) -> str:
    """The bin that a duration lies in; durations under a millisecond share the first one."""
    return str(round(_BINS_PER_DOUBLING * math.log2(max(1.0, milliseconds))))


def merge(into: Sketch, more: Mapping[str, int]) -> None:
    """Add what another sketch has counted."""
    if not into:
        into.update(more)
        return
    known = into.get
    for name, count in more.items():
        into[name] = known(name, 0) + count


def quantile(sketch: Mapping[str, int], part: float) -> float | None:
    """The duration in milliseconds that this part (0 to 1) of them does not exceed; None without any."""
    total = sum(sketch.values())
    if not total:
        return None
    wanted, seen = part * total, 0
    bins = sorted((int(name), count) for name, count in sketch.items())
    for number, count in bins:
        seen += count
        if seen >= wanted:
            return float(2 ** (number / _BINS_PER_DOUBLING))
    return float(2 ** (bins[-1][0] / _BINS_PER_DOUBLING))
