"""First come, first served, and nobody waits longer than the patience."""

from __future__ import annotations

import random

from ferris.taking_turns import Line


def test_the_first_goes_at_once_and_the_others_in_their_order() -> None:
    line = Line[str](3)
    assert line.ask("a", 0) == ["a"]
    assert line.ask("b", 0.1) == line.ask("c", 0.2) == []
    assert line.end("a", 0.3) == ["b"]
    assert line.ask("a", 0.4) == []
    assert line.end("b", 0.5) == ["c"]
    assert line.end("c", 0.6) == ["a"]
    assert line.end("a", 0.7) == []
    assert line.ask("d", 0.8) == ["d"]


def test_who_has_the_turn_and_asks_again_goes_on_but_has_it_no_longer_for_that() -> None:
    line = Line[str](3)
    assert line.ask("a", 0) == ["a"]
    assert line.ask("b", 1) == []
    assert line.ask("a", 2.9) == ["a"]
    assert line.look(3) == ["b"]


def test_who_waits_no_more_is_passed_over() -> None:
    line = Line[str](3)
    for who in "abc":
        line.ask(who, 0)
    assert line.end("b", 1) == []
    assert line.end("nobody", 1) == []
    assert line.end("a", 1) == ["c"]


def test_a_turn_that_takes_too_long_is_given_on() -> None:
    line = Line[str](3)
    line.ask("a", 0)
    line.ask("b", 2)
    line.ask("c", 2.5)
    assert line.look(2.9) == []
    assert line.look(3) == ["b"]
    assert line.end("a", 3.5) == []  # it is over already
    assert line.end("b", 3.6) == ["c"]


def test_who_finds_a_turn_that_has_taken_too_long_waits_for_nothing() -> None:
    line = Line[str](3)
    line.ask("a", 0)
    assert line.look(50) == []  # nobody minds
    assert line.ask("b", 50) == ["b"]
    assert line.ask("a", 51) == []
    assert line.end("b", 52) == ["a"]


def test_whose_turn_does_not_come_goes_on_without() -> None:
    line = Line[str](3)
    line.ask("a", 0)
    line.ask("b", 0.1)
    line.ask("c", 0.2)
    assert line.end("a", 2.9) == ["b"]
    assert line.look(3.2) == ["c"]
    assert line.ask("d", 3.3) == []
    assert line.end("c", 3.4) == []  # it was not its turn
    assert line.end("b", 3.5) == ["d"]


def test_whatever_happens_each_goes_on_once_for_each_time_it_asks_and_in_time() -> None:
    dice = random.Random(7)
    for _ in range(200):
        line, now, waiting, having = Line[int](3), 0.0, {}, set()
        for _ in range(100):
            now += dice.random()
            who = dice.randrange(6)
            if who in waiting or dice.random() < 0.3:
                gone = line.end(who, now)
                waiting.pop(who, None)
                having.discard(who)
            else:
                waiting[who] = now
                gone = line.ask(who, now)
            for one in [*gone, *line.look(now)]:
                del waiting[one]
                having.add(one)
            assert all(now - since < 3 for since in waiting.values())
            assert having or not waiting
