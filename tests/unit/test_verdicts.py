"""What a service's triggers say of an event: one verdict, with the clause that failed and the value seen."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ferris import events
from ferris.routing import Trigger
from ferris.verdicts import Kind, judge

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STRONG = {"data": {"mag": [{"numeric": [">=", 5]}]}}


def happened(type: str = "quake.seen", data: object = None, **attributes: object) -> events.Event:
    return events.new(type, "/tests", data, now=NOW, **attributes)  # type: ignore[arg-type]


def trigger(event_type: str, filter: object = None, cesql: str | None = None) -> Trigger:
    return Trigger("id-1", "alert", event_type, filter, cesql=cesql)  # type: ignore[arg-type]


def verdict(event: events.Event, *triggers: Trigger, **state: bool):
    return judge(event, "alert", "id-1", triggers, **state)


def test_a_trigger_that_matches():
    found = verdict(happened(data={"mag": 6}), trigger("quake.*", STRONG))
    assert (found.kind, found.trigger) == (Kind.MATCHES, "quake.*")


def test_the_clause_that_failed_and_the_value_seen():
    found = verdict(happened(data={"mag": 3.2}), trigger("quake.seen", STRONG))
    assert (found.kind, found.clause, found.seen) == (Kind.FILTERED, "data.mag", 3.2)
    assert found.why == 'data.mag is 3.2; expected [{"numeric": [">=", 5]}]'


def test_a_value_that_is_absent_is_told_from_one_that_says_so():
    missing = verdict(happened(data={}), trigger("quake.seen", {"data": {"mag": [1]}}))
    said = verdict(happened(data={"mag": "absent"}), trigger("quake.seen", {"data": {"mag": [1]}}))
    assert (missing.seen, said.seen) == (None, "absent")
    assert missing.why.startswith("data.mag is absent;")
    assert said.why.startswith('data.mag is "absent";')


def test_an_expression_says_what_the_event_holds():
    found = verdict(happened(subject="b"), trigger("quake.seen", cesql="subject = 'a' AND EXISTS region"))
    assert (found.kind, found.clause) == (Kind.FILTERED, "cesql")
    assert found.seen == {"subject": "b"}


def test_of_several_triggers_one_that_matches_wins_and_else_the_first_for_the_type_tells():
    triggers = (
        trigger("other"),
        trigger("quake.seen", STRONG),
        trigger("quake.*", {"data": {"near": [True]}}),
    )
    assert verdict(happened(data={"mag": 1, "near": True}), *triggers).kind is Kind.MATCHES
    found = verdict(happened(data={"mag": 1}), *triggers)
    assert (found.clause, found.trigger) == ("data.mag", "quake.seen")


def test_another_type_is_no_near_miss():
    found = verdict(happened("flood.seen"), trigger("quake.seen"), trigger("quake.gone"))
    assert (found.kind, found.near) == (Kind.OTHER_TYPE, False)
    assert found.why == "the type is flood.seen; alert listens for quake.seen, quake.gone"


@pytest.mark.parametrize(
    ("state", "kind"),
    [({"vanished": True}, Kind.VANISHED), ({"active": False}, Kind.INACTIVE), ({}, Kind.NO_TRIGGER)],
)
def test_a_service_that_nothing_can_trigger(state, kind):
    assert verdict(happened(), *([trigger("quake.seen")] if state else []), **state).kind is kind


def test_an_event_that_is_addressed_to_one_service():
    assert verdict(happened(service="other"), trigger("quake.seen")).kind is Kind.ADDRESSED
    assert verdict(happened(service="id-1"), trigger("quake.seen")).kind is Kind.MATCHES
    run = happened(events.RUN_REQUESTED, service="id-1", trigger="manual")
    assert verdict(run).kind is Kind.MATCHES
    other = happened(events.RUN_REQUESTED, service="id-2", trigger="manual")
    assert verdict(other, trigger("*")).kind is Kind.ADDRESSED


def test_a_filter_that_is_wrong_is_said_and_stops_nothing():
    found = verdict(happened(), trigger("quake.seen", {"data": {"mag": [{"numeric": ["~", 5]}]}}))
    assert found.kind is Kind.FILTERED
    assert "its filter is wrong" in found.why
