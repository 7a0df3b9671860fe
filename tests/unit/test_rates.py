"""How often somebody may ask."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ferris.rates import Rate, take

RATE = Rate(amount=3, window=60.0)


def test_all_may_come_at_once_and_come_back_one_by_one() -> None:
    at, left = 0.0, []
    for _ in range(3):
        taken, at = take(RATE, at, 100.0)
        left.append((taken.allowed, taken.remaining))
    assert left == [(True, 2), (True, 1), (True, 0)]
    taken, at = take(RATE, at, 100.0)
    assert (taken.allowed, taken.remaining, round(taken.wait), round(taken.whole_in)) == (False, 0, 20, 60)
    taken, at = take(RATE, at, 121.0)
    assert (taken.allowed, taken.remaining) == (True, 0)


def test_after_a_window_of_silence_all_is_back() -> None:
    at = 0.0
    for _ in range(3):
        _, at = take(RATE, at, 0.0)
    taken, _ = take(RATE, at, 60.0)
    assert (taken.allowed, taken.remaining) == (True, 2)


@given(
    st.integers(1, 50),
    st.floats(0.1, 1000.0),
    st.lists(st.floats(0.0, 30.0), min_size=1, max_size=200),
)
def test_no_window_ever_lets_more_than_twice_the_amount_through(amount, window, gaps) -> None:
    rate, at, now, passed = Rate(amount, window), 0.0, 0.0, list[float]()
    for gap in gaps:
        now += gap
        taken, at = take(rate, at, now)
        assert 0 <= taken.remaining < amount
        if taken.allowed:
            passed.append(now)
        else:
            again, _ = take(rate, at, now + taken.wait + 1e-6 * window)
            assert again.allowed, "who waits as told is let through"
    for begin in passed:
        assert sum(begin <= moment < begin + window for moment in passed) <= 2 * amount


def test_a_clock_that_was_set_back_keeps_nobody_out_for_longer_than_a_window() -> None:
    at = 0.0
    for _ in range(3):
        _, at = take(RATE, at, 5000.0)
    taken, at = take(RATE, at, 1400.0)
    assert (taken.allowed, round(taken.wait), round(taken.whole_in)) == (False, 20, 60)
    taken, at = take(RATE, at, 1421.0)
    assert taken.allowed
    taken, _ = take(RATE, at, 1500.0)
    assert (taken.allowed, taken.remaining) == (True, 2)
