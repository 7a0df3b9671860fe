"""Chart JSON: what is understood, and that what is hostile is refused with its place."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from ferris.chart_json import MAX_BYTES, SCHEMA, ChartProblem, drawn, read
from ferris.json_text import JsonProblem, read_json

_GOOD: list[Any] = [
    {"labels": ["a", 2, 2.5], "series": [{"name": "x", "values": [1, None, "many"]}], "unit": "EUR"},
    {"labels": ["a"], "datasets": [{"label": "x", "data": [1]}, {"data": []}], "backgroundColor": "red"},
    {"value": 129.5, "unit": "EUR"},
    {"value": None},
    {"labels": ["a"], "series": [{"name": None, "values": []}], "unit": None, "$schema": "x"},
]


@pytest.mark.parametrize("said", _GOOD)
def test_what_is_understood_fits_the_schema_and_is_kept_as_it_is(said: Any) -> None:
    jsonschema.validate(said, SCHEMA)
    found = drawn(said)
    assert drawn(found.as_json()) == found


def test_both_forms_say_the_same() -> None:
    [one, two] = [drawn(said).series[0] for said in _GOOD[:2]]
    assert (one.name, list(one.values)) == ("x", [1, None, "many"])
    assert (two.name, list(two.values)) == ("x", [1])
    assert drawn(_GOOD[0]).labels == ("a", "2", "2.5")


def _series(values: Any, labels: Any = ("a",)) -> bytes:
    return json.dumps({"labels": list(labels), "series": [{"values": values}]}).encode()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no JSON"),
        (b"<html>", "is no JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[1]", "is no object"),
        (b"{}", "neither series, datasets nor value"),
        (b'{"series": []}', "labels is missing"),
        (b'{"labels": [], "series": []}', "series is empty"),
        (b'{"labels": ["a"], "series": [1]}', "series[0] is no object"),
        (b'{"labels": [null], "series": [{"values": [1]}]}', "labels[0] is null"),
        (_series([1, 2]), "series[0].values has 2 values for 1 labels"),
        (_series([True]), "series[0].values[0] is neither"),
        (_series([{"x": 1}]), "series[0].values[0] is neither"),
        (_series([float("nan")]), "NaN is no number"),
        (b'{"value": 1e400}', "too large"),
        (b'{"value": 1e16}', "value is no number from"),
        (b'{"value": ' + b"9" * 5000 + b"}", "is no JSON"),
        (b'{"value": 1, "value": 2}', "stands twice"),
        (b'{"value": "\\u0000"}', "NUL"),
        (_series([1], ["x" * 201]), "labels[0] has 201 characters"),
        (_series([1] * 501, ["a"] * 501), "labels has 501 labels; at most 500 are drawn"),
        (_series([1] * 1_000_000), f"longer than {MAX_BYTES // 1024} KiB"),
        (b"[" * 200 + b"]" * 200, "is no JSON"),
    ],
)
def test_what_is_not_is_told_with_its_place(content: bytes, told: str) -> None:
    with pytest.raises(ChartProblem) as caught:
        read(content)
    assert told in str(caught.value)
    try:
        said = read_json(content.decode("utf-8-sig"))
    except (JsonProblem, UnicodeDecodeError):
        return
    if "values for 1 labels" not in told and len(content) <= MAX_BYTES:  # which no schema can say
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(said, SCHEMA)


def test_a_million_points_as_a_value_are_refused_before_they_are_looked_at() -> None:
    with pytest.raises(ChartProblem, match="at most 500"):
        drawn({"labels": ["a"] * 10**6, "series": [{"values": [1] * 10**6}]})


def test_html_and_control_characters_are_text() -> None:
    found = read(b'{"labels": ["<b>a</b>", "a\\u202eb"], "series": [{"name": "<script>", "values": [1, 2]}]}')
    assert found.labels == ("<b>a</b>", "a b")
    assert found.series[0].name == "<script>"
