"""Batches, HTTP in its three modes, Kafka headers; and that nothing but EventError comes out, whatever goes in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings import http, kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ferris import events
from ferris.errors import EventError
from ferris.events import Event

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BASE: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
HEADERS = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t"}
RECORD = {name.replace("-", "_"): value.encode() for name, value in HEADERS.items()}


# --- HTTP ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json",
        "application/cloudevents+json; charset=utf-8",
        "Application/CloudEvents+JSON",
    ],
)
def test_structured(content_type: str) -> None:
    (event,) = events.parse_http({"Content-Type": content_type}, json.dumps(BASE).encode(), now=NOW)
    assert event == Event("1", "s", "t", NOW)


def test_batch() -> None:
    body = json.dumps([BASE, {**BASE, "id": "2"}]).encode()
    found = events.parse_http({"content-type": "application/cloudevents-batch+json"}, body, now=NOW)
    assert [event.id for event in found] == ["1", "2"]
    assert events.parse_batch(b"[]", now=NOW) == []


@pytest.mark.parametrize(
    ("body", "attribute"),
    [
        (b"{}", "body"),
        (b"nope", "body"),
        (json.dumps([BASE, {**BASE, "id": ""}]).encode(), "[1].id"),
        (json.dumps([BASE, 7]).encode(), "[1].body"),
    ],
)
def test_a_batch_is_refused_by_index_and_attribute(body: bytes, attribute: str) -> None:
    with pytest.raises(EventError) as caught:
        events.parse_batch(body, now=NOW)
    assert caught.value.attribute == attribute


def test_a_batch_may_be_larger_than_an_event_but_its_events_may_not() -> None:
    half = {**BASE, "data": "x" * (events.MAX_EVENT_BYTES // 2)}
    assert len(events.parse_batch(json.dumps([half] * 4).encode(), now=NOW)) == 4
    whole = {**BASE, "data": "x" * (events.MAX_EVENT_BYTES + 100_000)}
    with pytest.raises(EventError) as caught:
        events.parse_batch(json.dumps([BASE, whole]).encode(), now=NOW)
    assert caught.value.attribute == "[1].body"


def binary(headers: dict[str, str], body: bytes = b"") -> Event:
    (event,) = events.parse_http({**HEADERS, **headers}, body, now=NOW)
    return event


def test_binary_json() -> None:
    event = binary(
        {
            "Content-Type": "application/json",
            "CE-Time": "2026-01-01T00:00:00Z",
            "Ce-Subject": "a%20b%C3%BC%25",
            "ce-ferrishops": "3",
            "ce-correlationid": "mine",
            "x-other": "ignored",
        },
        b'{"mag": 5}',
    )
    assert event == Event(
        "1", "s", "t", datetime(2026, 1, 1, tzinfo=UTC), "a b\u00fc%", "application/json", None, {"mag": 5},
        {"ferrishops": 3, "correlationid": "mine"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content_type", "body", "data"),
    [
        ("application/json", b"", None),
        ("application/json", b'"{\\"a\\": 1}"', {"a": 1}),
        ("application/json", b'"text"', "text"),
        ("application/problem+json; charset=utf-8", b"[1]", [1]),
        ("text/plain", "ü".encode(), "ü"),
        ("text/csv", b"\xff", b"\xff"),
        ("text/plain", b"a\0b", b"a\0b"),
        ("application/octet-stream", b'{"a": 1}', b'{"a": 1}'),
        ("application/json", b"null", None),
    ],
)
def test_binary_content(content_type: str, body: bytes, data: object) -> None:
    assert binary({"content-type": content_type}, body).data == data


def test_a_header_may_be_quoted() -> None:
    assert binary({"content-type": "a/b", "ce-subject": '"a \\"b\\" %41"'}).subject == 'a "b" A'


@pytest.mark.parametrize(
    ("headers", "body", "attribute"),
    [
        ({"ce-subject": "%FF", "content-type": "a/b"}, b"", "subject"),
        ({"ce-subject": "%00", "content-type": "a/b"}, b"", "subject"),
        ({"ce-subject": "", "content-type": "a/b"}, b"", "subject"),
        ({"ce-id": "", "content-type": "a/b"}, b"", "id"),
        ({"ce-time": "noon", "content-type": "a/b"}, b"", "time"),
        ({"ce-time": "2026", "content-type": "a/b"}, b"", "time"),
        ({"ce-specversion": "0.3", "content-type": "a/b"}, b"", "specversion"),
        ({"ce-bad_name": "x", "content-type": "a/b"}, b"", "bad_name"),
        ({"ce-data": "x", "content-type": "a/b"}, b"", "data"),
        ({"ce-ferrishops": "x", "content-type": "a/b"}, b"", "ferrishops"),
        ({"content-type": "application/json"}, b"{", "data"),
        ({"content-type": "application/json"}, b"[NaN]", "data"),
        ({}, b"no json", "data"),
        ({"content-type": "application/cloudevents+avro"}, b"", "content-type"),
        ({"content-type": "a/b"}, b" " * (events.MAX_EVENT_BYTES + 1), "body"),
    ],
)
def test_binary_refused(headers: dict[str, str], body: bytes, attribute: str) -> None:
    with pytest.raises(EventError) as caught:
        binary(headers, body)
    assert caught.value.attribute == attribute


@pytest.mark.parametrize("missing", sorted(HEADERS))
def test_binary_needs_its_headers(missing: str) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != missing}
    with pytest.raises(EventError) as caught:
        events.parse_http({**headers, "content-type": "application/json"}, b"{}", now=NOW)
    assert caught.value.attribute == missing.removeprefix("ce-")
    with pytest.raises(EventError) as caught:
        events.from_record(b"{}", {n.replace("-", "_"): v.encode() for n, v in headers.items()}, now=NOW)
    assert caught.value.attribute == missing.removeprefix("ce-")


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}, {"content-type": "text/html"}])
def test_what_is_no_cloudevent(headers: dict[str, str]) -> None:
    with pytest.raises(EventError, match="binary mode") as caught:
        events.parse_http(headers, b"{}", now=NOW)
    assert caught.value.attribute == "content-type"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=40))
def test_what_the_package_writes_in_headers_is_read(text: str) -> None:
    theirs = CloudEvent({"id": "1", "source": "s", "type": "t", "time": NOW, "subject": text}, {"a": text})
    message = http.to_binary(theirs, JSONFormat())
    expected = Event("1", "s", "t", NOW, subject=text, data={"a": text})
    headers = {**message.headers, "content-type": "application/json"}
    assert events.parse_http(headers, message.body, now=NOW) == [_typed(expected)]
    record = kafka.to_binary(theirs, JSONFormat())
    assert events.from_record(record.value, record.headers, now=NOW) == expected
    record = kafka.to_structured(theirs, JSONFormat())
    assert events.from_record(record.value, record.headers, now=NOW) == expected


def _typed(event: Event) -> Event:
    return Event(**{**{n: getattr(event, n) for n in Event.__slots__}, "datacontenttype": "application/json"})


# --- Kafka -----------------------------------------------------------------------------------------


def test_records_in_binary_mode() -> None:
    headers = {
        **RECORD, "ce_subject": "ü%20".encode(), "ce_time": b"2026-01-01T00:00:00Z", "content-type": b"text/plain"
    }  # fmt: skip
    event = events.from_record(b"hi", headers, now=NOW)
    assert event == Event("1", "s", "t", datetime(2026, 1, 1, tzinfo=UTC), "ü%20", "text/plain", None, "hi")
    assert events.from_record(b'{"a": 1}', RECORD, now=NOW).data == {"a": 1}


def test_structured_wins_when_the_record_says_so() -> None:
    headers = {**RECORD, "ce_id": b"other", "content-type": b"application/cloudevents+json"}
    assert events.from_record(json.dumps(BASE).encode(), headers, now=NOW).id == "1"


def test_headers_of_others_are_no_binary_mode() -> None:
    assert events.from_record(json.dumps(BASE).encode(), {"trace": b"\xff"}, now=NOW).id == "1"


@pytest.mark.parametrize(
    ("headers", "attribute"),
    [({"ce_id": b"\xff"}, "id"), ({"ce_time": b"noon"}, "time"), ({"content-type": b"\xff"}, "content-type")],
)
def test_records_refused(headers: dict[str, bytes], attribute: str) -> None:
    with pytest.raises(EventError) as caught:
        events.from_record(b"", {**RECORD, **headers}, now=NOW)
    assert caught.value.attribute == attribute


# --- whatever goes in ------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(
    ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data",
     "data_base64", "correlationid", "causationid", "ferrishops", "ferrisservice", "ferristrigger", "ext"]
) | st.text(max_size=8)  # fmt: skip


def taken_or_refused(make: Any) -> None:
    """Whatever is taken goes through the log unchanged; whatever is refused says why."""
    try:
        found = make()
    except EventError:
        return
    for event in found if isinstance(found, list) else [found]:
        assert event.time.utcoffset() is not None
        assert event.hops >= 0
        assert isinstance(event.flow_id, str | None)
        assert isinstance(event.causation_id, str | None)
        assert event.key == events.from_record(events.encode(event), {}, now=NOW).key
        assert events.from_record(events.encode(event), {}, now=NOW) == event


@given(st.binary(max_size=200))
@example(b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":1e400}')
def test_any_bytes(body: bytes) -> None:
    taken_or_refused(lambda: events.parse(body, now=NOW))
    taken_or_refused(lambda: events.parse_batch(body, now=NOW))
    taken_or_refused(lambda: events.from_record(body, {}, now=NOW))


@settings(max_examples=400)
@given(st.dictionaries(names, json_values, max_size=5))
def test_any_change_to_a_good_event(changes: dict[str, Any]) -> None:
    body = json.dumps({**BASE, **changes}).encode()
    taken_or_refused(lambda: events.parse(body, now=NOW))


@settings(max_examples=200)
@given(
    st.dictionaries(
        names.map(lambda name: f"ce-{name}") | st.just("content-type"), st.text(max_size=30), max_size=4
    ),
    st.binary(max_size=40) | json_values.map(lambda value: json.dumps(value).encode()),
)
def test_any_headers(headers: dict[str, str], body: bytes) -> None:
    taken_or_refused(
        lambda: events.parse_http({**HEADERS, "content-type": "application/json", **headers}, body, now=NOW)
    )
    record = {name.replace("ce-", "ce_"): value.encode("utf-8", "replace") for name, value in headers.items()}
    taken_or_refused(lambda: events.from_record(body, {**RECORD, **record}, now=NOW))
    raw = {
        name: value.encode("utf-16", "replace")
        for name, value in record.items()
        for value in [value.decode()]
    }
    taken_or_refused(lambda: events.from_record(body, {**RECORD, **raw}, now=NOW))
