"""Where subscriptions may lead, what is sent, and when it is tried again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from ferris import events, pushing
from ferris.config import Settings
from ferris.errors import ConfigError
from ferris.public_addresses import networks, refusal
from ferris.pushing import SubscriptionError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

CLOSED = [
    *("127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "169.254.0.1", "100.64.0.1", "100.127.255.255", "100.100.100.200", "224.0.0.1"),
    *("239.255.255.250", "255.255.255.255", "240.0.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "168.63.129.16", "192.88.99.1", "::1", "::", "fe80::1", "fe80::1%eth0"),
    *("fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "2001:db8::1", "::ffff:127.0.0.1"),
    *("::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::1", "2002:7f00:1::", "2001:0:7f00:1::", "100::1", "no address", ""),
]


@pytest.mark.parametrize("address", CLOSED)
def test_no_connection_into_the_own_network(address: str) -> None:
    assert refusal(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "100.128.0.1"]
)
def test_public_addresses_are_free(address: str) -> None:
    assert refusal(address) == ""


def test_an_administrator_allows_networks() -> None:
    allowed = networks(["10.1.0.0/16", "::1", "127.0.0.1"])
    assert (
        refusal("10.1.2.3", allowed) == refusal("::ffff:10.1.2.3", allowed) == refusal("::1", allowed) == ""
    )
    assert refusal("10.2.0.1", allowed)
    assert refusal("127.0.0.2", allowed)


def test_the_setting_names_what_is_no_network(tmp_path) -> None:
    environ = {"FERRIS_HOME": str(tmp_path), "FERRIS_ALLOW_PRIVATE": "10.0.0.0/8, fd00::/8"}
    assert [str(n) for n in Settings.from_env(environ).allow_private] == ["10.0.0.0/8", "fd00::/8"]
    for wrong in ("10.0.0.1/8", "local", "10.0.0.0/8,*"):
        with pytest.raises(ConfigError, match="FERRIS_ALLOW_PRIVATE"):
            Settings.from_env({**environ, "FERRIS_ALLOW_PRIVATE": wrong})


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "no URL"),
        ("ftp://example.org/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("https://ada:secret@example.org/", "secret header"),
        ("https://example.org/#a", "fragment"),
        ("https:///path", "no host"),
        ("https://example.org:0/", "no host"),
        ("https://example.org:99999/", "no URL"),
        ("https://exa mple.org/", "space"),
        ("https://example.org\\@10.0.0.1/", "backslash"),
        ("https://example.org/\r\nX: y", "no URL"),
        ("https://exämple.org/", "no URL"),
        ("https://[::1", "no URL"),
        ("https://" + "a" * 2000, "no URL"),
    ],
)
def test_a_url_that_cannot_be(url: str, said: str) -> None:
    with pytest.raises(SubscriptionError, match=said) as error:
        pushing.target(url)
    assert error.value.name == "url"
    assert "secret@" not in str(error.value)


def test_a_url_is_taken_apart_and_shown_without_its_path() -> None:
    target = pushing.target("https://Example.org:8443/hooks/T0K3N?key=abc")
    assert (target.host, target.port, target.path) == ("example.org", 8443, "/hooks/T0K3N?key=abc")
    assert target.shown == "https://example.org:8443"
    assert pushing.target("http://[::1]/").shown == "http://[::1]"
    assert pushing.target("http://127.0.0.1").path == "/"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "a"},
        {"webhook-id": "a"},
        {"ce-id": "a"},
        {"X Y": "a"},
        {"X": "a\nb"},
        {"X": ""},
        {"X": 1},
        [],
    ],
)
def test_headers_that_cannot_be(headers) -> None:
    with pytest.raises(SubscriptionError):
        pushing.check_headers("headers", headers)


def test_what_is_wanted_is_checked_like_a_manifest() -> None:
    pushing.check_wanted("shop.*", {"data": {"n": [{"numeric": [">", 1]}]}}, None)
    pushing.check_wanted("*", None, "type LIKE 'shop.%'")
    for type, filter, cesql, field in (
        ("a*", None, None, "event_type"),
        ("a", {"data": {"n": [{"nonsense": 1}]}}, None, "filter"),
        ("a", None, "type LIKE", "cesql"),
        ("a", {}, "TRUE", "cesql"),
    ):
        with pytest.raises(SubscriptionError) as error:
            pushing.check_wanted(type, filter, cesql)
        assert error.value.name == field


def test_structured_is_the_event_itself() -> None:
    event = events.new("shop.order", "/shop", {"n": 1}, now=NOW, id="1", subject="é")
    headers, body = pushing.message(event, pushing.STRUCTURED)
    assert headers["Content-Type"].startswith("application/cloudevents+json")
    assert events.parse(body, now=NOW) == event


def test_binary_reads_back_as_the_same_event() -> None:
    for data, kind in (
        ({"n": 1}, None),
        (b"\x00\xff", "application/octet-stream"),
        ("plain ü", "text/plain"),
        (None, None),
        ([1], None),
    ):
        event = events.new(
            "shop.order", "/shop", data, now=NOW, id='1 % "ü"', extensions={"flag": True, "count": 3}
        )
        if kind:
            event = events.Event(
                **{**{f: getattr(event, f) for f in event.__slots__}, "datacontenttype": kind}
            )
        headers, body = pushing.message(event, pushing.BINARY)
        assert all(value.isascii() and value.isprintable() for value in headers.values())
        [back] = events.parse_http(headers, body, now=NOW)
        assert (back.id, back.type, back.data, back.time) == (event.id, event.type, event.data, event.time)


def test_two_secrets_sign_side_by_side() -> None:
    keys = [bytes([n]) * 32 for n in (1, 2)]
    secrets = ["whsec_" + base64.b64encode(key).decode() for key in keys]
    made = pushing.signed(secrets, b"{}", id="msg_1", now=NOW)
    content = f"msg_1.{int(NOW.timestamp())}.".encode() + b"{}"
    wanted = [
        "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in keys
    ]
    assert made["webhook-signature"] == " ".join(wanted)
    assert (made["webhook-id"], made["webhook-timestamp"]) == ("msg_1", str(int(NOW.timestamp())))


def test_the_schedule_is_that_of_standard_webhooks() -> None:
    waits = [(pushing.next_attempt(n, NOW, 0) - NOW).total_seconds() for n in range(1, 10)]
    assert waits == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert pushing.next_attempt(10, NOW, 0) is None
    assert pushing.next_attempt(1, NOW, 1) == NOW + timedelta(seconds=6)
    assert pushing.next_attempt(1, NOW, 0, retry_after=60) == NOW + timedelta(seconds=60)
    assert pushing.next_attempt(1, NOW, 0, retry_after=1e9) == NOW + timedelta(days=1)


def test_one_event_is_one_message_to_a_subscription() -> None:
    one, two, event = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    assert (
        pushing.delivery_id(one, event) == pushing.delivery_id(one, event) != pushing.delivery_id(two, event)
    )
    assert pushing.message_id(one) == f"msg_{one.hex}"
