"""From a request to an event: type, id, data."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ferris.errors import EventError
from ferris.signatures import Check, WrongSetting
from ferris.webhooks import DEFAULT_TYPE, Shape, data_of, masked

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def shape(kind: str = "github", **given: Any) -> Shape:
    settings = {"event_type": DEFAULT_TYPE, "type_from": "", "id_from": "", "headers": {}, **given}
    return Shape.parse("ferris/webhook/x", Check.parse(kind, {}), **settings)


def test_type_and_id_come_from_the_provider() -> None:
    made = shape(event_type="github", type_from="header:X-GitHub-Event", headers={"X-Tenant": "data.tenant"})
    headers = {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": "72d3162e-cc78",
        "x-tenant": "blue",
    }
    event = made.event(headers, b'{"ref": "main"}', now=NOW)
    assert (event.type, event.id, event.source) == ("github.push", "72d3162e-cc78", "ferris/webhook/x")
    assert event.data == {"ref": "main", "tenant": "blue"}
    again = made.event(headers, b'{"ref": "main"}', now=NOW)
    assert again.key == event.key


def test_by_default_the_type_of_the_contract_and_a_new_id() -> None:
    made = shape("token")
    one, two = (made.event({"content-type": "application/json"}, b"{}", now=NOW) for _ in range(2))
    assert one.type == "ferris.events.webhook.incoming"
    assert one.key != two.key
    by_digest = shape("token", id_from="digest")
    one, two = (by_digest.event({}, b'{"a": 1}', now=NOW) for _ in range(2))
    assert one.key == two.key


def test_from_a_field_of_the_body() -> None:
    made = shape("stripe", event_type="stripe", type_from="field:type", headers={"X-R": "region"})
    event = made.event({"x-r": "eu"}, b'{"id": "evt_1", "type": "charge.failed"}', now=NOW)
    assert (event.type, event.id, event.extensions["region"]) == ("stripe.charge.failed", "evt_1", "eu")
    with pytest.raises(EventError, match="field:type"):
        made.event({}, b'{"id": "evt_1"}', now=NOW)
    with pytest.raises(EventError, match="field:id"):
        made.event({}, b'{"id": {}, "type": "x"}', now=NOW)


@pytest.mark.parametrize(
    ("content_type", "body", "data"),
    [
        ("application/json", b'{"a": [1]}', {"a": [1]}),
        ("application/vnd.x+json; charset=utf-8", b"[1]", [1]),
        ("", b'{"a": 1}', {"a": 1}),
        ("", b"hello", {"text": "hello"}),
        ("text/plain", b'{"a": 1}', {"text": '{"a": 1}'}),
        ("text/plain", b"\xff", {"base64": "/w=="}),
        ("application/octet-stream", b"abc", {"base64": "YWJj"}),
        ("application/x-www-form-urlencoded", b"a=1&b=x+y&a=2", {"a": ["1", "2"], "b": "x y"}),
        ("application/x-www-form-urlencoded", b"payload=%7B%22ref%22%3A1%7D", {"ref": 1}),
    ],
)
def test_a_body_becomes_data(content_type: str, body: bytes, data: Any) -> None:
    assert data_of(content_type, body) == data


@pytest.mark.parametrize("body", [b"{", b'{"a": NaN}', b"\xff", b"", b"[" * 10_000])
def test_json_that_is_none(body: bytes) -> None:
    with pytest.raises(EventError):
        data_of("application/json", body)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"event_type": "a b"}, "event_type"),
        ({"event_type": "ferris.execution"}, "reserved"),
        ({"event_type": "ferris.step.x"}, "reserved"),
        ({"type_from": "X-GitHub-Event"}, "expected header:NAME"),
        ({"id_from": "field:"}, "expected header:NAME"),
        ({"id_from": "header:X-Hub-Signature-256"}, "proves the sender"),
        ({"headers": {"Authorization": "auth"}}, "proves the sender"),
        ({"headers": {"X-A": "Upper"}}, "expected an extension"),
        ({"headers": {"X-A": "source"}}, "may not be set"),
        ({"headers": {"X-A": "ferrishops"}, "forbidden": ("ferrishops",)}, "may not be set"),
        ({"headers": ["X-A"]}, "is no object"),
    ],
)
def test_settings_that_are_none(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(WrongSetting, match=problem):
        shape(**given)


def test_a_sample_has_what_is_asked_for() -> None:
    check = Check.parse("stripe", {})
    made = shape("stripe", type_from="field:data.kind", id_from="field:data.id")
    headers, body = made.sample("s1", check)
    assert body["data"] == {"kind": "test", "id": "s1"}
    assert headers == {"Content-Type": "application/json"}


def test_members_that_are_secret_are_hidden() -> None:
    said = {"password": "x", "user": {"api_key": "y", "name": "z"}, "tokens": [{"access_token": "t"}], "n": 1}
    shown = str(masked(said))
    assert "'z'" in shown
    assert not any(f"'{text}'" in shown for text in "xyt")
