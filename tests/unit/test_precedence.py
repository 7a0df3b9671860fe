"""Who goes first: priorities from events, turns of keys, shares of projects."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferris import events
from ferris.manifest import Manifest, parse_service
from ferris.precedence import Precedence, PriorityFrom, share_out, turns

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def event(data: object):
    return events.new("a.happened", "/tests", data, now=NOW)


def parsed(**manifest: object):
    return parse_service({"manifest.json": json.dumps(manifest).encode(), "run.py": b"print(1)"})


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (3, (3, "event")),
        ("3", (3, "event")),
        (3.0, (3, "event")),
        ("gold", (2, "event")),
        (None, (5, "missing")),
        ("", (5, "missing")),
        (0, (5, "invalid")),
        (11, (5, "invalid")),
        (2.5, (5, "invalid")),
        (True, (5, "invalid")),
        ("soon", (5, "invalid")),
        ([1], (5, "invalid")),
        ({"a": 1}, (5, "invalid")),
    ],
)
def test_the_priority_of_an_event(value: object, found: tuple[int, str]):
    assert PriorityFrom("data.level", {"gold": 2}).of(event({"level": value}), 5) == found


def test_an_event_without_data_has_the_default():
    assert PriorityFrom("data.level").of(event(None), 7) == (7, "missing")


def test_a_manifest_says_where_the_priority_comes_from_and_what_holds_without():
    manifest = parsed(priority={"key": "data.level", "default": "8", "values": {"gold": 2}}).manifest
    assert manifest
    assert (manifest.priority, manifest.precedence.priority) == (8, PriorityFrom("data.level", {"gold": 2}))
    assert parsed(priority={"key": "subject"}).manifest.priority == 5
    assert parsed(priority="3").manifest.precedence == Precedence()


def test_the_fair_share_is_that_of_its_key_or_of_a_limits_key():
    assert parsed(fair_share="data.customer").manifest.precedence.fair_share == "data.customer"
    limit = {"limit": 1, "key": "data.shop"}
    assert parsed(concurrency=limit).manifest.precedence.fair_share == "data.shop"
    assert parsed(concurrency=limit, fair_share="subject").manifest.precedence.fair_share == "subject"
    assert parsed(rate={"limit": 1, "per": "1m", "key": "source"}).manifest.precedence.fair_share == "source"


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"priority": {"default": 3}}, "priority.key"),
        ({"priority": {"key": "data..x"}}, "priority.key"),
        ({"priority": {"key": "data.x", "default": 11}}, "priority.default"),
        ({"priority": {"key": "data.x", "values": {"gold": 0}}}, "priority.values.gold"),
        ({"priority": {"key": "data.x", "values": []}}, "priority.values"),
        ({"priority": 11}, "priority"),
        ({"fair_share": ["data.customer"]}, "fair_share"),
    ],
)
def test_a_mistake_is_told_with_its_place(said: dict[str, object], place: str):
    found = parsed(**said)
    assert found.manifest is None
    assert [message.key for message in found.messages if message.level == "error"] == [place]


def test_what_a_manifest_says_survives_the_table():
    said = Precedence(PriorityFrom("data.level", {"gold": 2}), "data.customer")
    assert Precedence.from_json(json.loads(json.dumps(said.to_json()))) == said
    assert Precedence.from_json(None) == Precedence() == Precedence.from_json({})
    manifest = parsed(priority={"key": "data.level"}).manifest
    assert Manifest.from_json({"precedence": manifest.precedence.to_json()}).precedence == manifest.precedence


def test_who_comes_late_with_one_has_it_in_the_turn_that_is_next():
    first = turns([("lane", "acme")] * 5, {}, {})
    assert first == [0, 1, 2, 3, 4]
    # Two of acme's have gone: its third is next, and bolt's first is beside it.
    assert turns([("lane", "bolt"), ("lane", "bolt"), ("lane", "acme")], {"acme": 4}, {"lane": 2}) == [
        2,
        3,
        5,
    ]


@given(st.lists(st.sampled_from("abcd"), max_size=60))
def test_in_every_turn_each_share_has_at_most_one_and_none_waits_for_more_than_one_of_each_other(shares):
    given = turns([("q", share) for share in shares], {}, {})
    assert max(Counter(zip(shares, given, strict=True)).values(), default=1) == 1
    for share, turn in zip(shares, given, strict=True):
        mine = [t for s, t in zip(shares, given, strict=True) if s == share]
        assert sorted(mine) == list(range(len(mine)))  # so whoever is n-th of its own goes in turn n
        assert turn < len(mine)


@dataclass(frozen=True)
class Row:
    name: str
    created_at: int


def test_projects_get_equal_shares_of_what_is_under_way():
    waiting = {p: [Row(f"{p}{n}", n) for n in range(10)] for p in "ab"} | {"c": [Row("c0", 99)]}
    chosen = share_out(waiting, {"a": 3, "b": 1}, 6)
    assert [row.name for row in chosen] == ["c0", "b0", "b1", "a0", "b2", "a1"]
    assert share_out(waiting, {"a": 3, "b": 1}, 6) == chosen
    assert len(share_out(waiting, {}, 100)) == 21
    assert share_out({}, {}, 5) == share_out({"a": []}, {}, 5) == []
