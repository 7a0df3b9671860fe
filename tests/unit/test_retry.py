from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferris.retry import JITTER, Failure, Retry, Rule, next_attempt

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def seconds(retry: Retry, attempt: int, execution_id: str = "") -> float:
    due = next_attempt(retry, attempt, NOW, execution_id=execution_id)
    assert due is not None
    return (due - NOW).total_seconds()


def test_no_retry_without_a_manifest() -> None:
    assert next_attempt(Retry(), 1, NOW) is None


def test_attempts_count_every_try() -> None:
    retry = Retry(attempts=3)
    assert next_attempt(retry, 2, NOW) is not None
    assert next_attempt(retry, 3, NOW) is None
    assert next_attempt(retry, 4, NOW) is None


def test_the_delay_grows_to_its_limit() -> None:
    retry = Retry(attempts=9, delay=10, backoff=3, max_delay=100)
    for attempt, plain in [(1, 10), (2, 30), (3, 90), (4, 100), (8, 100)]:
        assert plain <= seconds(retry, attempt, "e") <= plain * (1 + JITTER)


def test_no_delay_is_at_once() -> None:
    assert next_attempt(Retry(attempts=2, delay=0), 1, NOW) == NOW


def test_a_huge_backoff_does_not_overflow() -> None:
    assert seconds(Retry(attempts=10**6, delay=1, backoff=100.0, max_delay=60), 10**5) >= 60


@given(st.uuids(), st.integers(1, 50))
def test_jitter_is_deterministic_and_bounded(execution: object, attempt: int) -> None:
    retry = Retry(attempts=100, delay=5, backoff=1)
    first, second = seconds(retry, attempt, str(execution)), seconds(retry, attempt, str(execution))
    assert first == second
    assert timedelta(seconds=5).total_seconds() <= first <= 5 * (1 + JITTER)


def test_executions_that_failed_together_return_apart() -> None:
    retry = Retry(attempts=2, delay=60)
    assert len({seconds(retry, 1, f"execution-{n}") for n in range(100)}) > 90


def test_json_and_back() -> None:
    retry = Retry(attempts=4, delay=1.5, backoff=1, max_delay=9, on_lost=True)
    assert Retry(**retry.to_json()) == retry


def test_with_cron_the_next_time_counts_not_the_delay() -> None:
    retry = Retry(attempts=3, cron="0 6 * * *", timezone="Europe/Zurich")
    assert next_attempt(retry, 1, NOW) == datetime(2026, 1, 1, 5, tzinfo=UTC)
    assert next_attempt(retry, 3, NOW) is None


FAILURES = {
    "timeout": Failure("timeout", signal="SIGTERM"),
    "exit 2": Failure("script_failed", 2),
    "exit 75": Failure("script_failed", 75),
    "killed": Failure("script_failed", None, "SIGKILL"),
    "refused": Failure("script_failed", 1, error="requests.exceptions.ConnectionError: refused by db:5432"),
    "value": Failure("script_failed", 1, error="ValueError: too late"),
}


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (Rule("reason", ("timeout",)), {"timeout"}),
        (Rule("reason", ("script_failed",)), {"exit 2", "exit 75", "killed", "refused", "value"}),
        (Rule("exit_code", (2, 75)), {"exit 2", "exit 75"}),
        (Rule("signal", ("SIGKILL",)), {"killed"}),
        (Rule("error", ("ConnectionError",)), {"refused"}),
        (Rule("error", ("ConnectionError*",)), {"refused"}),
        (Rule("error", ("requests.*Error",)), {"refused"}),
        (Rule("error", ("*too late", "nothing")), {"value"}),
        (Rule("error", ("valueerror",)), set()),
    ],
)
def test_rules_find_failures(rule: Rule, found: set[str]) -> None:
    assert {name for name, failure in FAILURES.items() if rule.matches(failure)} == found
    assert {name for name, failure in FAILURES.items() if Retry(only_on=(rule,)).applies(failure)} == found
    others = {name for name, failure in FAILURES.items() if Retry(never_on=(rule,)).applies(failure)}
    assert others == FAILURES.keys() - found


def test_an_exception_to_the_rules_wins() -> None:
    retry = Retry(
        attempts=3, only_on=(Rule("reason", ("script_failed",)),), never_on=(Rule("exit_code", (2,)),)
    )
    assert next_attempt(retry, 1, NOW, failure=FAILURES["exit 75"]) is not None
    assert next_attempt(retry, 1, NOW, failure=FAILURES["exit 2"]) is None


def test_rules_in_json_and_back() -> None:
    retry = Retry(
        attempts=2, cron="@daily", only_on=(Rule("exit_code", (2, 75)),), never_on=(Rule("error", ("A*",)),)
    )
    assert Retry.from_json(json.loads(json.dumps(retry.to_json()))) == retry
    assert Retry.from_json(asdict(retry)) == retry


def test_older_executors_understand_what_uses_nothing_new() -> None:
    assert set(Retry(attempts=2).to_json()) == {"attempts", "delay", "backoff", "max_delay", "on_lost"}
    assert Retry.from_json({"attempts": 2, "of_tomorrow": 1}) == Retry(attempts=2)
