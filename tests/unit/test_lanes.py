from __future__ import annotations

import pytest

from ferris.lanes import LANES, choose


@pytest.mark.parametrize(
    ("priority", "trigger", "lane"),
    [
        (1, "triggered", "priority"),
        (3, "manual", "priority"),
        (3, "scheduled", "priority"),
        (4, "triggered", "default"),
        (5, "retried", "default"),
        (7, "manual", "default"),
        (5, "scheduled", "scheduled"),
        (10, "scheduled", "scheduled"),
        (8, "triggered", "slow"),
        (10, "manual", "slow"),
    ],
)
def test_lane(priority: int, trigger: str, lane: str) -> None:
    assert choose(priority, trigger) == lane


def test_every_lane_is_a_queue() -> None:
    chosen = {choose(p, t) for p in range(1, 11) for t in ("manual", "scheduled", "triggered", "retried")}
    assert chosen == set(LANES)
