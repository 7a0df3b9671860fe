from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferris import events
from ferris.limits import (
    LONGEST_KEY,
    Concurrency,
    Limits,
    Rate,
    Starts,
    Waiter,
    admit,
    is_path,
    key_of,
    rate_opens,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event(data: Any = None, **attributes: Any) -> events.Event:
    return events.new("a.happened", "/shop", data, now=NOW, **attributes)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("", ""),
        ("subject", "order-1"),
        ("source", "/shop"),
        ("type", "a.happened"),
        ("tenant", "blue"),
        ("nowhere", ""),
        ("data.customer", "acme"),
        ("data.order.id", "5"),
        ("data.order.paid", "true"),
        ("data.items.1.sku", "b"),
        ("data.items.9.sku", ""),
        ("data.items.x", ""),
        ("data.customer.name", ""),
        ("data.none", ""),
        ("data.order", '{"id": 5, "paid": true}'),
    ],
)
def test_a_key_is_the_value_at_a_path(path: str, key: str) -> None:
    data = {
        "customer": "acme",
        "order": {"paid": True, "id": 5},
        "items": [{"sku": "a"}, {"sku": "b"}],
        "none": None,
    }
    assert key_of(event(data, subject="order-1", extensions={"tenant": "blue"}), path) == key


def test_long_values_are_cut_and_stay_apart() -> None:
    keys = {key_of(event({"x": "y" * 1000 + end}), "data.x") for end in "ab"}
    assert len(keys) == 2
    assert {len(key) for key in keys} == {LONGEST_KEY}


def test_binary_data_has_no_key() -> None:
    assert key_of(event(b"\xff"), "data") == ""


@pytest.mark.parametrize("path", ["data", "data.a-b.0", "subject", "tenant2"])
def test_a_path(path: str) -> None:
    assert is_path(path)


@pytest.mark.parametrize("path", ["data.", "Data.a", "a b", "", 5, "data.a b", ["data"]])
def test_no_path(path: Any) -> None:
    assert not is_path(path)


def test_json_and_back() -> None:
    limits = Limits(Concurrency(2, "data.customer", "skip"), Rate(100, 60.0))
    assert Limits.from_json(limits.to_json()) == limits
    assert Limits.from_json({}) == Limits.from_json(None) == Limits()
    assert not Limits()
    assert Limits(Concurrency(1))


_WAITERS = st.lists(
    st.builds(Waiter, st.uuids(), st.sampled_from("abc"), st.sampled_from("xy")), unique_by=lambda w: w.id
)
_COUNTS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 5))


@given(
    _WAITERS,
    _COUNTS,
    st.dictionaries(st.sampled_from("xy"), st.integers(0, 5).map(Starts)),
    st.one_of(st.none(), st.integers(1, 4).map(Concurrency)),
    st.one_of(st.none(), st.builds(Rate, st.integers(1, 4), st.just(60.0))),
)
def test_no_limit_is_exceeded_and_nobody_waits_without_one(
    waiters: list[Waiter],
    running: dict[str, int],
    starts: dict[str, Starts],
    concurrency: Concurrency | None,
    rate: Rate | None,
) -> None:
    answer = admit(Limits(concurrency, rate), waiters, running, starts)
    assert Counter(answer.admitted) + Counter(one for one, _ in answer.kept) == Counter(waiters)
    run, begun = Counter(running), Counter({key: found.count for key, found in starts.items()})
    for one in answer.admitted:
        run[one.slot] += 1
        begun[one.rate_key] += 1
        assert concurrency is None or run[one.slot] <= concurrency.limit
        assert rate is None or begun[one.rate_key] <= rate.limit
    for one, why in answer.kept:
        if why == "concurrency":
            assert concurrency is not None
            assert run[one.slot] >= concurrency.limit
        else:
            assert rate is not None
            assert begun[one.rate_key] >= rate.limit


def test_one_that_is_kept_by_its_key_does_not_keep_others() -> None:
    waiters = [Waiter(1, "a", None), Waiter(2, "a", None), Waiter(3, "b", None)]
    assert [one.id for one in admit(Limits(Concurrency(1)), waiters, {}, {}).admitted] == [1, 3]


def test_a_full_rate_opens_when_its_oldest_start_is_a_period_ago() -> None:
    rate = Rate(1, 60.0)
    assert rate_opens(rate, Starts(1, NOW), NOW + timedelta(seconds=20)) == NOW + timedelta(seconds=60)
    assert rate_opens(rate, Starts(1), NOW) is None
