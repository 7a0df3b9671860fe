from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferris import lifecycle
from ferris.lifecycle import EXECUTION_EVENTS, STEP_EVENTS, TERMINAL, TRANSITIONS, Status, advance
from ferris.retry import LOST_BEFORE_START, Retry

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOVES = {(row.source, row.event): row.target for row in TRANSITIONS if row.source}


@pytest.mark.parametrize(("status", "event"), list(product(Status, (*EXECUTION_EVENTS, *STEP_EVENTS, "x.y"))))
def test_every_status_with_every_event(status: Status, event: str) -> None:
    assert advance(status, event) == MOVES.get((status, event))


def test_the_table_is_unambiguous_and_knows_its_events() -> None:
    existing = [(row.source, row.event) for row in TRANSITIONS if row.source is not None]
    assert len(existing) == len(set(existing))
    assert {row.event for row in TRANSITIONS} == set(EXECUTION_EVENTS)
    assert all(row.when for row in TRANSITIONS)
    assert {row.target for row in TRANSITIONS} == set(Status)


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_finished_execution_never_moves(status: Status) -> None:
    assert all(advance(status, event) is None for event in (*EXECUTION_EVENTS, *STEP_EVENTS))


def test_every_status_leads_to_an_end() -> None:
    for status in Status:
        seen, todo = set(), {status}
        while todo:
            current = todo.pop()
            seen.add(current)
            todo |= {t.target for t in TRANSITIONS if t.source == current} - seen
        assert seen & TERMINAL


@given(st.lists(st.sampled_from((*EXECUTION_EVENTS, *STEP_EVENTS)), max_size=30))
def test_no_order_of_reports_leaves_the_machine(reports: list[str]) -> None:
    status, ended = Status.QUEUED, None
    for report in reports:
        status = advance(status, report) or status
        if ended:
            assert status == ended
        ended = status if status in TERMINAL else None


def test_initial_status_waits_only_for_the_future() -> None:
    assert lifecycle.initial(None, NOW) is Status.QUEUED
    assert lifecycle.initial(NOW, NOW) is Status.QUEUED
    assert lifecycle.initial(NOW + timedelta(seconds=1), NOW) is Status.PENDING


@pytest.mark.parametrize(
    ("in_user_code", "retry", "attempt", "follows"),
    [
        (False, Retry(), 1, lifecycle.REQUEUED),
        (False, Retry(), LOST_BEFORE_START, lifecycle.REQUEUED),
        (False, Retry(), LOST_BEFORE_START + 1, lifecycle.FAILED),
        (True, Retry(), 1, lifecycle.FAILED),
        (True, Retry(attempts=3), 1, lifecycle.FAILED),
        (True, Retry(attempts=3, on_lost=True), 2, lifecycle.RETRY_SCHEDULED),
        (True, Retry(attempts=3, on_lost=True), 3, lifecycle.FAILED),
    ],
)
def test_what_follows_a_lost_executor(in_user_code: bool, retry: Retry, attempt: int, follows: str) -> None:
    event = lifecycle.on_lease_expired(in_user_code, retry, attempt)
    assert event == follows
    assert advance(Status.IN_PROGRESS, event) is not None


def test_statuses_are_their_words() -> None:
    assert f"{Status.IN_PROGRESS}" == "in_progress" == Status("in_progress")
    assert set(lifecycle.MEANING) == set(Status)
    assert set(lifecycle.REASON_MEANING) == set(lifecycle.Reason)


def test_the_document_is_the_table() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "ferris.lifecycle"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / "lifecycle.md").read_text() == made, (
        "run: python -m ferris.lifecycle > docs/lifecycle.md"
    )
    for row in TRANSITIONS:
        assert f"| `{row.event}` | `{row.target}` | {row.when} |" in made
