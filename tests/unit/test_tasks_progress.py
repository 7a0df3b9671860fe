"""Of a script's many words about its progress the latest goes out, now and then, and the last one always."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tasks import progress
from tasks.loop import Loop
from tasks.progress import Progress


def test_many_words_make_few_reports_and_the_last_is_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.05)
    told: list[Any] = []
    with Loop() as loop:
        how_far = Progress(loop, lambda *said: told.append(said))
        for n in range(10_000):
            how_far.take({"done": n, "total": 10_000, "message": "x"})
        assert told[0] == (0, 10_000, "x")
        for _ in range(100):
            if told[-1][0] == 9_999:
                break
            loop.turn(1.0)
        assert told[-1] == (9_999, 10_000, "x")
        assert len(told) < 1000
        how_far.take({"done": 10_000, "total": 10_000})
        how_far.flush()
        how_far.flush()
        assert told[-1] == (10_000, 10_000, "")
        assert [said[0] for said in told] == sorted({said[0] for said in told})


@pytest.mark.parametrize("done", [None, "3", True, -1, math.nan, math.inf, 2.0**60, [1]])
def test_what_is_no_number_counts_for_nothing(done: Any) -> None:
    told: list[Any] = []
    with Loop() as loop:
        how_far = Progress(loop, lambda *said: told.append(said))
        how_far.take({"done": done})
        how_far.flush()
    assert told == []


@pytest.mark.parametrize("total", [0, None, "many", -5, math.nan])
def test_a_total_that_is_none_is_unknown(total: Any) -> None:
    told: list[Any] = []
    with Loop() as loop:
        Progress(loop, lambda *said: told.append(said)).take({"done": 1, "total": total, "message": 5})
    assert told == [(1, None, "")]


def test_timers_of_a_loop_fire_once_and_in_order() -> None:
    fired: list[int] = []
    with Loop() as loop:
        loop.after(0.02, lambda: fired.append(2))
        loop.after(0.0, lambda: fired.append(1))
        for _ in range(100):
            if len(fired) == 2:
                break
            loop.turn(1.0)
        loop.turn(0.0)
    assert fired == [1, 2]
