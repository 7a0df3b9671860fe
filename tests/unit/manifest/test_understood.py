"""What a manifest says, as it is understood."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ferris.limits import Concurrency, Limits, Rate
from ferris.manifest import Manifest, Retry, Schedule, TriggerSpec, parse_service
from ferris.retry import Rule
from tests.unit.manifest.parsing import good, parse, told


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
