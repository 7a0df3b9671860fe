"""Promises in a project file: what is understood, what is refused and where, and which events take part."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ferris import events
from ferris.documents import Notes
from ferris.promises import OVERDUE_EVENT, Promise, PromiseTable, promises_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOOD = {"name": "shipped", "after": "order.placed", "expect": "order.shipped", "within": "10m"}


def read(*promises: Any, **document: Any) -> tuple[tuple[Promise, ...], list[tuple[str, str, str]]]:
    notes = Notes()
    said = {"promises": list(promises), **document}
    found = promises_of(json.dumps(said).encode(), notes)
    return found, [(m.level, m.key, m.text) for m in notes.messages]


def event(kind: str, data: Any = None, **attributes: Any) -> events.Event:
    return events.with_flow(events.new(kind, "/t", data, now=NOW, **attributes))


def table(*promises: Any) -> PromiseTable:
    found, messages = read(*promises)
    assert not messages
    return PromiseTable({promise.name: promise for promise in found})


def test_a_promise_is_read_with_its_defaults() -> None:
    (promise,), messages = read(GOOD)
    assert messages == []
    assert (promise.name, promise.within, promise.by) == ("shipped", 600, "correlation")
    assert (promise.after.event_type, promise.expect.event_type) == ("order.placed", "order.shipped")
    assert Promise.from_json(json.loads(json.dumps(promise.to_json()))) == promise


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"name": None}, "promises[0].name"),
        ({"name": " "}, "promises[0].name"),
        ({"name": 7}, "promises[0].name"),
        ({"after": None}, "promises[0].after"),
        ({"after": "a.*.b"}, "promises[0].after"),
        ({"after": {"event_type": "a", "filter": {"data": {"n": {}}}}}, "promises[0].after.filter.data.n"),
        ({"after": OVERDUE_EVENT}, "promises[0].after"),
        ({"expect": {"event_type": "a", "cesql": "n >"}}, "promises[0].expect.cesql"),
        ({"within": None}, "promises[0].within"),
        ({"within": "soon"}, "promises[0].within"),
        ({"within": "31d"}, "promises[0].within"),
        ({"by": "data."}, "promises[0].by"),
    ],
)
def test_a_mistake_names_its_place(change: dict[str, Any], key: str) -> None:
    found, messages = read({**GOOD, **change})
    assert [(level, place) for level, place, _ in messages if level == "error"] == [("error", key)]
    assert all(text for _, _, text in messages)
    assert found == () or key.endswith(("by", "after"))


def test_the_whole_file_is_looked_at() -> None:
    assert read(GOOD, 5)[1][0][:2] == ("error", "promises[1]")
    assert read(GOOD, GOOD)[1][0][:2] == ("error", "promises[1].name")
    assert read(GOOD, promise=1)[1][0][:2] == ("warning", "promise")
    assert read({**GOOD, "witin": "1m"})[1][0][:2] == ("warning", "promises[0].witin")
    notes = Notes()
    assert promises_of(b"[]", notes) == ()
    assert promises_of(b'{"promises": {}}', notes) == ()
    assert promises_of(b"{,}", notes) == ()
    assert [m.level for m in notes.messages] == ["error"] * 3
    assert promises_of(b"{}", Notes()) == ()


def test_which_events_take_part() -> None:
    filtered = {**GOOD, "name": "large", "after": {"event_type": "order.*", "filter": {"data": {"n": [1]}}}}
    found = table(GOOD, filtered)

    def parts(one: events.Event) -> list[tuple[str, bool, bool]]:
        return sorted((p.rule, p.begins, p.answers) for p in found.parts(one))

    assert parts(event("order.placed", {"n": 2})) == [("shipped", True, False)]
    assert parts(event("order.placed", {"n": 1})) == [("large", True, False), ("shipped", True, False)]
    assert parts(event("order.shipped", {"n": 1})) == [("large", True, True), ("shipped", False, True)]
    assert parts(event("other")) == []
    assert parts(event("order.placed", service="somebody")) == [("shipped", True, False)]


def test_by_a_key_an_event_without_it_has_no_part() -> None:
    found = table({**GOOD, "by": "data.order"})
    assert [p.key for p in found.parts(event("order.placed", {"order": 7}))] == ["7"]
    assert found.parts(event("order.placed", {"order": None})) == []
    flow = event("order.placed", correlation_id="F")
    assert [p.key for p in table({**GOOD, "by": "flow"}).parts(flow)] == ["F"]


def test_what_tells_of_a_late_flow_begins_nothing() -> None:
    found = table({**GOOD, "after": "*"})
    assert [p.begins for p in found.parts(event("a"))] == [True]
    assert [p.begins for p in found.parts(event(OVERDUE_EVENT))] == [False]
