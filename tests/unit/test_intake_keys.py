"""What the manifest says of events before they run: understood, and a message at the place of every mistake."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from ferris import events
from ferris.event_keys import is_path, key_of, text_of
from ferris.intake import Batch, Debounce, Deduplicate, Intake, Join, Throttle
from ferris.manifest import Manifest, Parsed, parse_service
from ferris.triggers import TriggerSpec

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def parse(**manifest: Any) -> Parsed:
    if "join" not in manifest:
        manifest.setdefault("trigger_events", ["a.*"])
    return parse_service({"main.py": b"print(1)\n", "manifest.json": json.dumps(manifest).encode()})


def good(**manifest: Any) -> Manifest:
    parsed = parse(**manifest)
    assert parsed.manifest is not None, parsed.messages
    assert not parsed.messages
    return parsed.manifest


def told(parsed: Parsed, level: str) -> list[str]:
    return [message.key for message in parsed.messages if message.level == level]


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({}, Intake()),
        ({"debounce": "5s"}, Intake(debounce=Debounce(5, 50))),
        (
            {"debounce": {"wait": "10s", "max_wait": "1m", "key": "data.customer.id", "events": "all"}},
            Intake(debounce=Debounce(10, 60, "data.customer.id", "all")),
        ),
        ({"batch": {"size": "100", "wait": 5}}, Intake(batch=Batch(100, 5))),
        (
            {"deduplicate": {"key": "data.order_id", "window": "1h"}},
            Intake(deduplicate=Deduplicate("data.order_id", 3600)),
        ),
        ({"throttle": {"per": "1m"}}, Intake(throttle=Throttle(1, 60))),
        (
            {"throttle": {"limit": 5, "per": "1m", "key": "correlation", "excess": "wait"}},
            Intake(throttle=Throttle(5, 60, "correlation", "wait")),
        ),
        (
            {"deduplicate": {"key": "subject", "window": 1}, "throttle": {"per": 1}, "batch": {"size": 2, "wait": 1}},
            Intake(Deduplicate("subject", 1), Throttle(1, 1), None, Batch(2, 1)),
        ),
    ],
)  # fmt: skip
def test_understood(manifest: dict[str, Any], expected: Intake) -> None:
    found = good(**manifest)
    assert found.intake == expected
    assert Intake.from_json(json.loads(json.dumps(expected.to_json()))) == expected
    assert Manifest.from_json(json.loads(json.dumps(asdict(found)))) == found


def test_joins() -> None:
    entry = {"event_type": "b.done", "filter": {"data": {"ok": [True]}}}
    found = good(join={"all_of": ["a.done", entry, "a.done"], "by": "data.order_id", "within": "1h"})
    one, two = TriggerSpec("a.done"), TriggerSpec("b.done", {"data": {"ok": [True]}})
    assert found.intake.join == Join("all_of", (one, two, one), 3600, "data.order_id")
    assert found.triggers == (one, two)
    assert Manifest.from_json(json.loads(json.dumps(asdict(found)))) == found
    assert good(join={"sequence": ["a", "b"], "within": 9}).intake.join == Join(
        "sequence", (TriggerSpec("a"), TriggerSpec("b")), 9, "correlation"
    )


def test_an_absence_fires_an_event_that_the_service_sends() -> None:
    join = {"absence": {"of": "payment.received", "after": "order.placed"}, "within": "10m"}
    found = good(join=join, output_events=["x"])
    entries = (TriggerSpec("order.placed"), TriggerSpec("payment.received"))
    assert found.intake.join == Join("absence", entries, 600, "correlation", "payment.received.absent")
    assert found.output_events == ("x", "payment.received.absent")
    assert good(join={**join, "event": "order.unpaid"}).output_events == ("order.unpaid",)


DEBOUNCE, BATCH = {"wait": 1}, {"size": 2, "wait": 1}
JOIN = {"all_of": ["a", "b"], "within": 1}
WRONG = {"event_type": "b", "filter": {"data": {"x": [{"numeric": [">"]}]}}}
ABSENCE = {"of": "b.x", "after": "a"}


@pytest.mark.parametrize(
    ("manifest", "keys"),
    [
        ({"debounce": []}, ["debounce"]),
        ({"debounce": {}}, ["debounce.wait"]),
        ({"debounce": "soon"}, ["debounce.wait"]),
        ({"debounce": {"wait": "1m", "max_wait": "1s"}}, ["debounce.max_wait"]),
        ({"debounce": {"wait": 1, "events": "first"}}, ["debounce.events"]),
        ({"debounce": {"wait": 1, "key": "data."}}, ["debounce.key"]),
        ({"debounce": {"wait": 1, "key": 5}}, ["debounce.key"]),
        ({"debounce": {"wait": 1, "key": "customer.id"}}, ["debounce.key"]),
        ({"batch": 10}, ["batch"]),
        ({"batch": {}}, ["batch.size", "batch.wait"]),
        ({"batch": {"size": 0, "wait": 1}}, ["batch.size"]),
        ({"batch": {"size": 100000, "wait": 1}}, ["batch.size"]),
        ({"deduplicate": {"window": "1h"}}, ["deduplicate.key"]),
        ({"deduplicate": {"key": "subject"}}, ["deduplicate.window"]),
        ({"throttle": {"limit": 0, "per": 1}}, ["throttle.limit"]),
        ({"throttle": {"limit": 1}}, ["throttle.per"]),
        ({"throttle": {"per": 1, "excess": "queue"}}, ["throttle.excess"]),
        ({"throttle": {"per": 1, "excess": "wait"}, "batch": BATCH}, ["throttle.excess"]),
        ({"debounce": DEBOUNCE, "batch": BATCH}, ["batch"]),
        ({"join": {"within": 1}}, ["join"]),
        ({"join": {"all_of": ["a", "b"], "sequence": ["a", "b"], "within": 1}}, ["join"]),
        ({"join": {"all_of": ["a"], "within": 1}}, ["join.all_of"]),
        ({"join": {"all_of": ["a", 5], "within": 1}}, ["join.all_of[1]"]),
        (
            {"join": {"all_of": ["a", WRONG], "within": 1}},
            ["join.all_of[1].filter.data.x[0].numeric"],
        ),
        ({"join": {"all_of": ["a", "b"]}}, ["join.within"]),
        ({"join": {**JOIN, "by": "order id"}}, ["join.by"]),
        ({"join": {**JOIN, "event": "x"}}, ["join.event"]),
        ({"join": {"absence": "b", "within": 1}}, ["join.absence"]),
        ({"join": {"absence": {"after": "a"}, "within": 1}}, ["join.absence.of"]),
        ({"join": {"absence": {**ABSENCE, "of": "b.*"}, "within": 1}}, ["join.event"]),
        ({"join": {"absence": ABSENCE, "within": 1, "event": "a"}}, ["join.event"]),
        ({"join": {"absence": ABSENCE, "within": 1, "event": "ferris.flow.late"}}, ["join.event"]),
        ({"join": JOIN, "trigger_events": ["a"]}, ["join"]),
        ({"join": JOIN, "batch": BATCH}, ["batch"]),
    ],
)  # fmt: skip
def test_a_mistake_is_an_error_at_its_place(manifest: dict[str, Any], keys: list[str]) -> None:
    parsed = parse(**manifest)
    assert parsed.manifest is None
    assert told(parsed, "error") == keys


@pytest.mark.parametrize(
    ("manifest", "key"),
    [
        ({"debounce": {"wait": 1, "key": "customer"}}, "debounce.key"),
        ({"debounce": {"wait": 1, "maxwait": 5}}, "debounce.maxwait"),
        ({"batch": {"size": 1, "wait": 1}}, "batch.size"),
        ({"batch": BATCH, "trigger_events": []}, "batch"),
        ({"deduplicate": {"key": "subject", "window": 60}, "debounce": {"wait": 1, "key": "subject"}}, "debounce"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_a_warning(manifest: dict[str, Any], key: str) -> None:
    parsed = parse(**manifest)
    assert parsed.manifest is not None
    assert told(parsed, "warning") == [key]


# --- keys ------------------------------------------------------------------------------------------

EVENT = events.new(
    "a.b",
    "/s",
    {"n": 5, "t": "5", "f": 5.0, "b": True, "o": {"y": 1, "x": [2, {"z": "deep"}]}, "null": None, "": 1},
    now=NOW,
    subject="sub",
    correlation_id="FLOW",
    extensions={"tenant": "acme"},
)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("", ""),
        ("subject", "sub"),
        ("type", "a.b"),
        ("tenant", "acme"),
        ("correlation", "FLOW"),
        ("correlationid", "FLOW"),
        ("data.n", "5"),
        ("data.t", "5"),
        ("data.f", "5"),
        ("data.b", "true"),
        ("data.o", '{"x":[2,{"z":"deep"}],"y":1}'),
        ("data.o.x.1.z", "deep"),
        ("data.o.x.2", None),
        ("data.null", None),
        ("data.none", None),
        ("data.n.more", None),
        ("other", None),
    ],
)
def test_keys(path: str, key: str | None) -> None:
    assert key_of(EVENT, path) == key


def test_long_keys_are_cut_and_stay_apart() -> None:
    one, two = text_of("x" * 1000), text_of("x" * 1000 + "y")
    assert len(one) == len(two) == 200
    assert one != two


@pytest.mark.parametrize("path", ["", "data.", "data..x", ".x", "Data", "a b", "source.x", "x" * 21, 5, None])
def test_what_is_no_path(path: Any) -> None:
    assert not is_path(path)
