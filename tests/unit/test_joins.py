"""Joins: against references that try everything, whatever the order, with restarts in between."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferris import events, gathering, joins
from ferris.gathering import Arrival, Pen, Pens, Taken, take
from ferris.intake import ABSENCE, ALL_OF, SEQUENCE, Intake, Join
from ferris.joins import AFTER, OF, Member
from ferris.triggers import TriggerSpec

START = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = UUID(int=0)
WITHIN = 100


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def rule(kind: str, count: int) -> Join:
    entries = tuple(TriggerSpec(f"e.{n}") for n in range(count))
    return Join(kind, entries, WITHIN, "data.k", "e.absent" if kind == ABSENCE else "")


def member(number: int, entries: int, time: int) -> Member:
    return Member(uuid5(NAMES, str(number)), entries, at(time), at(number))


def members(count: int) -> st.SearchStrategy[list[Member]]:
    pairs = st.tuples(st.integers(1, 2**count - 1), st.integers(0, 10))
    return st.lists(pairs, max_size=6).map(
        lambda found: [member(n, entries, time) for n, (entries, time) in enumerate(found)]
    )


# --- what is complete ------------------------------------------------------------------------------


@given(members(3))
def test_all_of_is_complete_when_some_choice_of_events_fills_every_entry(found: list[Member]) -> None:
    expected = any(
        all(one.entries >> n & 1 for n, one in enumerate(chosen)) for chosen in permutations(found, 3)
    )
    assert joins.complete(rule(ALL_OF, 3), found) == expected


@given(members(3))
def test_a_sequence_is_complete_when_some_choice_in_order_of_time_does(found: list[Member]) -> None:
    expected = any(
        all(one.entries >> n & 1 for n, one in enumerate(chosen))
        and all((a.time, a.at) <= (b.time, b.at) for a, b in pairwise(chosen))
        for chosen in permutations(found, 3)
    )
    assert joins.complete(rule(SEQUENCE, 3), found) == expected


@given(members(3), st.randoms(use_true_random=False), st.sampled_from([ALL_OF, SEQUENCE]))
def test_the_order_of_arrival_makes_no_difference(found: list[Member], random: Any, kind: str) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert joins.complete(rule(kind, 3), found) == joins.complete(rule(kind, 3), shuffled)


@given(members(4))
def test_as_many_entries_as_possible_are_filled_each_by_an_event_of_its_own(found: list[Member]) -> None:
    filled = [one for one in joins.filled(rule(ALL_OF, 4), found) if one is not None]
    assert len({one.event for one in filled}) == len(filled)
    best = max(
        (sum(1 for n, one in enumerate(chosen) if one and one.entries >> n & 1)
         for chosen in permutations([*found, *[None] * 4], 4)),
        default=0,
    ) if len(found) <= 4 else None  # fmt: skip
    assert best is None or len(filled) == best


# --- over time -------------------------------------------------------------------------------------


class Story:
    """Events of one key taken one after the other, with a restart before each."""

    def __init__(self, join: Join) -> None:
        self.intake, self.join, self.pens = Intake(join=join), join, Pens()
        self.closed: list[Pen] = []

    def take(self, number: int, entries: int, time: float, arrived: float, key: str | None = "x") -> Taken:
        data = {} if key is None else {"k": key}
        event = events.new("e", "/tests", data, now=at(time), id=str(number))
        self.pens = Pens(deepcopy(self.pens.open))
        taken = take(self.intake, self.pens, Arrival(event, event.key, at(arrived), 1, entries))
        self.closed += taken.closed
        return taken

    def clock(self, second: float) -> None:
        """What the scheduler does when something is due."""
        for pen in list(self.pens.open.values()):
            while pen.state == gathering.OPEN and pen.due_at is not None and pen.due_at <= at(second):
                gathering.pass_time(self.join, self.pens, pen, at(second))
        self.closed += [pen for pen in self.pens.closed if pen not in self.closed]

    @property
    def states(self) -> list[str]:
        return [pen.state for pen in self.closed]


happenings = st.lists(st.tuples(st.integers(1, 7), st.integers(0, 40)), max_size=12)


@given(happenings, st.sampled_from([ALL_OF, SEQUENCE]), st.booleans())
def test_a_join_runs_when_what_is_live_and_unused_completes_it(
    steps: list[tuple[int, int]], kind: str, clock: bool
) -> None:
    """Whether the clock looks in between, or nobody until the next event, is all the same."""
    story, unused, now = Story(rule(kind, 3)), [], 0
    for number, (entries, pause) in enumerate(steps):
        now += pause
        if clock:
            story.clock(now)
        taken = story.take(number, entries, now, now)
        unused = [one for one in unused if one.at + timedelta(seconds=WITHIN) > at(now)]
        unused.append(Member(uuid5(NAMES, str(number)), entries, at(now), at(now)))
        expected = joins.complete(story.join, unused)
        assert (gathering.RAN in [pen.state for pen in taken.closed]) == expected
        if expected:
            assert taken.pen is not None
            assert len(taken.pen.members) == len(unused)
            unused = []


@given(happenings)
def test_an_absence_is_told_for_what_got_no_answer_in_time(steps: list[tuple[int, int]]) -> None:
    """Reference: what waits and what answers, looked at second by second."""
    story, now = Story(rule(ABSENCE, 2)), 0
    waiting: list[tuple[int, int]] = []  # number, since
    told, met = 0, 0
    for number, (entries, pause) in enumerate(steps):
        now += pause
        if any(since + WITHIN <= now for _, since in waiting):
            told, waiting = told + 1, []
        entries = entries & 3 or OF
        story.take(number, entries, now, now)
        if entries & OF and waiting:
            met, waiting = met + 1, []
        if entries & AFTER:
            waiting.append((number, now))
    story.clock(now + 10 * WITHIN)
    told += bool(waiting)
    assert (story.states.count(gathering.DUE), story.states.count(gathering.MET)) == (told, met)


@given(happenings)
def test_with_and_without_a_clock_the_same_absences_are_found(steps: list[tuple[int, int]]) -> None:
    watched, alone, now = Story(rule(ABSENCE, 2)), Story(rule(ABSENCE, 2)), 0
    for number, (entries, pause) in enumerate(steps):
        now += pause * 4
        watched.clock(now)
        watched.take(number, entries & 3 or OF, now, now)
        alone.take(number, entries & 3 or OF, now, now)
    for story in (watched, alone):
        story.clock(now + 10 * WITHIN)
    counts = [
        [story.states.count(state) for state in (gathering.DUE, gathering.MET)] for story in (watched, alone)
    ]
    assert counts[0] == counts[1]


def test_an_answer_that_overtook_its_question_counts() -> None:
    story = Story(rule(ABSENCE, 2))
    story.take(1, OF, time=5, arrived=10)
    taken = story.take(2, AFTER, time=4, arrived=11)
    assert (taken.pen and taken.pen.state) == gathering.MET
    story.clock(1000)
    assert story.states == [gathering.MET]


def test_an_answer_from_before_the_question_does_not() -> None:
    story = Story(rule(ABSENCE, 2))
    story.take(1, OF, time=3, arrived=10)
    story.take(2, AFTER, time=4, arrived=11)
    story.clock(1000)
    assert story.states == [gathering.DUE]


def test_an_answer_that_arrives_too_late_does_not_count_whatever_its_time_says() -> None:
    story = Story(rule(ABSENCE, 2))
    story.take(1, AFTER, time=0, arrived=0)
    taken = story.take(2, OF, time=1, arrived=WITHIN)
    assert [pen.state for pen in taken.closed] == [gathering.DUE]


def test_a_heartbeat_answers_the_one_before_and_waits_for_the_next() -> None:
    story = Story(rule(ABSENCE, 2))
    for number in range(4):
        story.take(number, AFTER | OF, number * 50, number * 50)
    story.clock(150 + WITHIN)
    assert story.states == [gathering.MET] * 3 + [gathering.DUE]


def test_a_sequence_that_arrives_backwards_is_complete() -> None:
    story = Story(rule(SEQUENCE, 3))
    for number, entry in enumerate((2, 1, 0)):
        taken = story.take(number, 1 << entry, time=entry, arrived=50 + number)
    assert taken.pen is not None
    assert taken.pen.state == gathering.RAN


def test_half_filled_joins_expire_event_by_event() -> None:
    story = Story(rule(ALL_OF, 2))
    story.take(1, 1, 0, 0)
    story.take(2, 1, 90, 90)
    story.clock(WITHIN)
    pen = story.pens.open["join", "x"]
    assert len(pen.members) == 1
    assert pen.due_at == at(190)
    story.take(3, 2, 120, 120)
    assert story.states == [gathering.RAN]


def test_an_event_without_the_key_has_no_part() -> None:
    story = Story(rule(ALL_OF, 2))
    assert story.take(1, 1, 0, 0, key=None).decision == gathering.UNJOINED
    assert not story.pens.open


def test_of_very_many_the_oldest_count_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joins, "MOST_LIVE", 50)
    story = Story(rule(ALL_OF, 2))
    for number in range(joins.MOST_LIVE + 5):
        taken = story.take(number, 1, 0, number / 1000)
    assert taken.pen is not None
    assert (len(taken.pen.members), taken.pen.size) == (joins.MOST_LIVE, joins.MOST_LIVE + 5)
