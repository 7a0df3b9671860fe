from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ferris.retry import JITTER, Retry, next_attempt

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
