"""Two sets of triggers, and what each would have made of the same events."""

from __future__ import annotations

from datetime import UTC, datetime

from ferris import events
from ferris.backtest import Backtest, Side
from ferris.routing import Trigger

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def side(name: str, *triggers: tuple[str, object], **state: bool) -> dict[str, Side]:
    made = tuple(Trigger(name, name, kind, filter) for kind, filter in triggers)  # type: ignore[arg-type]
    return {name: Side(name, name, made, **state)}


def strong(least: float) -> dict[str, object]:
    return {"data": {"mag": [{"numeric": [">=", least]}]}}


def fed(test: Backtest, *magnitudes: float) -> Backtest:
    for number, mag in enumerate(magnitudes):
        test.feed(events.new("quake.seen", "/t", {"mag": mag}, now=NOW, id=str(number)))
    return test


def test_gained_and_lost_with_the_reason_of_the_silent_side():
    test = Backtest(side("alert", ("quake.seen", strong(5))), side("alert", ("quake.*", strong(4))))
    tally = fed(test, 3, 4, 5, 6).tallies["alert"]
    assert (tally.state, tally.before, tally.after, tally.gained, tally.lost) == ("changed", 2, 3, 1, 0)
    [sample] = tally.gained_samples
    assert (sample["id"], sample["why"]) == ("1", 'data.mag is 4; expected [{"numeric": [">=", 5]}]')


def test_services_that_come_and_go():
    before = side("old", ("quake.seen", None)) | side("off", ("quake.seen", None))
    after = side("new", ("quake.seen", None)) | side("off", ("quake.seen", None), active=False)
    test = fed(Backtest(before, after), 1, 2)
    assert {t.service: (t.state, t.gained, t.lost) for t in test.tallies.values()} == {
        "new": ("added", 2, 0),
        "off": ("changed", 0, 2),
        "old": ("removed", 0, 2),
    }
    assert test.tallies["off"].lost_samples[0]["why"] == "off was inactive"
    assert (test.gained, test.lost) == (2, 4)


def test_several_triggers_of_a_service_count_an_event_once():
    test = Backtest({}, side("both", ("quake.seen", None), ("quake.*", None)))
    assert fed(test, 1).tallies["both"].after == 1


def test_samples_stay_few_however_many_events_differ():
    test = fed(Backtest({}, side("new", ("*", None)), samples=2), *range(50))
    assert (test.gained, len(test.tallies["new"].gained_samples)) == (50, 2)


def test_what_is_addressed_to_a_service_is_no_matter_of_triggers():
    test = Backtest({}, side("new", ("*", None)))
    test.feed(events.new(events.RUN_REQUESTED, "/t", now=NOW, service="new", trigger="manual"))
    assert test.gained == 0
