from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferris.lanes import LANES, WHY, Choice, Crew, choose, is_slow, spills


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
    assert choose(priority, trigger).lane == lane


def test_every_lane_is_a_queue() -> None:
    chosen = {
        choose(p, t).lane for p in range(1, 11) for t in ("manual", "scheduled", "triggered", "retried")
    }
    assert chosen == set(LANES)


def test_slow_services_keep_to_themselves_unless_they_are_urgent() -> None:
    assert choose(5, "triggered", slow=True) == Choice("slow", "slow_service")
    assert choose(5, "scheduled", slow=True).lane == "slow"
    assert choose(3, "triggered", slow=True) == Choice("priority", "urgent")


@given(st.integers(1, 10), st.sampled_from(["manual", "scheduled", "triggered", "retried"]), st.booleans())
def test_every_choice_says_why(priority: int, trigger: str, slow: bool) -> None:
    assert choose(priority, trigger, slow=slow).reason in WHY


@pytest.mark.parametrize(
    ("seconds", "slow"),
    [
        ([], False),
        ([400, 400], False),
        ([400, 400, 400], True),
        ([400, 1, 400], True),
        ([1, 400, 1, 400], False),
        ([1, 1, 400, 400, 400], True),
        ([400, 400, 400, 1, 1], True),
        ([400, 400, 400, 1, 1, 1], False),
        ([300, 300, 300], False),
    ],
)
def test_a_service_is_slow_when_most_of_its_last_runs_were(seconds: list[float], slow: bool) -> None:
    assert is_slow(seconds, 300) == slow


ALL = frozenset(LANES)


def test_where_every_worker_serves_every_lane_nothing_spills() -> None:
    assert spills([Crew(ALL, 4, 0), Crew(ALL, 4, 4)], {"default": 1000}) == {}


def test_an_overloaded_lane_spills_to_the_idle_workers_of_another() -> None:
    crews = [Crew(frozenset({"default", "priority"}), 4, 4), Crew(frozenset({"slow"}), 4, 1)]
    assert spills(crews, {"default": 8}) == {}  # two for each slot are no overload
    assert spills(crews, {"default": 9}) == {("default", "slow"): 1}
    assert spills(crews, {"default": 100}) == {("default", "slow"): 3}
    assert spills(crews, {"default": 100, "slow": 1}) == {}


def test_what_is_slow_leaves_half_of_the_idle_slots_free() -> None:
    crews = [Crew(frozenset({"slow"}), 1, 1), Crew(frozenset({"default"}), 5, 0)]
    assert spills(crews, {"slow": 100}) == {("slow", "default"): 2}


@given(
    st.lists(
        st.builds(Crew, st.frozensets(st.sampled_from(LANES)), st.integers(0, 8), st.integers(0, 8)),
        max_size=6,
    ),
    st.dictionaries(st.sampled_from(LANES), st.integers(0, 50)),
)
def test_nothing_spills_into_priority_nor_more_than_waits_or_is_idle(
    crews: list[Crew], waiting: dict[str, int]
) -> None:
    found = spills(crews, waiting)
    assert all(target != "priority" and source != target for source, target in found)
    for source in LANES:
        assert sum(count for (of, _), count in found.items() if of == source) <= waiting.get(source, 0)
    assert sum(found.values()) <= sum(max(0, crew.slots - crew.running) for crew in crews)
