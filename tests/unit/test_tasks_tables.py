"""Tables that a step tells: only what is one, masked, and not too much of it."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.mask import Masker
from tasks.tables import LARGEST, MOST, Tables

GOOD = {
    "op": "table",
    "columns": ["a", "b"],
    "rows": [["1", None]],
    "count": 1,
    "truncated": False,
    "file": "a.csv",
    "line": 1,
}


def told(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    tables = Tables(Masker(["sesame-open"]))
    for message in messages:
        tables.take(message)
    return tables.of_step()


def test_a_table_is_kept_for_its_step() -> None:
    tables = Tables(Masker([]))
    tables.take(GOOD)
    assert tables.of_step() == [{name: value for name, value in GOOD.items() if name != "op"}]
    assert tables.of_step() == []


@pytest.mark.parametrize(
    "change",
    [
        {"columns": None},
        {"columns": ["a", 1]},
        {"rows": {"a": 1}},
        {"rows": [["1"]]},
        {"rows": [["1", 2]]},
        {"rows": [["1", {"b": 1}]]},
        {"count": "1"},
        {"line": "x"},
        {"file": "../../etc/passwd"},
        {"file": "a\nb"},
        {"file": ""},
    ],
)
def test_what_is_no_table_is_left_out(change: dict[str, Any]) -> None:
    assert told({**GOOD, **change}) == []


def test_values_are_masked_and_can_be_kept_in_any_database() -> None:
    [table] = told({**GOOD, "columns": ["a\0", "sesame-open"], "rows": [["x sesame-open y", "\ud800\0"]]})
    assert table["columns"] == ["a\ufffd", "***"]
    assert table["rows"] == [["x *** y", "?\ufffd"]]


def test_there_is_a_limit() -> None:
    assert len(told(*[GOOD] * (MOST + 5))) == MOST
    large = {**GOOD, "rows": [["x" * (LARGEST // 2), None]]}
    assert len(told(large, large, large)) == 1
