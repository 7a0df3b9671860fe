"""A service's folder: what is understood, and the message for every mistake."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferris.documents import _syntax
from ferris.limits import Concurrency, Limits, Rate
from ferris.manifest import Manifest, Parameter, Parsed, Retry, Schedule, TriggerSpec, parse_service
from ferris.retry import Rule


def parse(files: dict[str, Any] | None = None, **manifest: Any) -> Parsed:
    """A folder with main.py and this manifest; contents that are no bytes or text are written as JSON."""
    contents: dict[str, Any] = {"main.py": "print(1)\n", "manifest.json": manifest, **(files or {})}
    return parse_service(
        {name: as_bytes(content) for name, content in contents.items() if content is not None}
    )


def as_bytes(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def good(files: dict[str, Any] | None = None, **manifest: Any) -> Manifest:
    parsed = parse(files, **manifest)
    assert parsed.manifest is not None, parsed.messages
    return parsed.manifest


def told(parsed: Parsed, level: str) -> list[tuple[str, str]]:
    assert all(message.text and str(message) for message in parsed.messages)
    return [(message.file, message.key) for message in parsed.messages if message.level == level]


# --- what is understood ----------------------------------------------------------------------------


def test_defaults() -> None:
    manifest = Manifest(scripts=("main.py",))
    assert good() == manifest
    assert (manifest.priority, manifest.active, manifest.allow_manual_triggering) == (5, True, True)
    parsed = parse({"manifest.json": None})
    assert parsed.manifest == manifest
    assert told(parsed, "info") == [("manifest.json", "")]
    assert parse().messages == ()


def test_everything_at_once() -> None:
    filter = {"data": {"mag": [{"numeric": [">=", 4.5]}]}}
    manifest = good(
        {"load.sql": "select 1"},
        description="Loads.",
        execution_order=["load.sql", "main.py", "load.sql"],
        tags=["a", "b", "a"],
        trigger_events=[
            "quakes.*",
            {"event_type": "x.y", "filter": filter},
            {"type": "z", "cesql": "EXISTS a"},
            "*",
        ],
        output_events=["quakes.loaded"],
        schedule={"cron": "0 6 * * mon-fri", "timezone": "Europe/Berlin"},
        priority="3",
        allow_manual_triggering=False,
        active="no",
        timeout="5m",
        retry={"attempts": "3", "delay": "30s", "backoff": 1.5, "max_delay": "1h", "on_lost": True},
        python="3.12",
    )
    assert manifest == Manifest(
        description="Loads.",
        scripts=("load.sql", "main.py", "load.sql"),
        tags=("a", "b"),
        triggers=(
            TriggerSpec("quakes.*"),
            TriggerSpec("x.y", filter),
            TriggerSpec("z", cesql="EXISTS a"),
            TriggerSpec("*"),
        ),
        output_events=("quakes.loaded",),
        schedule=Schedule("0 6 * * mon-fri", "Europe/Berlin"),
        priority=3,
        allow_manual_triggering=False,
        active=False,
        timeout=300.0,
        retry=Retry(attempts=3, delay=30, backoff=1.5, max_delay=3600, on_lost=True),
        python="3.12",
        connections=None,
    )
    plain = json.loads(json.dumps(dataclasses.asdict(manifest)))
    assert Manifest.from_json(plain) == manifest
    assert Manifest.from_json({}) == Manifest()


@pytest.mark.parametrize(
    ("given_value", "seconds"),
    [
        (5, 5),
        ("5", 5),
        (0.5, 0.5),
        ("250ms", 0.25),
        ("30s", 30),
        ("5 m", 300),
        ("2H", 7200),
        ("1d", 86400),
        (None, None),
    ],
)
def test_durations(given_value: object, seconds: float | None) -> None:
    assert good(timeout=given_value).timeout == seconds


@pytest.mark.parametrize(("value", "attempts"), [(3, 3), ("4", 4), ({"attempts": 2}, 2), ({}, 1)])
def test_retry_in_short(value: object, attempts: int) -> None:
    assert good(retry=value).retry == Retry(attempts=attempts)


def test_a_long_delay_lifts_the_default_limit() -> None:
    assert good(retry={"attempts": 2, "delay": "2h"}).retry.max_delay == 7200


def test_retry_by_cron_and_by_rules() -> None:
    retry = good(
        retry={
            "attempts": 3,
            "cron": "0  * * * *",
            "on": ["timeout", "script_failed", {"exit_code": [2, "75"]}, {"error": "ConnectionError*"}],
            "except": {"signal": "sigsegv"},
        }
    ).retry
    assert retry == Retry(
        attempts=3,
        cron="0 * * * *",
        only_on=(
            Rule("reason", ("timeout", "script_failed")),
            Rule("exit_code", (2, 75)),
            Rule("error", ("ConnectionError*",)),
        ),
        never_on=(Rule("signal", ("SIGSEGV",)),),
    )


def test_limits() -> None:
    assert good(concurrency="3").limits == Limits(Concurrency(3))
    assert good(singleton=True).limits == Limits(Concurrency(1))
    assert good(singleton=False).limits == Limits()
    keyed = good(
        concurrency={"limit": 2, "key": "data.customer", "on_limit": "skip"},
        rate={"limit": "100", "per": "1m", "key": "subject"},
    )
    assert keyed.limits == Limits(Concurrency(2, "data.customer", "skip"), Rate(100, 60.0, "subject"))
    assert Manifest.from_json(json.loads(json.dumps(dataclasses.asdict(keyed)))) == keyed


def test_a_lost_executor_is_named_like_any_other_failure() -> None:
    assert good(retry={"attempts": 2, "on": ["executor_lost"]}).retry.on_lost
    assert not good(retry={"attempts": 2, "on_lost": True, "except": ["executor_lost"]}).retry.on_lost


@pytest.mark.parametrize("schedule", ["@daily", "*/5 * * * *", "30 14 31 12", " 0  6 * *  * "])
def test_schedules(schedule: str) -> None:
    assert good(schedule=schedule).schedule == Schedule(" ".join(schedule.split()))


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_schedule(nothing: object) -> None:
    assert good(schedule=nothing).schedule is None


def test_the_entrypoint_wins() -> None:
    parsed = parse({"b.py": "1"}, entrypoint="./b.py", execution_order=["main.py"])
    assert parsed.manifest is not None
    assert parsed.manifest.scripts == ("b.py",)
    assert told(parsed, "info") == [("manifest.json", "execution_order")]


def test_scripts_in_sub_folders_only_by_name() -> None:
    assert good({"lib/run.py": "print()"}).scripts == ("main.py",)
    assert good({"lib/run.py": "print()"}, entrypoint="lib/run.py").scripts == ("lib/run.py",)


# --- mistakes --------------------------------------------------------------------------------------

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


def text_of(parsed: Parsed, key: str) -> str:
    return next(message.text for message in parsed.messages if message.key == key)


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


# --- JSON as people write it -----------------------------------------------------------------------


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


# --- the other files -------------------------------------------------------------------------------


def test_config_secrets_requirements_readme() -> None:
    parsed = parse(
        {
            "config.json": {"a": [1]},
            "secrets.json": {"KEY": {"user": "x"}, "N": 5},
            "requirements.txt": "requests==2\n",
            "readme.MD": "# Hi\r\n",
        }
    )
    assert parsed.manifest is not None
    assert parsed.config == {"a": [1]}
    assert parsed.secrets == {"KEY": {"user": "x"}, "N": 5}
    assert parsed.requirements == "requests==2\n"
    assert parsed.readme == "# Hi\r\n"
    assert "KEY" not in repr(parsed)
    bare = parse({"requirements.txt": " \n"})
    assert (bare.config, bare.secrets, bare.requirements, bare.readme) == (None, None, None, None)


@pytest.mark.parametrize(
    "content",
    ['{"KEY": "hush-hush",}', '["hush-hush"]', '{"KEY": "hush-hush", "KEY": "hush-hush"}',
     '{"KEY": ["hush-hush", "\\u0000"]}', '{"": "hush-hush"}', '{"KEY": hush-hush}'],
)  # fmt: skip
def test_no_message_shows_a_secret(content: str) -> None:
    parsed = parse({"secrets.json": content})
    assert parsed.messages
    assert "hush" not in repr(parsed)
    assert "hush" not in " ".join(map(str, parsed.messages))


def test_wrong_requirements_and_readme() -> None:
    parsed = parse({"requirements.txt": b"\xff"})
    assert told(parsed, "error") == [("requirements.txt", "")]
    assert told(parse({"requirements.txt": "a\0"}), "error") == [("requirements.txt", "")]
    parsed = parse({"README.md": b"hi \xff\0"})
    assert told(parsed, "warning") == [("README.md", "")]
    assert parsed.readme == "hi \ufffd\ufffd"
    assert parsed.manifest is not None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Manifest.json", "manifest.json"),
        ("secret.json", "secrets.json"),
        ("Secrets.JSON", "secrets.json"),
        ("parameter.json", "parameters.json"),
        ("requirement.txt", "requirements.txt"),
        ("configs.json", "config.json"),
    ],
)
def test_misspelt_files(name: str, meant: str) -> None:
    parsed = parse({"manifest.json": "{}" if meant != "manifest.json" else None, name: "{}"})
    assert (name, "") in told(parsed, "warning")
    assert f"did you mean {meant}?" in next(m.text for m in parsed.messages if m.file == name)


@pytest.mark.parametrize(
    "name", ["data.json", "quakes.json", "notes.txt", "sub/secret.json", "template.jinja"]
)
def test_assets_are_left_alone(name: str) -> None:
    assert parse({name: "no json"}).messages == ()


def test_the_form_is_parameters_or_metadata() -> None:
    form = {"fields": [{"type": "text", "name": "a"}]}
    expected = (Parameter(type="text", name="a", label="a"),)
    assert parse({"parameters.json": form}).parameters == expected
    assert parse({"metadata.json": form}).parameters == expected
    both = parse({"parameters.json": form, "metadata.json": {"fields": []}})
    assert both.parameters == expected
    assert told(both, "warning") == [("metadata.json", "")]
    asset = parse({"metadata.json": {"author": "x"}})
    assert asset.manifest is not None
    assert told(asset, "info") == [("metadata.json", "")]
    assert told(parse({"parameters.json": {}}), "error") == [("parameters.json", "fields")]


# --- whatever is in the folder ---------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)
    | st.sampled_from(["main.py", "a.*", "5m", "@daily", "3.12", "UTC", "int", "select"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.text(max_size=5) | st.sampled_from(
            ["type", "name", "filter", "event_type", "cron", "timezone", "attempts", "delay", "max_delay", "min", "max",
             "step", "default", "choices", "value", "title", "data", "bucket", "prefix", "numeric", "fields",
             "required"]
        ), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip
KEYS = [field.name for field in dataclasses.fields(Manifest)] + [
    "trigger_events", "entrypoint", "execution_order", "concurrency", "fields"
]  # fmt: skip
NAMES = ["manifest.json", "config.json", "secrets.json", "parameters.json", "metadata.json", "requirements.txt",
         "README.md", "main.py", "q.sql", "__init__.py", "sub/x.py", "Secret.json"]  # fmt: skip


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), st.binary(max_size=60), max_size=5))
def test_any_folder(files: dict[str, bytes]) -> None:
    check(parse_service(files))


@settings(max_examples=400)
@given(
    st.dictionaries(st.sampled_from(KEYS), json_values, max_size=4),
    st.fixed_dictionaries({"fields": st.lists(json_values, max_size=3) | json_values}),
)
def test_any_documents(manifest: dict[str, Any], form: dict[str, Any]) -> None:
    check(parse({"parameters.json": form}, **manifest))


def check(parsed: Parsed) -> None:
    failed = any(message.level == "error" for message in parsed.messages)
    assert (parsed.manifest is None) == failed
    if parsed.manifest is not None:
        plain = json.loads(json.dumps(dataclasses.asdict(parsed.manifest), allow_nan=False))
        assert Manifest.from_json(plain) == parsed.manifest
        for parameter in parsed.parameters:
            plain = json.loads(json.dumps(dataclasses.asdict(parameter), allow_nan=False))
            assert Parameter.from_json(plain) == parameter


def test_start_from() -> None:
    for text in ("7d", "2026-11-01T00:00:00Z"):
        parsed = parse_service(
            {"manifest.json": json.dumps({"start_from": text}).encode(), "run.py": b"print(1)"}
        )
        assert parsed.manifest is not None
        assert parsed.manifest.start_from == text
        assert (
            Manifest.from_json(json.loads(json.dumps(dataclasses.asdict(parsed.manifest)))) == parsed.manifest
        )
    wrong = parse_service({"manifest.json": b'{"start_from": "last week"}', "run.py": b"print(1)"})
    assert [(m.key, m.level) for m in wrong.messages] == [("start_from", "error")]
    assert "expected 30m, 12h, 7d" in wrong.messages[0].text
