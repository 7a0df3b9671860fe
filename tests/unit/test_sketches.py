"""Sketches of durations: percentiles to within a tenth, and merging is adding."""

from __future__ import annotations

import random

import pytest

from ferris.sketches import bin_of, merge, quantile


def sketch(values: list[float]) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in values:
        merge(found, {bin_of(value): 1})
    return found


def test_without_anything_there_is_no_percentile() -> None:
    assert quantile({}, 0.5) is None


@pytest.mark.parametrize("part", [0.01, 0.5, 0.95, 0.99, 1.0])
def test_percentiles_are_right_to_within_a_tenth(part: float) -> None:
    chance = random.Random(3)
    values = sorted(chance.lognormvariate(7, 2) for _ in range(2000))
    exact = values[max(0, round(part * len(values)) - 1)]
    found = quantile(sketch(values), part)
    assert found is not None
    assert abs(found - max(1.0, exact)) <= 0.1 * max(1.0, exact)


def test_merging_two_is_the_sketch_of_both() -> None:
    some, more = [1.0, 5.0, 5.0, 90_000.0], [0.0, 5.0, 1e9]
    both = sketch(some)
    merge(both, sketch(more))
    assert both == sketch(some + more)
