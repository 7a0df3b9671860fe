"""The run form: its fields as users write them, and the values people and programs submit."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferris.documents import Notes
from ferris.parameters import RESERVED, TYPES, Choice, Parameter, parse_fields, parse_parameters

COLOURS = [{"title": "Red", "value": "r"}, {"title": "Two", "value": 2}, {"title": "Half", "value": 0.5}]


def form(*fields: Any) -> tuple[tuple[Parameter, ...], list[tuple[str, str]]]:
    notes = Notes()
    parameters = parse_fields({"fields": list(fields)}, "parameters.json", notes)
    return parameters, [(message.level, message.key) for message in notes.messages]


def field(type: str = "text", name: str = "a", **more: Any) -> Parameter:
    parameters, messages = form({"type": type, "name": name, **more})
    assert messages == []
    return parameters[0]


# --- fields ----------------------------------------------------------------------------------------


def test_every_type() -> None:
    for type in TYPES:
        choices = {"choices": COLOURS} if type in ("select", "multiselect", "radio") else {}
        assert field(type, **choices).type == type


def test_everything_a_field_can_say() -> None:
    parameter = field(
        "int", "n", label="Number", description="How many", required="true", default="4", placeholder=10,
        min="2", max=10, step="2",
    )  # fmt: skip
    assert parameter == Parameter("int", "n", "Number", "How many", True, 4, "10", 2, 10, 2)
    parameter = field("file", data={"bucket": "uploads", "async": True})
    assert (parameter.bucket, parameter.data_async) == ("uploads", True)
    parameter = field("multiselect", choices=COLOURS, default=["r", 2])
    assert parameter.choices == (Choice("Red", "r"), Choice("Two", 2), Choice("Half", 0.5))
    assert parameter.default == ["r", 2]
    assert Parameter.from_json(json.loads(json.dumps(dataclasses.asdict(parameter)))) == parameter
    assert field("select", choices=["x", 5]).choices == (Choice("x", "x"), Choice("5", 5))
    assert field().label == "a"


@pytest.mark.parametrize(
    ("given_field", "key"),
    [
        ("text", "fields[0]"),
        ({"name": "a"}, "fields[0].type"),
        ({"type": "integer", "name": "a"}, "fields[0].type"),
        ({"type": ["text"], "name": "a"}, "fields[0].type"),
        ({"type": "text"}, "fields[0].name"),
        ({"type": "text", "name": " "}, "fields[0].name"),
        ({"type": "text", "name": "a\n"}, "fields[0].name"),
        ({"type": "text", "name": 5}, "fields[0].name"),
        ({"type": "text", "name": "secrets"}, "fields[0].name"),
        ({"type": "text", "name": "a", "label": []}, "fields[0].label"),
        ({"type": "text", "name": "a", "required": "x"}, "fields[0].required"),
        ({"type": "text", "name": "a", "default": {}}, "fields[0].default"),
        ({"type": "int", "name": "a", "min": "x"}, "fields[0].min"),
        ({"type": "int", "name": "a", "min": 5, "max": 4}, "fields[0].min"),
        ({"type": "int", "name": "a", "step": 0}, "fields[0].step"),
        ({"type": "int", "name": "a", "default": 1.5}, "fields[0].default"),
        ({"type": "int", "name": "a", "min": 5, "default": "4"}, "fields[0].default"),
        ({"type": "select", "name": "a"}, "fields[0].choices"),
        ({"type": "radio", "name": "a", "choices": []}, "fields[0].choices"),
        ({"type": "select", "name": "a", "choices": {"a": 1}}, "fields[0].choices"),
        ({"type": "select", "name": "a", "choices": [{"title": "x"}]}, "fields[0].choices[0]"),
        ({"type": "select", "name": "a", "choices": ["1", {"value": 1}]}, "fields[0].choices[1]"),
        ({"type": "select", "name": "a", "choices": ["x"], "default": "y"}, "fields[0].default"),
        ({"type": "multiselect", "name": "a", "choices": ["x"], "default": ["x", "y"]}, "fields[0].default"),
        ({"type": "file", "name": "a", "data": "bucket"}, "fields[0].data"),
        ({"type": "file", "name": "a", "data": {"bucket": "Not A Bucket"}}, "fields[0].data.bucket"),
        ({"type": "file", "name": "a", "data": {"async": "x"}}, "fields[0].data.async"),
    ],
)
def test_a_wrong_field_says_where(given_field: object, key: str) -> None:
    assert form(given_field)[1] == [("error", key)]


@pytest.mark.parametrize(
    ("given_field", "key"),
    [
        ({"type": "text", "name": "a", "help": "x"}, "fields[0].help"),
        ({"type": "text", "name": "a", "min": 1}, "fields[0].min"),
        ({"type": "text", "name": "a", "choices": ["x"]}, "fields[0].choices"),
        ({"type": "text", "name": "a", "data": {"bucket": "abc"}}, "fields[0].data"),
        ({"type": "file", "name": "a", "default": "x"}, "fields[0].default"),
        ({"type": "multiselect", "name": "a", "choices": ["x"], "default": "x"}, "fields[0].default"),
        ({"type": "file", "name": "a", "data": {"buckets": "x"}}, "fields[0].data.buckets"),
    ],
)
def test_what_a_field_does_not_use_is_a_warning(given_field: object, key: str) -> None:
    parameters, messages = form(given_field)
    assert messages == [("warning", key)]
    assert len(parameters) == 1


def test_names_once_each() -> None:
    assert form({"type": "text", "name": "a"}, {"type": "int", "name": "a"})[1] == [
        ("error", "fields[1].name")
    ]


# --- values ----------------------------------------------------------------------------------------


def submit(parameter: Parameter, *value: Any) -> tuple[dict[str, Any], list[str]]:
    taken, messages = parse_parameters([parameter], {parameter.name: value[0]} if value else {})
    return taken, [message.text for message in messages]


@pytest.mark.parametrize(
    ("parameter", "given_value", "taken"),
    [
        (field(), "x", "x"),
        (field(), 5, "5"),
        (field("textarea"), "a\nb", "a\nb"),
        (field("int"), "5", 5),
        (field("int"), 5.0, 5),
        (field("int"), " -5 ", -5),
        (field("int", min=0, max=10, step=5), 10, 10),
        (field("int", min=1, step=2), 3, 3),
        (field("float"), "1.5", 1.5),
        (field("float"), 2, 2.0),
        (field("float", step=0.1), 0.3, 0.3),
        (field("float"), "1e3", 1000.0),
        (field("select", choices=COLOURS), "r", "r"),
        (field("select", choices=COLOURS), "2", 2),
        (field("radio", choices=COLOURS), 0.5, 0.5),
        (field("multiselect", choices=COLOURS), ["2", "r", "2"], [2, "r"]),
        (field("multiselect", choices=COLOURS), "r", ["r"]),
        (field("file", data={"bucket": "abc"}), "k/1", {"bucket": "abc", "key": "k/1"}),
        (
            field("file"),
            {"bucket": "b", "key": "k", "name": "x.csv"},
            {"bucket": "b", "key": "k", "name": "x.csv"},
        ),
    ],
)
def test_taken_in_their_type(parameter: Parameter, given_value: object, taken: object) -> None:
    result = submit(parameter, given_value)
    assert result == ({"a": taken}, [])
    assert type(result[0]["a"]) is type(taken)


@pytest.mark.parametrize(
    ("parameter", "given_value", "says"),
    [
        (field(), ["x"], "a list; expected a text"),
        (field(), True, "a boolean"),
        (field(), "a\0", "NUL"),
        (field("textarea"), "x" * 100_001, "100001 characters"),
        (field("int"), "five", "'five'; expected a whole number"),
        (field("int"), 1.5, "whole number"),
        (field("int"), True, "whole number"),
        (field("int"), "1_000", "whole number"),
        (field("int"), 10**30, "whole number"),
        (field("int", min=0, max=10, step=5), 7, "from 0 to 10 in steps of 5"),
        (field("int", min=0), -1, "from 0"),
        (field("float", max=1), "1.01", "to 1"),
        (field("float"), "nan", "a number"),
        (field("float"), "1e999", "a number"),
        (field("float"), {}, "a number"),
        (field("select", choices=COLOURS), "g", "'g'; expected one of r, 2, 0.5"),
        (field("radio", choices=COLOURS), ["r"], "one of"),
        (field("multiselect", choices=COLOURS), ["r", "g"], "a list of r, 2, 0.5"),
        (field("file"), "k", "no bucket"),
        (field("file"), {"bucket": "b"}, "bucket and key"),
        (field("file"), 5, "bucket and key"),
    ],
)
def test_refused_with_what_was_expected(parameter: Parameter, given_value: object, says: str) -> None:
    taken, messages = submit(parameter, given_value)
    assert taken == {}
    assert len(messages) == 1
    assert says in messages[0]


@pytest.mark.parametrize("nothing", [(), (None,), ("",), ([],)])
def test_nothing_takes_the_default_or_is_missing(nothing: tuple[Any, ...]) -> None:
    assert submit(field("int", default="7"), *nothing) == ({"a": 7}, [])
    assert submit(field("int", default=0), *nothing) == ({"a": 0}, [])
    assert submit(field("int"), *nothing) == ({}, [])
    assert submit(field("int", required=True), *nothing) == ({}, ["is missing; expected a whole number"])
    assert submit(field("int", required=True, default=1), *nothing) == ({"a": 1}, [])


def test_values_without_a_field() -> None:
    assert parse_parameters((), {"x": {"any": 1}}) == ({"x": {"any": 1}}, [])
    taken, messages = parse_parameters([field(name="count")], {"conut": 1})
    assert taken == {"conut": 1}
    assert [(m.level, m.key) for m in messages] == [("warning", "conut")]
    assert "did you mean count?" in messages[0].text
    for name in RESERVED:
        taken, messages = parse_parameters((), {name: "forged"})
        assert (taken, [m.level for m in messages]) == ({}, ["error"])


FIELDS = form(
    *(
        {"type": type, "name": type, "choices": COLOURS if "select" in type or type == "radio" else []}
        for type in TYPES
    )
)[0]


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(TYPES) | st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["key", "bucket"]), inner)
            ),
            max_leaves=4,
        ),
    )
)
def test_any_values(values: dict[str, Any]) -> None:
    taken, messages = parse_parameters(FIELDS, values)
    wrong = {message.key for message in messages if message.level == "error"}
    assert wrong.isdisjoint(taken)
    assert {
        name for name, value in values.items() if value not in (None, "", []) or name not in TYPES
    } == wrong | set(taken)
    again, messages = parse_parameters(FIELDS, taken)
    assert repr(again) == repr(taken)
