"""What a replay selects, and what it sends."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from ferris import events
from ferris.moments import moment
from ferris.replaying import MARK, ORIGINAL_FLOW, Selection, SelectionError, flow_of, replayed

NOW = datetime(2026, 1, 2, tzinfo=UTC)
REPLAY = uuid.UUID(int=7)


def event(type: str = "shop.order.placed", data: Any = None, **attributes: Any) -> events.Event:
    return events.new(type, "/shop", data, now=NOW, **attributes)


def wanted(selection: Selection, *seen: events.Event) -> list[bool]:
    table = selection.table()
    return [selection.wants(one, table) for one in seen]


def test_selected_by_type_and_filter() -> None:
    seen = event(data={"total": 5}), event(data={"total": 50}), event("shop.item.sold", {"total": 50})
    assert wanted(Selection(), *seen) == [True, True, True]
    assert wanted(Selection("shop.order.*"), *seen) == [True, True, False]
    assert wanted(Selection("shop.*", {"data": {"total": [{"numeric": [">", 9]}]}}), *seen) == [
        False,
        True,
        True,
    ]
    assert wanted(Selection(cesql="type LIKE '%sold'"), *seen) == [False, False, True]


def test_events_of_executions_only_if_asked_for() -> None:
    sent, left = event(causation_id="x", correlation_id="F"), event(data={"_fxparentexec": "x"})
    assert wanted(Selection(), sent, left) == [False, False]
    assert wanted(Selection(derived=True), sent, left) == [True, True]


def test_never_commands_nor_replays() -> None:
    commands = [event(name) for name in (events.RUN_REQUESTED, events.RETRY_REQUESTED, events.SCHEDULE_DUE)]
    again = replayed(event(), REPLAY, "F", None)
    assert wanted(Selection(derived=True), *commands, again) == [False] * 4


@pytest.mark.parametrize(
    ("selection", "field"),
    [
        (Selection("a*"), "event_type"),
        (Selection(filter={"data": {"x": []}}), "filter"),
        (Selection(cesql="a ="), "cesql"),
        (Selection(filter={}, cesql="TRUE"), "cesql"),
    ],
)
def test_what_is_no_selection(selection: Selection, field: str) -> None:
    with pytest.raises(SelectionError) as caught:
        selection.table()
    assert caught.value.name == field


def test_a_replayed_event_is_the_same_with_an_identity_of_its_own() -> None:
    original = event(
        data={"_fxparentexec": "p", "n": 1},
        subject="order-1",
        correlation_id="FLOW",
        hops=3,
        extensions={"tenant": "a"},
    )
    again = replayed(original, REPLAY, "FLOW", "service-id")
    assert (again.source, again.type, again.subject, again.time, again.data) == (
        original.source,
        original.type,
        original.subject,
        original.time,
        original.data,
    )
    assert again.id != original.id
    assert again == replayed(original, REPLAY, "FLOW", "service-id")
    assert again.key != replayed(original, uuid.UUID(int=8), "FLOW", "service-id").key
    assert again.flow_id == flow_of(REPLAY, "FLOW") != "FLOW"
    assert (again.extensions[MARK], again.extensions[ORIGINAL_FLOW]) == (str(REPLAY), "FLOW")
    assert (again.service, again.hops, again.extensions["tenant"]) == ("service-id", 0, "a")
    assert again.causation_id is None, "not adopted into the flow of the execution that sent the original"
    assert events.from_record(events.encode(again), {}, now=NOW) == again


def test_bytes_are_bytes_again() -> None:
    original = events.Event("1", "/s", "t", NOW, datacontenttype="image/png", data="89504e47")
    assert replayed(original, REPLAY, "F", None).data == b"\x89PNG"
    text = events.Event("1", "/s", "t", NOW, datacontenttype="text/plain", data="89504e47")
    assert replayed(text, REPLAY, "F", None).data == "89504e47"


def test_moments() -> None:
    assert moment("1d", NOW) == datetime(2026, 1, 1, tzinfo=UTC)
    assert moment("2025-12-01T00:00:00Z", NOW) == datetime(2025, 12, 1, tzinfo=UTC)
    for wrong in ("yesterday", "5", "-1d", "2025-12-01"):
        with pytest.raises(ValueError, match="expected 30m"):
            moment(wrong, NOW)
