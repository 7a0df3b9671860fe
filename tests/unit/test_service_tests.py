"""What a service's own tests expect, and what is said when something else came."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ferris.service_tests import Came, CaseError, case_of, differences


def wrong(expect: dict[str, Any], **came: Any) -> list[str]:
    """What is wrong when that came."""
    case = case_of(json.dumps({"event": {"type": "a.b"}, "expect": expect}))
    return list(differences(case, Came(**{"status": 0, "output": "", "state": {}, "artifacts": (), **came})))


def sent(*events: dict[str, Any]) -> str:
    return "".join(f"event {json.dumps(event)}\n" for event in events)


def test_what_is_not_expected_is_not_looked_at() -> None:
    came = {"output": sent({"type": "x"}), "state": {"a": 1}, "artifacts": ("x.csv",)}
    assert wrong({}, **came) == []
    assert wrong({"status": 3}, status=3) == []
    assert wrong({}, status=3) == ["exit status 3; expected 0"]


def test_events_in_any_order_each_once_and_no_others() -> None:
    two = [{"type": "x", "data": {"n": 1, "more": 2}}, {"type": "x", "data": {"n": 2}}]
    assert wrong({"events": [{"data": {"n": 2}}, {"type": "x", "data": {"n": 1}}]}, output=sent(*two)) == []
    assert "not expected" in wrong({"events": [{"type": "x"}]}, output=sent(*two))[0]
    assert len(wrong({"events": []}, output=sent(*two))) == 2
    assert (
        "data.n is 2, expected 3"
        in wrong({"events": [{"type": "x", "data": {"n": 3}}]}, output=sent(two[1]))[0]
    )
    assert "there came x" in wrong({"events": [{"type": "y"}]}, output=sent(two[0]))[0]
    assert "there came none" in wrong({"events": [{"type": "y"}]}, output="event {nonsense\n")[0]


def test_true_is_not_one() -> None:
    assert wrong({"state": {"a": 1}}, state={"a": True}) == ["state.a is true; expected 1"]
    assert wrong({"state": {"a": {"b": [1]}}}, state={"a": {"b": [1], "c": 2}}) == []


def test_output_and_artifacts() -> None:
    assert wrong({"log": ["one", "two"]}, output="only one") == ["the output does not hold 'two'"]
    said = wrong({"artifacts": ["a.csv", "b.csv"]}, artifacts=("b.csv", "c.csv"))
    assert said == ["there is no artifact a.csv", "the artifact c.csv was not expected"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "expected an object"),
        ('{"evnt": {}}', "did you mean event"),
        ('{"event": {"type": 1}}', "event.type"),
        ('{"expect": {"event": []}}', "did you mean events"),
        ('{"expect": {"events": {}}}', "expect.events"),
        ('{"expect": {"events": [1]}}', "expect.events[0]"),
        ('{"expect": {"status": true}}', "expect.status"),
        ('{"expect": {"log": [1]}}', "expect.log"),
        ('{"expect": {"runs": "no"}}', "expect.runs"),
        ('{"config": []}', "config"),
    ],
)
def test_a_case_that_is_none_says_where(text: str, said: str) -> None:
    with pytest.raises(CaseError, match=said.replace("[", r"\[")):
        case_of(text)
