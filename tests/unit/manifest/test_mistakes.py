"""Mistakes of a manifest: each named by its key, all at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ferris.content import load
from ferris.documents import _syntax
from ferris.errors import EventError
from ferris.json_text import JsonProblem, read_json
from ferris.manifest import parse_service
from tests.unit.manifest.parsing import parse, text_of, told

BAD = {"data": {"a": []}}


@pytest.mark.parametrize(
    ("manifest", "key"),
    [
        ({"description": 7}, "description"),
        ({"entrypoint": "mian.py"}, "entrypoint"),
        ({"entrypoint": ["main.py"]}, "entrypoint"),
        ({"entrypoint": "../main.py"}, "entrypoint"),
        ({"entrypoint": "/etc/passwd.py"}, "entrypoint"),
        ({"entrypoint": "manifest.json"}, "entrypoint"),
        ({"execution_order": ["main.py", "gone.py"]}, "execution_order[1]"),
        ({"execution_order": {"1": "main.py"}}, "execution_order"),
        ({"execution_order": [1]}, "execution_order[0]"),
        ({"tags": 5}, "tags"),
        ({"tags": ["a", ""]}, "tags[1]"),
        ({"trigger_events": 5}, "trigger_events"),
        ({"trigger_events": ["a", 5]}, "trigger_events[1]"),
        ({"trigger_events": [""]}, "trigger_events[0]"),
        ({"trigger_events": ["a.*.b"]}, "trigger_events[0]"),
        ({"trigger_events": ["x" * 600]}, "trigger_events[0]"),
        ({"trigger_events": [{"filter": {}}]}, "trigger_events[0].event_type"),
        ({"trigger_events": [{"type": 5}]}, "trigger_events[0].type"),
        ({"trigger_events": ["a", {"event_type": "b", "filter": BAD}]}, "trigger_events[1].filter.data.a"),
        ({"trigger_events": [{"event_type": "b", "filter": []}]}, "trigger_events[0].filter"),
        ({"trigger_events": [{"event_type": "b", "cesql": "a ="}]}, "trigger_events[0].cesql"),
        ({"trigger_events": [{"event_type": "b", "cesql": 5}]}, "trigger_events[0].cesql"),
        ({"trigger_events": [{"event_type": "b", "cesql": "LENGTH(id)"}]}, "trigger_events[0].cesql"),
        ({"trigger_events": [{"event_type": "b", "cesql": "true", "filter": {}}]}, "trigger_events[0].cesql"),
        ({"output_events": ["a.*"]}, "output_events[0]"),
        ({"output_events": [{}]}, "output_events[0]"),
        ({"schedule": "61 * * * *"}, "schedule"),
        ({"schedule": 5}, "schedule"),
        ({"schedule": {"cron": 5}}, "schedule.cron"),
        ({"schedule": {"timezone": "UTC"}}, "schedule.cron"),
        ({"schedule": {"cron": "@daily", "timezone": "Mars"}}, "schedule.cron"),
        ({"priority": 0}, "priority"),
        ({"priority": "11"}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"priority": 2.5}, "priority"),
        ({"priority": True}, "priority"),
        ({"active": "maybe"}, "active"),
        ({"active": 2}, "active"),
        ({"allow_manual_triggering": []}, "allow_manual_triggering"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "-5"}, "timeout"),
        ({"timeout": "5 parsecs"}, "timeout"),
        ({"timeout": "31d"}, "timeout"),
        ({"timeout": 10**15}, "timeout"),
        ({"retry": "often"}, "retry"),
        ({"retry": True}, "retry"),
        ({"retry": 0}, "retry"),
        ({"retry": {"attempts": 101}}, "retry.attempts"),
        ({"retry": {"delay": "x"}}, "retry.delay"),
        ({"retry": {"backoff": 0.5}}, "retry.backoff"),
        ({"retry": {"delay": 10, "max_delay": 5}}, "retry.max_delay"),
        ({"retry": {"on_lost": "x"}}, "retry.on_lost"),
        ({"retry": {"cron": 5}}, "retry.cron"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": "many"}, "concurrency"),
        ({"concurrency": {"limit": 0}}, "concurrency.limit"),
        ({"concurrency": {"limit": 2, "key": "data customer"}}, "concurrency.key"),
        ({"concurrency": {"limit": 2, "on_limit": "drop"}}, "concurrency.on_limit"),
        ({"concurrency": 2, "singleton": True}, "singleton"),
        ({"singleton": "x"}, "singleton"),
        ({"rate": 5}, "rate"),
        ({"rate": {"limit": 5}}, "rate.per"),
        ({"rate": {"per": "1m"}}, "rate.limit"),
        ({"rate": {"limit": 5, "per": "never"}}, "rate.per"),
        ({"retry": {"cron": "0 25 * * *"}}, "retry.cron"),
        ({"retry": {"cron": "@daily", "timezone": "Mars/Base"}}, "retry.cron"),
        ({"retry": {"cron": "@daily", "delay": 5}}, "retry.delay"),
        ({"retry": {"on": ["timeuot"]}}, "retry.on[0]"),
        ({"retry": {"on": ["timeout", {"exit_code": 0}]}}, "retry.on[1]"),
        ({"retry": {"on": [{"exit_code": 2, "signal": "SIGKILL"}]}}, "retry.on[0]"),
        ({"retry": {"except": [{"error": ""}]}}, "retry.except[0]"),
        ({"retry": {"except": [["timeout"]]}}, "retry.except[0]"),
        ({"python": 3.12}, "python"),
        ({"python": "2.7"}, "python"),
    ],
)
def test_a_mistake_names_its_key_and_keeps_the_service_out(manifest: dict[str, Any], key: str) -> None:
    parsed = parse(**manifest)
    assert told(parsed, "error") == [("manifest.json", key)]
    assert parsed.manifest is None
    (message,) = [message for message in parsed.messages if message.level == "error"]
    assert "expected" in message.text or "names" in message.text


def test_all_mistakes_are_told_at_once() -> None:
    parsed = parse(priority=0, timeout="x", schedule="y", trigger_events=["a**"])
    assert {key for _, key in told(parsed, "error")} == {
        "priority",
        "timeout",
        "schedule",
        "trigger_events[0]",
    }


def test_near_misses() -> None:
    parsed = parse(entrypoint="mian.py", triggerEvents=["a"], retry={"attempt": 3})
    assert "did you mean main.py?" in text_of(parsed, "entrypoint")
    assert "did you mean trigger_events?" in text_of(parsed, "triggerEvents")
    assert "did you mean attempts?" in text_of(parsed, "retry.attempt")
    assert "did you mean" not in text_of(parse(qwertz=1), "qwertz")


@pytest.mark.parametrize(
    ("manifest", "key"),
    [
        ({"colour": "red"}, "colour"),
        ({"concurrency": {"limit": 1, "keys": "data.a"}}, "concurrency.keys"),
        ({"schedule": {"cron": "@daily", "zone": "x"}}, "schedule.zone"),
        ({"trigger_events": ["a", "a"]}, "trigger_events[1]"),
        ({"trigger_events": "a"}, "trigger_events"),
        ({"trigger_events": {"type": "a"}}, "trigger_events"),
        ({"trigger_events": [{"type": "a", "filters": {}}]}, "trigger_events[0].filters"),
        ({"trigger_events": [{"type": "a", "filter": {"mag": [5]}}]}, "trigger_events[0].filter.mag"),
        ({"tags": "one"}, "tags"),
    ],
)
def test_warnings_do_not_block(manifest: dict[str, Any], key: str) -> None:
    parsed = parse(**manifest)
    assert told(parsed, "warning") == [("manifest.json", key)]
    assert parsed.manifest is not None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{\n  "priority": 5,\n}', "a comma before the closing } at line 2, column 16"),
        ('{"tags": ["a",\n ]}', "a comma before the closing ] at line 1, column 14"),
        ('{"a": 1\n "b": 2}', "line 2, column 2"),
        ("{'a': 1}", "single quote at line 1, column 2"),
        ('{\n// note\n"a": 1}', "comment at line 2, column 1"),
        ("", "empty"),
        ("  \n", "empty"),
        ("[]", "a list; expected a JSON object"),
        ("null", "null; expected a JSON object"),
        ('{"timeout": NaN}', "NaN"),
        ('{"timeout": 1e999}', "finite"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON"),
        ('{"a": "\\u0000"}', "NUL"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a": ' + "[" * 80 + "]" * 80 + "}", "nested"),
        ("[" * 100_000, "nested"),
        (b'{"a": "\xff"}', "line 1, byte 7"),
        ("{}".encode("utf-16"), "UTF-16"),
        (b" " * (1024 * 1024 + 1), "at most 1048576"),
    ],
)
@pytest.mark.parametrize(
    "file", ["manifest.json", "config.json", "secrets.json", "parameters.json", "metadata.json"]
)
def test_broken_documents(file: str, content: str | bytes, says: str) -> None:
    parsed = parse({file: content})
    assert told(parsed, "error") == [(file, "")]
    assert says in parsed.messages[0].text
    assert parsed.manifest is None


@pytest.mark.parametrize("position", [15, 17], ids=["as Python 3.13 says it", "as older ones do"])
def test_a_trailing_comma_is_shown_where_it_is(position: int) -> None:
    text = '{\n"priority": 5,\n}'
    message = _syntax(text, json.JSONDecodeError("any words", text, position))
    assert message == "is not JSON: a comma before the closing } at line 2, column 14; remove it"


def test_a_byte_order_mark_is_dropped() -> None:
    parsed = parse(
        {"manifest.json": b'\xef\xbb\xbf{"priority": 1}', "requirements.txt": b"\xef\xbb\xbfrequests\n"}
    )
    assert parsed.manifest is not None
    assert (parsed.manifest.priority, parsed.requirements) == (1, "requests\n")


def test_a_key_twice() -> None:
    parsed = parse({"manifest.json": '{"priority": 1, "priority": 2}'})
    assert told(parsed, "warning") == [("manifest.json", "priority")]
    assert parsed.manifest is not None
    assert parsed.manifest.priority == 2


@pytest.mark.parametrize("broken", ['{"a": "tab\tin it"}', '{"a": "no end', '{"a": "\\q"}', "{1}", "[1] 2"])
def test_where_it_is_broken_is_said_once(broken: str) -> None:
    with pytest.raises(EventError) as from_event:
        load(broken.encode(), "data")
    with pytest.raises(JsonProblem) as from_person:
        read_json(broken)
    [told] = [one.text for one in parse_service({"manifest.json": broken.encode()}).messages]
    for text in (str(from_event.value), told):
        assert " at line 1" in text
        assert " at at " not in text
    assert not from_person.value.problem.endswith((" at", " starting"))
