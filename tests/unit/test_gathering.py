"""Deduplicate, throttle, debounce, batch: against references that look at the whole history at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferris import events, gathering
from ferris.gathering import Arrival, Pen, Pens, take
from ferris.intake import Batch, Debounce, Deduplicate, Intake, Throttle

START = datetime(2026, 3, 1, tzinfo=UTC)
KEYS = ("a", "b")
times = st.integers(0, 400)
arrivals = st.lists(st.tuples(times, st.sampled_from(KEYS)), max_size=40)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def arrival(number: int, second: int, key: str | None, size: int = 1) -> Arrival:
    data = {} if key is None else {"k": key}
    event = events.new("a.happened", "/tests", data, now=at(second), id=str(number))
    return Arrival(event, event.key, at(second), size)


class Story:
    """Events taken one after the other, with what is open put down and taken up again in between: a restart."""

    def __init__(self, intake: Intake) -> None:
        self.intake, self.pens = intake, Pens()
        self.decided: list[tuple[int, str]] = []
        self.boxes: dict[int, list[int]] = {}
        self.closed: list[Pen] = []

    def take(self, number: int, second: int, key: str | None, size: int = 1) -> str:
        one = arrival(number, second, key, size)
        self.pens = Pens(deepcopy(self.pens.open))
        taken = take(self.intake, self.pens, one)
        self.decided.append((number, taken.decision))
        self.closed += taken.closed
        return taken.decision

    def run(self, seconds: Iterable[tuple[int, str]]) -> Story:
        for number, (second, key) in enumerate(seconds):
            self.take(number, second, key)
        return self

    def which(self, decision: str) -> set[int]:
        return {number for number, decided in self.decided if decided == decision}


def by_key(seconds: Sequence[tuple[int, str]], key: str) -> list[int]:
    return [second for second, one in seconds if one == key]


# --- deduplicate -----------------------------------------------------------------------------------


@given(arrivals)
def test_of_a_key_one_event_per_window_runs(seconds: list[tuple[int, str]]) -> None:
    seconds = sorted(seconds)
    story = Story(Intake(deduplicate=Deduplicate("data.k", 60))).run(seconds)
    ran = story.which(gathering.RUN)
    for key in KEYS:
        expected, until = [], -1
        for number, (second, one) in enumerate(seconds):
            if one == key and second >= until:
                expected.append(number)
                until = second + 60
        assert sorted(n for n in ran if seconds[n][1] == key) == expected
    assert story.which(gathering.DUPLICATE) == set(range(len(seconds))) - ran


@given(arrivals)
def test_out_of_order_a_duplicate_is_still_one(seconds: list[tuple[int, str]]) -> None:
    story = Story(Intake(deduplicate=Deduplicate("data.k", 1000))).run(seconds)
    assert len(story.which(gathering.RUN)) == len({key for _, key in seconds})


# --- throttle --------------------------------------------------------------------------------------


@given(arrivals, st.integers(1, 3))
def test_a_throttle_lets_through_what_the_limit_allows_and_no_more(
    seconds: list[tuple[int, str]], limit: int
) -> None:
    seconds = sorted(seconds)
    story = Story(Intake(throttle=Throttle(limit, 60, "data.k"))).run(seconds)
    ran = story.which(gathering.RUN)
    for key in KEYS:
        passed: list[int] = []
        for number, (second, one) in enumerate(seconds):
            if one != key:
                continue
            room = sum(1 for before in passed if before > second - 60) < limit
            assert (number in ran) == room
            if room:
                passed.append(second)
    assert story.which(gathering.DROPPED) == set(range(len(seconds))) - ran


@given(arrivals, st.integers(1, 3))
def test_the_limit_holds_for_any_span_also_out_of_order(seconds: list[tuple[int, str]], limit: int) -> None:
    story = Story(Intake(throttle=Throttle(limit, 60, "data.k")))
    passes: dict[str, set[tuple[int, int]]] = {key: set() for key in KEYS}
    for number, (second, key) in enumerate(seconds):
        if story.take(number, second, key) == gathering.RUN:
            pen = story.pens.open["throttle", key]
            passes[key].add((number, pen.passes[-1]))
    for found in passes.values():
        moments = sorted(moment for _, moment in found)
        assert all(later - first >= 60_000 for first, later in zip(moments, moments[limit:], strict=False))


@given(arrivals, st.integers(1, 3))
def test_what_waits_goes_in_order_and_within_the_limit(seconds: list[tuple[int, str]], limit: int) -> None:
    """The clock looks at every due time, as the scheduler does."""
    rule = Throttle(limit, 60, "data.k", "wait")
    story = Story(Intake(throttle=rule))
    moments: dict[str, list[int]] = {key: [] for key in KEYS}

    def clock(until: datetime) -> None:
        for (_, key), pen in story.pens.open.items():
            while pen.due_at is not None and pen.due_at <= until:
                now = pen.due_at
                count = gathering.release(rule, pen, now)
                assert count, "it was due, so something may pass"
                moments[key] += [int(now.timestamp() * 1000)] * count

    for number, (second, key) in enumerate(sorted(seconds)):
        clock(at(second))
        if story.take(number, second, key) == gathering.RUN:
            moments[key].append(int(at(second).timestamp() * 1000))
    clock(at(100_000))
    for key in KEYS:
        assert len(moments[key]) == len(by_key(seconds, key)), "nothing is lost"
        assert moments[key] == sorted(moments[key])
        late = zip(moments[key], moments[key][limit:], strict=False)
        assert all(later - first >= 60_000 for first, later in late)
        pen = story.pens.get("throttle", key)
        assert pen is None or (pen.held, pen.due_at) == (0, None)


def test_when_each_held_event_may_pass_is_known() -> None:
    rule = Throttle(2, 60, "", "wait")
    story = Story(Intake(throttle=rule)).run([(0, "a"), (10, "a"), (20, "a"), (20, "a"), (20, "a")])
    pen = story.pens.open["throttle", ""]
    assert pen.held == 3
    assert [gathering.free_at(rule, pen, ahead) for ahead in range(3)] == [at(60), at(70), at(120)]


# --- debounce and batch ----------------------------------------------------------------------------


def debounced(seconds: Sequence[int], wait: int, max_wait: int) -> list[list[int]]:
    """Groups of arrivals: one ends when its wait or its maximum is over before the next."""
    groups: list[list[int]] = []
    for second in seconds:
        if groups and second < min(groups[-1][-1] + wait, groups[-1][0] + max_wait):
            groups[-1].append(second)
        else:
            groups.append([second])
    return groups


def sizes(story: Story, kind: str, key: str) -> list[tuple[datetime, int]]:
    """First arrival and size of every gathering of a key, closed or open."""
    pens = [pen for pen in (*story.closed, *story.pens.open.values()) if (pen.kind, pen.key) == (kind, key)]
    return [(pen.opened_at, pen.size) for pen in pens]


@given(arrivals, st.integers(1, 60), st.integers(1, 4))
def test_debounce_merges_what_a_look_at_all_of_it_would(
    seconds: list[tuple[int, str]], wait: int, times: int
) -> None:
    seconds = sorted(seconds)
    story = Story(Intake(debounce=Debounce(wait, wait * times, "data.k"))).run(seconds)
    for key in KEYS:
        groups = debounced(by_key(seconds, key), wait, wait * times)
        assert sizes(story, "debounce", key) == [(at(group[0]), len(group)) for group in groups]
        pen = story.pens.get("debounce", key)
        if pen is not None:
            assert pen.due_at == at(min(groups[-1][-1] + wait, groups[-1][0] + wait * times))
    assert {pen.state for pen in story.closed} <= {gathering.RAN}


@given(arrivals, st.integers(1, 60))
def test_out_of_order_nothing_is_lost_or_in_two_gatherings(seconds: list[tuple[int, str]], wait: int) -> None:
    story = Story(Intake(debounce=Debounce(wait, wait * 3, "data.k"))).run(seconds)
    for key in KEYS:
        assert sum(size for _, size in sizes(story, "debounce", key)) == len(by_key(seconds, key))
    for pen in story.pens.open.values():
        assert pen.due_at is not None
        assert pen.opened_at < pen.due_at <= pen.opened_at + timedelta(seconds=wait * 3)


def batched(seconds: Sequence[int], size: int, wait: int) -> list[list[int]]:
    groups: list[list[int]] = []
    for second in seconds:
        if groups and len(groups[-1]) < size and second < groups[-1][0] + wait:
            groups[-1].append(second)
        else:
            groups.append([second])
    return groups


@given(arrivals, st.integers(1, 5), st.integers(1, 100))
def test_batches_are_full_or_their_time_was_over(
    seconds: list[tuple[int, str]], size: int, wait: int
) -> None:
    seconds = sorted(seconds)
    story = Story(Intake(batch=Batch(size, wait, "data.k"))).run(seconds)
    for key in KEYS:
        groups = batched(by_key(seconds, key), size, wait)
        assert sizes(story, "batch", key) == [(at(group[0]), len(group)) for group in groups]
        pen = story.pens.get("batch", key)
        assert (pen is not None) == bool(groups and len(groups[-1]) < size)


def test_a_gathering_is_full_when_its_events_are_large() -> None:
    story = Story(Intake(batch=Batch(1000, 60)))
    for number in range(20):
        story.take(number, number, "a", size=1024 * 1024)
    assert [pen.size for pen in story.closed] == [16]


# --- together, and without a key -------------------------------------------------------------------


@given(arrivals)
def test_a_chain_of_rules_decides_once_about_each_event(seconds: list[tuple[int, str]]) -> None:
    intake = Intake(
        deduplicate=Deduplicate("data.k", 5), throttle=Throttle(3, 60), debounce=Debounce(10, 30, "data.k")
    )
    story = Story(intake).run(sorted(seconds))
    merged = [pen for pen in (*story.closed, *story.pens.open.values()) if pen.kind == "debounce"]
    assert sum(pen.size for pen in merged) == len(story.which(gathering.DEBOUNCED))
    assert len(story.decided) == len(seconds)
    assert not story.which(gathering.RUN)


@pytest.mark.parametrize(
    "intake",
    [
        Intake(deduplicate=Deduplicate("data.k", 60)),
        Intake(throttle=Throttle(1, 60, "data.k")),
        Intake(debounce=Debounce(60, 60, "data.k")),
        Intake(batch=Batch(10, 60, "data.k")),
    ],
)
def test_an_event_without_the_key_is_not_touched(intake: Intake) -> None:
    story = Story(intake)
    assert [story.take(number, 0, None) for number in range(3)] == [gathering.RUN] * 3
    assert not story.pens.open
