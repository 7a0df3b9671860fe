"""Structured CloudEvents, flows, and the properties scripts and routing rely on."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from ferris import events
from ferris.content import is_harmless
from ferris.errors import EventError
from ferris.events import Event

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
BASE: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "sensors", "type": "quakes.detected"}


def parse(**changes: Any) -> Event:
    return events.parse(json.dumps({**BASE, **changes}).encode(), now=NOW)


def problem_of(**changes: Any) -> EventError:
    with pytest.raises(EventError) as caught:
        parse(**changes)
    return caught.value


# --- what is taken ---------------------------------------------------------------------------------


def test_a_full_event() -> None:
    event = parse(
        time="2026-01-01T12:30:00.5+02:00",
        subject="row-7",
        datacontenttype="application/json",
        dataschema="https://example.org/schema",
        data={"mag": 4.5, "tags": ["a", None, True]},
        correlationid="ABCDEF1234",
        ferrishops=3,
        sampled=True,
    )
    assert event == Event(
        id="1",
        source="sensors",
        type="quakes.detected",
        time=datetime(2026, 1, 1, 10, 30, 0, 500000, tzinfo=UTC),
        subject="row-7",
        datacontenttype="application/json",
        dataschema="https://example.org/schema",
        data={"mag": 4.5, "tags": ["a", None, True]},
        extensions={"correlationid": "ABCDEF1234", "ferrishops": 3, "sampled": True},
    )


def test_time_is_now_when_absent() -> None:
    assert parse().time == NOW
    assert parse(time=None).time == NOW


def test_null_attributes_are_absent() -> None:
    event = parse(
        subject=None, datacontenttype=None, dataschema=None, myextension=None, data=None, data_base64=None
    )
    assert event == parse()


@pytest.mark.parametrize(
    "data", [0, False, "", "plain text", [], [1, "a"], {}, 1.5, "{no json", '"{}"', "[1]"]
)
def test_data_is_any_json_value(data: object) -> None:
    assert parse(data=data).data == data


def test_extensions_as_an_object_are_those_of_published_clients() -> None:
    """What `Event.Properties()` of cloudevents 1.2.0 gives, which ferris_cli 2.8.1 sends."""
    document = {
        "specversion": "1.0", "id": "1", "source": "svc", "type": "t.next", "datacontenttype": "application/json",
        "subject": "order-1", "time": "2026-11-24T15:52:47Z", "data": "{\"n\": 1}",
        "extensions": {"tenant": "a", "id": "other", "correlationid": "F"}, "correlationid": "G",
    }  # fmt: skip
    event = events.from_record(json.dumps(document).encode(), {}, now=NOW)
    assert (event.id, event.data) == ("1", {"n": 1})
    assert event.extensions == {"tenant": "a", "correlationid": "G"}
    empty = {**document, "extensions": {}}
    assert events.from_record(json.dumps(empty).encode(), {}, now=NOW).extensions == {"correlationid": "G"}


def test_data_encoded_twice_is_decoded() -> None:
    inner = {"a": 1, "ü": [1, {"b": None}]}
    assert parse(data=json.dumps(inner)).data == inner
    assert (
        parse(data=" " + json.dumps(inner), datacontenttype="application/json; charset=utf-8").data == inner
    )
    assert parse(data=json.dumps(inner), datacontenttype="application/vnd.a.b+json").data == inner
    assert parse(data=json.dumps(inner), datacontenttype="text/plain").data == json.dumps(inner)


def test_data_base64() -> None:
    assert parse(data_base64="AAEC").data == b"\x00\x01\x02"
    assert parse(data_base64="eyJhIjoxfQ==", datacontenttype="application/json").data == {"a": 1}
    assert parse(data_base64="aGk=", datacontenttype="text/plain").data == "hi"
    assert parse(data_base64="aGk=", datacontenttype="application/zip").data == b"hi"
    assert parse(data_base64="/w==", datacontenttype="text/plain").data == b"\xff"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-01T00:00:00Z", 0),
        ("2026-01-01t00:00:00z", 0),
        ("2026-01-01T00:00:00+00:00", 0),
        ("2025-12-31T19:00:00-05:00", 0),
        ("2026-01-01T00:00:00.25Z", 0.25),
        ("2026-01-01T00:00:00.123456789Z", 0.123456),
        ("2025-12-31T23:59:60Z", 0),
    ],
)
def test_times_of_rfc_3339(text: str, seconds: float) -> None:
    assert parse(time=text).time == datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


# --- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id", "source", "type"])
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "missing"),
        ("", "empty"),
        (7, "number"),
        (["a"], "list"),
        ("x" * 513, "513 characters"),
        ("a\x00b", "U+0000 at position 1"),
        ("a\nb", "U+000A"),
        ("\ud800", "U+D800"),
        ("\ufffe", "U+FFFE"),
    ],
)
def test_required_attributes(name: str, value: object, says: str) -> None:
    error = problem_of(**{name: value})
    assert error.attribute == name
    assert says in error.problem
    assert "expected" in error.problem


@pytest.mark.parametrize(
    ("changes", "attribute"),
    [
        ({"specversion": None}, "specversion"),
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": 1.0}, "specversion"),
        ({"subject": ""}, "subject"),
        ({"subject": 1}, "subject"),
        ({"datacontenttype": {}}, "datacontenttype"),
        ({"dataschema": ""}, "dataschema"),
        ({"time": "yesterday"}, "time"),
        ({"time": 1700000000}, "time"),
        ({"time": "2026-01-01T00:00:00"}, "time"),
        ({"time": "2026-01-01"}, "time"),
        ({"time": "2026-02-30T00:00:00Z"}, "time"),
        ({"time": "2026-01-01T25:00:00Z"}, "time"),
        ({"time": "2026-01-01T00:00:00+99:00"}, "time"),
        ({"time": "0001-01-01T00:00:00+23:00"}, "time"),
        ({"time": "9999-12-31T23:59:60Z"}, "time"),
        ({"time": "２０２６-01-01T00:00:00Z"}, "time"),
        ({"Upper": "x"}, "Upper"),
        ({"under_score": "x"}, "under_score"),
        ({"x" * 21: "x"}, "x" * 21),
        ({"": "x"}, ""),
        ({"new\nline": "x"}, "'new\\nline'"),
        ({"extension": 1.5}, "extension"),
        ({"extension": {"a": 1}}, "extension"),
        ({"extension": 2**31}, "extension"),
        ({"extension": ""}, "extension"),
        ({"extension": "\x7f"}, "extension"),
        ({"correlationid": True}, "correlationid"),
        ({"correlationid": "x" * 256}, "correlationid"),
        ({"ferrishops": -1}, "ferrishops"),
        ({"ferrishops": "many"}, "ferrishops"),
        ({"ferrishops": True}, "ferrishops"),
        ({"ferrisservice": 1}, "ferrisservice"),
        ({"ferristrigger": "whim"}, "ferristrigger"),
        ({"data": 1, "data_base64": "AA=="}, "data_base64"),
        ({"data_base64": "!"}, "data_base64"),
        ({"data_base64": "é"}, "data_base64"),
        ({"data_base64": 1}, "data_base64"),
        ({"data_base64": "aGk=", "datacontenttype": "application/json"}, "data_base64"),
        ({"data": "a\x00b"}, "data"),
        ({"data": {"a\x00b": 1}}, "data"),
        ({"data": ["\udc00"]}, "data"),
        ({"data": 2**64}, "data"),
        ({"data": [-(2**63) - 1]}, "data"),
        ({"data": '{"a": NaN}'}, "data"),
        ({"data": '{"a": "\\u0000"}'}, "data"),
        ({"data": '{"a": ' + "[" * 70 + "]" * 70 + "}"}, "data"),
    ],
)
def test_refused_with_the_attribute(changes: dict[str, Any], attribute: str) -> None:
    error = problem_of(**changes)
    assert error.attribute == attribute
    assert error.problem.isprintable()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "line 1, column 1"),
        (b"{", "line 1"),
        (b'{\n"a": 1,}', "line 2"),
        (b"\xff", "UTF-8"),
        (b"[]", "a list"),
        (b"null", "null"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b"9" * 5000, "no JSON"),
        (b"[" * 100_000, "nested"),
        (b" " * (events.MAX_EVENT_BYTES + 1), "1048577 bytes"),
    ],
)
def test_bodies_that_are_no_event(body: bytes, says: str) -> None:
    with pytest.raises(EventError, match=re.escape(says)) as caught:
        events.parse(body, now=NOW)
    assert caught.value.attribute == "body"


def test_infinity_in_disguise() -> None:
    body = json.dumps({**BASE, "data": 7}).replace("7", "1e999").encode()
    with pytest.raises(EventError, match="finite"):
        events.parse(body, now=NOW)


def test_depth_has_a_limit() -> None:
    def nested(levels: int) -> object:
        value: object = 1
        for _ in range(levels):
            value = [value]
        return value

    assert parse(data=nested(63)).data == nested(63)
    assert problem_of(data=nested(64)).attribute == "data"


def test_integers_of_64_bits_are_kept() -> None:
    assert parse(data=[2**64 - 1, -(2**63)]).data == [2**64 - 1, -(2**63)]


# --- out, and back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [None, {"a": [1, 2.5, None, "ü\u2028"]}, "text", b"\x00\xff", b"", [], 0])
def test_encode_and_back(data: object) -> None:
    event = events.new("a.b", "src", data, now=NOW, subject="s", hops=2, service="svc", trigger="manual")
    assert events.from_record(events.encode(event), {}, now=NOW + timedelta(days=1)) == event


def test_our_json_is_the_packages_json() -> None:
    event = events.new("a.b", "src", {"k": "ü"}, now=NOW, correlation_id="ABCDEF1234", hops=1)
    theirs = JSONFormat().read(CloudEvent, events.encode(event))
    assert theirs.get_data() == {"k": "ü"}
    assert theirs.get_time() == NOW
    assert theirs.get_extension("correlationid") == "ABCDEF1234"
    assert theirs.get_extension("ferrishops") == 1
    assert (theirs.get_id(), theirs.get_source(), theirs.get_type()) == (event.id, "src", "a.b")


def test_the_packages_json_is_ours() -> None:
    theirs = CloudEvent({"id": "1", "source": "s", "type": "t", "time": NOW, "ext": "x"}, {"a": 1})
    event = events.parse(JSONFormat().write(theirs), now=NOW + timedelta(days=1))
    assert event == Event("1", "s", "t", NOW, data={"a": 1}, extensions={"ext": "x"})


def test_as_dict_is_what_the_format_says() -> None:
    event = events.new("a.b", "src", {"k": 1}, now=NOW, id="i")
    assert events.as_dict(event) == {
        "specversion": "1.0",
        "id": "i",
        "source": "src",
        "type": "a.b",
        "time": "2026-01-02T03:04:05.678901Z",
        "datacontenttype": "application/json",
        "data": {"k": 1},
    }
    assert events.as_dict(events.new("a", "b", b"\x00", now=NOW))["data_base64"] == "AA=="


@pytest.mark.parametrize(
    "data", [{1: 2}, {"a": object()}, float("nan"), {"a": {1, 2}}, "\ud800", ["\0"], 2**70]
)
def test_encode_refuses_what_no_log_can_hold(data: object) -> None:
    with pytest.raises(EventError) as caught:
        events.encode(events.new("a", "b", data, now=NOW))
    assert caught.value.attribute == "data"


def test_what_is_taken_fits_the_log() -> None:
    room = events.MAX_EVENT_BYTES - len(json.dumps({**BASE, "data": ""}))
    event = events.with_flow(parse(data="x" * room))
    assert events.from_record(events.encode(event), {}, now=NOW).data == event.data
    with pytest.raises(EventError, match="at most"):
        events.encode(events.new("a", "b", "x" * events.MAX_RECORD_BYTES, now=NOW))


@pytest.mark.parametrize(
    ("arguments", "attribute"),
    [
        ({"type": "", "source": "s"}, "type"),
        ({"type": "t", "source": ""}, "source"),
        ({"type": "t", "source": "s", "subject": "\n"}, "subject"),
        ({"type": "t", "source": "s", "hops": -1}, "ferrishops"),
        ({"type": "t", "source": "s", "trigger": "x"}, "ferristrigger"),
        ({"type": "t", "source": "s", "extensions": {"Bad": "x"}}, "Bad"),
    ],
)
def test_new_checks_attributes(arguments: dict[str, Any], attribute: str) -> None:
    with pytest.raises(EventError) as caught:
        events.new(**arguments, now=NOW)
    assert caught.value.attribute == attribute


def test_new_makes_ids_and_takes_extensions() -> None:
    first, second = (events.new("t", "s", now=NOW, extensions=[("a", 1)]) for _ in range(2))
    assert first.id != second.id
    assert uuid.UUID(first.id).version == 4
    assert first.extensions == {"a": 1}
    assert first.data is None
    assert first.datacontenttype is None


# --- identity and flows ----------------------------------------------------------------------------


def test_an_event_is_its_source_and_id() -> None:
    event = parse()
    assert event.key == parse(type="other", data=1, time="2020-01-01T00:00:00Z").key
    assert event.key != parse(id="2").key
    assert event.key != parse(source="s").key
    assert parse(source="ab", id="c").key != parse(source="a", id="bc").key


def test_what_the_platform_reads_from_an_event() -> None:
    event = parse()
    assert (event.flow_id, event.causation_id, event.hops, event.service, event.trigger) == (
        None, None, 0, None, "triggered",
    )  # fmt: skip
    event = parse(
        correlationid="mine", causationid="x", ferrishops="7", ferrisservice="svc", ferristrigger="scheduled"
    )
    assert (event.flow_id, event.causation_id, event.hops, event.service, event.trigger) == (
        "mine", "x", 7, "svc", "scheduled",
    )  # fmt: skip


@pytest.mark.parametrize("encode", [lambda data: data, json.dumps])
def test_published_clients_leave_correlation_in_the_data(encode: Any) -> None:
    data = {"_fxcid": "ABCDEF1234_07", "_fxparentexec": "parent", "_fxexec": "exec"}
    event = parse(data=encode(data))
    assert event.flow_id == "ABCDEF1234"
    assert event.causation_id == "parent"
    assert parse(data=encode({"_fxexec": "exec"})).causation_id == "exec"
    event = parse(data=encode(data), correlationid="wins", causationid="too")
    assert (event.flow_id, event.causation_id) == ("wins", "too")


@pytest.mark.parametrize("inner", [None, 7, "", "x" * 256, "a\nb", ["a"]])
def test_unusable_correlation_in_the_data_is_none(inner: object) -> None:
    assert parse(data={"_fxcid": inner}).flow_id is None


@pytest.mark.parametrize(
    ("correlation", "flow"),
    [
        ("ABCDEF1234_01", "ABCDEF1234"),
        ("ABCDEF1234_123", "ABCDEF1234"),
        ("ABCDEF1234_1", "ABCDEF1234_1"),
        ("abcdef1234_01", "abcdef1234_01"),
        ("order-17_01", "order-17_01"),
        ("ABCDEF12345_01", "ABCDEF12345_01"),
        ("ABCDEF1234", "ABCDEF1234"),
        ("ABCDEF1234_01\n", "ABCDEF1234_01\n"),
        ("ABCDEF1234_٠١", "ABCDEF1234_٠١"),
    ],
)
def test_flow_of(correlation: str, flow: str) -> None:
    assert events.flow_of(correlation) == flow


def test_flow_ids() -> None:
    made = {events.new_flow_id() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch("[A-Z0-9]{10}", flow) for flow in made)
    assert events.correlation_id("ABCDEF1234", 3) == "ABCDEF1234_03"
    assert events.flow_of(events.correlation_id("ABCDEF1234", 1234)) == "ABCDEF1234"


def test_on_the_log_the_correlation_is_the_flow() -> None:
    assert re.fullmatch("[A-Z0-9]{10}", str(events.with_flow(parse()).extensions["correlationid"]))
    assert events.with_flow(parse(correlationid="ABCDEF1234_02")).extensions == {
        "correlationid": "ABCDEF1234"
    }
    event = events.with_flow(parse(data={"_fxcid": "x"}, a="b"))
    assert event.extensions == {"a": "b", "correlationid": "x"}
    settled = parse(correlationid="mine")
    assert events.with_flow(settled) is settled


@pytest.mark.parametrize(
    ("event_type", "reserved"),
    [
        (events.RUN_REQUESTED, True),
        (events.SCHEDULE_DUE, True),
        ("ferris.step.started", True),
        ("ferris.events.webhook.incoming", False),
        ("ferris.apps.modules.minio.file_uploaded", False),
        ("ferris.executions", False),
        ("my.ferris.step.x", False),
    ],
)
def test_reserved_types(event_type: str, reserved: bool) -> None:
    assert events.is_reserved(event_type) is reserved


@pytest.mark.parametrize(
    "data",
    ['"a\\u0000"', '["\\ud800"]', f'{{"n": {2**64}}}', str(-(2**63) - 1), "[1e400]", "1E+999", "[" * 70 + "]" * 70],
)  # fmt: skip
def test_what_no_database_can_hold_is_refused_from_the_log_as_well(data: str) -> None:
    body = f'{{"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {data}}}'.encode()
    assert not is_harmless(body)
    with pytest.raises(EventError, match="data"):
        events.from_record(body, {}, now=NOW)
    assert is_harmless(body.replace(data.encode(), b'{"n": [1, 2.5e10, "3e12"]}'))
