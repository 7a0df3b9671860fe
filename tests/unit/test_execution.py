from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ferris.execution import (
    ExecutionOrder,
    content_digest,
    execution_id,
    params_of,
    script_argument,
    script_environment,
    sent_event_id,
)
from ferris.retry import Retry

ORDER = ExecutionOrder(
    execution_id="8b1d7a7e-6f36-4a52-bb5c-0b9f1f0f3a11",
    attempt=2,
    lease_seconds=15.0,
    token="bearer-of-this-execution",
    service="alert",
    service_id="5d0a",
    project="quakes",
    digest="abc",
    scripts=("a.py", "b.sql"),
    timeout=1.5,
    python="3.12",
    requirements="requests",
    retry=Retry(attempts=3),
    params={"mag": 5, "package_name": "forged", "_fxexec": "sender", "secrets": "forged"},
    secrets={"KEY": {"user": "x"}},
    config={"a": 1},
    event_id="e1",
    event_type="quakes.detected",
    flow_id="ABCDEF1234",
    correlation_id="ABCDEF1234_02",
    parent_execution="parent",
    hops=4,
    trigger_type="triggered",
)


def test_order_through_json() -> None:
    assert ExecutionOrder.from_json(json.loads(json.dumps(ORDER.to_json()))) == ORDER
    assert ExecutionOrder.from_json({**ORDER.to_json(), "of_a_newer_platform": 1}) == ORDER


def test_an_order_shows_neither_secrets_nor_token() -> None:
    text = repr(ORDER)
    assert "KEY" not in text
    assert "bearer" not in text


def test_script_argument_holds_the_contract_and_ours_win() -> None:
    assert json.loads(script_argument(ORDER)) == {
        "mag": 5,
        "package_name": "alert",
        "package_id": "5d0a",
        "secrets": {"KEY": {"user": "x"}},
        "_fxcid": "ABCDEF1234_02",
        "_fxexec": ORDER.execution_id,
        "_fxparentexec": "parent",
        "origin_event_type": "quakes.detected",
    }
    assert json.loads(script_argument(replace(ORDER, parent_execution=None)))["_fxparentexec"] is None


def test_script_environment_points_at_the_relay() -> None:
    environment = script_environment(ORDER, relay_host="127.0.0.1", relay_port=4711, channel="/tmp/x.sock")
    assert environment == {
        "CONSUL_HOST": "127.0.0.1",
        "CONSUL_PORT": "4711",
        "CONSUL_SCHEME": "http",
        "DEFAULT_CONFIG": "ferris.env",
        "APP_NAME": "alert",
        "KAFKA_PROTOCOL": "PLAINTEXT",
        "SECRETS_API_URL": "http://127.0.0.1:4711/secrets/",
        "SERVICES_API_URL": "http://127.0.0.1:4711/services/",
        "FERRIS_CHANNEL": "/tmp/x.sock",
    }
    assert "FERRIS_CHANNEL" not in script_environment(ORDER, relay_host="h", relay_port=1)


def test_params_of() -> None:
    assert params_of(None) == {}
    assert params_of({"a": 1}) == {"a": 1}
    assert params_of([1]) == {"data": [1]}
    assert params_of("x") == {"data": "x"}


def test_one_execution_per_event_and_service() -> None:
    event, other = uuid.uuid4(), uuid.uuid4()
    assert execution_id(event, "s") == execution_id(event, "s")
    assert len({execution_id(event, "s"), execution_id(event, "t"), execution_id(other, "s")}) == 3


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_content_digest_ignores_the_order_of_keys(data: dict[str, Any]) -> None:
    turned = dict(reversed(data.items()))
    assert content_digest("t", "s", None, data) == content_digest("t", "s", None, turned)


def test_content_digest_tells_contents_apart() -> None:
    digests = {
        content_digest("t", "s", None, {"a": 1}),
        content_digest("t", "s", None, {"a": "1"}),
        content_digest("t", "s", "x", {"a": 1}),
        content_digest("t", "x", None, {"a": 1}),
        content_digest("x", "s", None, {"a": 1}),
        content_digest("t", "s", None, {"a": 1}, "topic"),
    }
    assert len(digests) == 6


def test_a_run_again_sends_the_same_events() -> None:
    digest = content_digest("t", "s", None, {})
    first = [sent_event_id("execution", digest, n) for n in range(3)]
    assert first == [sent_event_id("execution", digest, n) for n in range(3)]
    assert len({*first, sent_event_id("another", digest, 0)}) == 4
