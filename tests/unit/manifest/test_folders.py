"""The other files of a folder, and whatever else may lie there."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferris.manifest import Manifest, Parameter, Parsed, parse_service
from tests.unit.manifest.parsing import parse, told


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
