"""Schemas inferred from samples: what they say, what breaks them, and who reads what broke."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ferris.event_schemas import MAX_SCHEMA_BYTES, MOST_FIELDS, changes, misfits, touches, widened
from ferris.filters import compile_filter


def problems(schema: dict[str, Any], data: Any) -> list[str]:
    return [change.problem for change in misfits(schema, data)]


def learned(*samples: Any) -> dict[str, Any]:
    return widened({}, samples)


def test_a_schema_says_what_all_samples_have():
    assert learned({"total": 3, "note": "x"}, {"total": 4.5}) == {
        "type": "object",
        "properties": {"total": {"type": "number"}, "note": {"type": "string"}},
        "required": ["total"],
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"total": "3", "items": [{"price": 1}]}, ["data.total is a string; expected an integer"]),
        ({"total": 3.5, "items": [{"price": 1}]}, ["data.total is a number; expected an integer"]),
        ({"items": [{"price": 1}]}, ["data.total is missing; expected an integer"]),
        ({"total": 3, "items": [{"price": None}]}, ["data.items[].price is null; expected an integer"]),
        ({"total": 3, "items": [{}]}, ["data.items[].price is missing; expected an integer"]),
        ({"total": 3, "items": {}}, ["data.items is an object; expected an array"]),
        ([1], ["data is an array; expected an object"]),
        ({"total": 3, "items": [], "new": {"a": 1}}, []),
    ],
)
def test_what_does_not_fit_is_named(data, said):
    assert problems(learned({"total": 3, "items": [{"price": 1}]}), data) == said


def test_a_new_field_is_told_once_and_breaks_nothing():
    before = learned({"a": 1})
    found = changes(before, widened(before, [{"a": 1, "b": {"c": {"d": 1}}}]))
    assert [(change.path, change.kind, change.breaking) for change in found] == [("data.b", "added", False)]


def test_a_field_that_may_be_missing_stays_so():
    schema = widened(learned({"a": 1}, {}), [{"a": 2}])
    assert problems(schema, {}) == []


def test_an_object_of_very_many_fields_is_a_map():
    schema = learned({"by": {f"k{n}": n for n in range(MOST_FIELDS + 1)}})
    assert schema["properties"]["by"]["patternProperties"] == {"^": {"type": "integer"}}
    assert widened(schema, [{"by": {"another": 1}}]) is schema
    assert problems(schema, {"by": {"another": "x"}}) == ["data.by.* is a string; expected an integer"]


def test_what_does_not_fit_is_found_among_however_many_new_fields():
    many = {f"a{n}": {f"b{m}" * 20: {"c": 1} for m in range(90)} for n in range(120)}
    assert problems(learned({"total": 1}), {**many, "total": "x"}) == [
        "data.total is a string; expected an integer"
    ]


def test_a_schema_has_a_largest_size():
    deep = {f"a{n}": {f"b{m}" * 20: {"c": 1} for m in range(90)} for n in range(90)}
    assert widened({}, [deep]) == {}
    assert len(json.dumps(learned({"a": 1}))) < MAX_SCHEMA_BYTES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON, min_size=1, max_size=5))
def test_what_made_a_schema_fits_it_and_widening_again_changes_nothing(samples):
    schema = learned(*samples)
    assert widened(schema, samples) is schema
    for sample in samples:
        assert problems(schema, sample) == []


@given(JSON, JSON)
@example([None, {}], [{"a": None}])
@example([None, {}, []], [{"a": None}, [1]])
def test_samples_make_one_schema_whether_they_come_together_or_one_by_one(one, other):
    def fits(schema):
        return widened(schema, [one, other]) is schema

    assert fits(widened(learned(one), [other]))
    assert fits(learned(other, one))


@pytest.mark.parametrize(
    ("changed", "read", "answer"),
    [
        ("data.order.total", "data.order.total", True),
        ("data.order", "data.order.total", True),
        ("data.items[].price", "data.items.price", True),
        ("data.items[].price", "data.items", True),
        ("data.order.total", "data.order.id", False),
        ("data.order", "data.orders", False),
        ("data.by.*", "data.by.x", True),
    ],
)
def test_who_reads_a_field(changed, read, answer):
    assert touches(changed, read) is answer


def test_a_filter_says_which_fields_it_reads():
    pattern = {"source": ["x"], "data": {"a": {"b": [1]}, "$or": [{"c": [2]}, {"d": [{"exists": False}]}]}}
    assert sorted(compile_filter(pattern).fields()) == [
        ("data", "a", "b"), ("data", "c"), ("data", "d"), ("source",),
    ]  # fmt: skip
