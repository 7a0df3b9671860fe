"""What executors report: in order or not, once or twice, of this attempt or an older one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ferris.retry import Retry
from ferris_web.executions.models import Execution, Step
from ferris_web.executions.services import execution_cancel, execution_claim, executions_due, reports_apply
from ferris_web.executions.services.claims import executions_heartbeat, executions_orphaned, leases_bound
from ferris_web.executions.services.ringing import executions_silence, executions_unanswered
from tests.web.platform import NOW, dispatch, event, report, service

pytestmark = pytest.mark.django_db


@pytest.fixture
def running() -> Execution:
    return claimed(service("one", "a.happened", retry=Retry()))


def claimed(target) -> Execution:
    (bell,) = dispatch(event())
    assert not isinstance(execution_claim(bell.execution_id, "w", NOW), str)
    return Execution.objects.get(pk=bell.execution_id)


def started(row: Execution, attempt: int = 1):
    return report(row, "step.started", attempt, step=0, script="run.py")


def test_of_two_claimants_one_wins():
    service("one", "a.happened")
    (bell,) = dispatch(event(data={"n": 1}))
    order = execution_claim(bell.execution_id, "first", NOW)
    assert order.params == {"n": 1}
    assert order.attempt == 1
    assert execution_claim(bell.execution_id, "second", NOW) == "it is in_progress"
    assert Execution.objects.get().worker == "first"


def test_an_unknown_execution_cannot_be_claimed(running):
    assert execution_claim(running.event_id, "w", NOW) == "unknown execution"


def test_what_a_step_used_and_how_it_was_isolated(running):
    isolation = {"level": "basic", "layers": ["limits"], "lacking": {"rules": "no Landlock"}}
    usage = {"memory_bytes": 5_000_000_000, "memory_of": "execution", "cpu_ms": 12, "output_bytes": 0}
    reports_apply(
        [
            report(running, "step.started", step=0, script="run.py", isolation=isolation),
            report(
                running,
                "step.failed",
                step=0,
                script="run.py",
                signal="SIGKILL",
                duration_ms=77,
                exit_reason="killed by the memory limit of 5 GB",
                usage=usage,
            ),
        ],
        NOW,
    )
    step = Step.objects.get()
    assert step.isolation == isolation
    assert (step.memory_bytes, step.memory_of, step.cpu_ms) == (5_000_000_000, "execution", 12)
    assert (step.wall_ms, step.output_bytes) == (77, 0)
    assert step.exit_reason == "killed by the memory limit of 5 GB"


@pytest.mark.parametrize("usage", [None, [], {"memory_bytes": -1, "cpu_ms": "5", "output_bytes": 2**70}])
def test_a_report_that_says_nothing_usable_of_what_was_used(running, usage):
    reports_apply(
        [report(running, "step.completed", step=0, script="run.py", usage=usage, exit_reason=None)], NOW
    )
    step = Step.objects.get()
    assert (step.memory_bytes, step.cpu_ms, step.output_bytes, step.exit_reason) == (None, None, None, "")


def test_a_whole_run(running):
    reports_apply(
        [
            report(running, "execution.started"),
            started(running),
            report(running, "step.completed", step=0, script="run.py", exit_code=0),
            report(running, "execution.completed"),
        ],
        NOW,
    )
    running.refresh_from_db()
    step = Step.objects.get()
    assert (running.status, running.finished_at, step.status, step.exit_code) == (
        "completed",
        NOW,
        "completed",
        0,
    )


@pytest.mark.parametrize(
    "late", ["execution.failed", "execution.cancelled", "execution.lease_expired", "execution.requeued"]
)
def test_nothing_moves_a_finished_execution(running, late):
    reports_apply([report(running, "execution.completed")], NOW)
    reports_apply([report(running, late, reason="script_failed")], NOW + timedelta(hours=1))
    running.refresh_from_db()
    assert (running.status, running.reason, running.finished_at) == ("completed", "", NOW)


def test_reports_that_come_twice_or_in_another_order_end_the_same(running):
    reports = [
        started(running),
        report(running, "step.completed", step=0, script="run.py", exit_code=0),
        report(running, "execution.completed"),
    ]
    reports_apply([reports[1], reports[0], reports[1], reports[2], reports[0], reports[2]], NOW)
    running.refresh_from_db()
    assert (running.status, Step.objects.get().status) == ("completed", "completed")


def test_reports_of_an_older_attempt_change_nothing(running):
    reports_apply([report(running, "execution.lease_expired")], NOW)
    running.refresh_from_db()
    assert (running.status, running.attempt) == ("queued", 2)
    reports_apply([started(running), report(running, "execution.completed")], NOW)
    running.refresh_from_db()
    assert (running.status, Step.objects.count()) == ("queued", 0)


def test_a_lease_that_ran_out_before_user_code_means_another_attempt(running):
    done = reports_apply([report(running, "execution.lease_expired")], NOW)
    assert [bell.execution_id for bell in done.doorbells] == [running.pk]


def test_a_lease_that_ran_out_in_user_code_is_a_failure_that_says_so(running):
    reports_apply([started(running)], NOW)
    done = reports_apply([report(running, "execution.lease_expired")], NOW)
    running.refresh_from_db()
    assert (done.doorbells, running.status, running.reason) == ([], "failed", "executor_lost")
    assert Step.objects.get().status == "failed"


def test_both_in_one_batch(running):
    reports_apply([started(running), report(running, "execution.lease_expired")], NOW)
    running.refresh_from_db()
    assert (running.status, running.reason) == ("failed", "executor_lost")


def test_on_lost_allows_another_attempt():
    row = claimed(service("one", "a.happened", retry=Retry(attempts=2, delay=5, on_lost=True)))
    done = reports_apply([started(row), report(row, "execution.lease_expired")], NOW)
    row.refresh_from_db()
    assert (row.status, row.attempt, done.delayed) == ("pending", 2, True)
    assert row.not_before > NOW
    assert executions_due(NOW).lanes == set()
    assert executions_due(NOW + timedelta(minutes=1)).lanes == {row.lane}
    assert Execution.objects.get().status == "queued"
    assert executions_due(NOW + timedelta(minutes=1)).lanes == set()


def test_a_retry_waits_for_its_time(running):
    due = NOW + timedelta(seconds=30)
    reports_apply(
        [report(running, "execution.retry_scheduled", not_before=due.isoformat(), reason="timeout")], NOW
    )
    running.refresh_from_db()
    assert (running.status, running.attempt, running.not_before, running.reason) == (
        "pending",
        2,
        due,
        "timeout",
    )


def test_an_execution_to_be_cancelled_gets_no_further_attempt(running):
    execution_cancel(running.pk, actor="t", now=NOW)
    reports_apply([report(running, "execution.lease_expired")], NOW)
    running.refresh_from_db()
    assert running.status == "cancelled"


def test_cancel_before_anybody_runs_it_is_at_once():
    service("one", "a.happened")
    (bell,) = dispatch(event())
    assert execution_cancel(bell.execution_id, actor="t", now=NOW).status == "cancelled"
    assert execution_claim(bell.execution_id, "w", NOW) == "it is cancelled"


def test_cancel_of_what_runs_travels_in_the_heartbeats_answer(running):
    assert executions_heartbeat("w", [(running.pk, 1)], NOW) == []
    execution_cancel(running.pk, actor="t", now=NOW)
    assert executions_heartbeat("w", [(running.pk, 1)], NOW) == [
        {"id": str(running.pk), "attempt": 1, "why": "cancelled"}
    ]


def test_heartbeats_keep_the_lease_and_fence_who_lost_it(running):
    later = NOW + timedelta(seconds=12)
    executions_heartbeat("w", [(running.pk, 1)], later)
    assert executions_orphaned(NOW + timedelta(seconds=20)) == []
    assert [row.pk for row in executions_orphaned(later + timedelta(seconds=31))] == [running.pk]
    assert executions_heartbeat("w", [(running.pk, 2)], later)[0]["why"] == "fenced"


def test_a_clock_that_was_set_back_hides_no_lost_doorbell(running):
    Execution.objects.filter(pk=running.pk).update(status="queued", rung_at=NOW)
    assert executions_unanswered(NOW - timedelta(seconds=10)) == []
    assert executions_unanswered(NOW) == [running.lane]
    earlier = NOW - timedelta(hours=1)
    assert executions_unanswered(earlier) == [running.lane]
    assert executions_silence(running.lane, earlier) == 1
    assert executions_unanswered(earlier) == []


def test_a_clock_that_was_set_back_hides_no_dead_executor(running):
    assert leases_bound(NOW - timedelta(seconds=20)) == 0, "clocks differ"
    earlier = NOW - timedelta(hours=1)
    assert leases_bound(earlier) == 1
    assert executions_orphaned(earlier + timedelta(seconds=29)) == []
    assert [row.pk for row in executions_orphaned(earlier + timedelta(seconds=31))] == [running.pk]


def test_a_report_without_an_execution_is_ignored():
    stray = report(dispatch_nothing(), "execution.completed")
    assert reports_apply([stray], NOW).changes == []


def dispatch_nothing():
    return event().key


def test_recording_a_batch_takes_a_constant_number_of_queries(django_assert_max_num_queries):
    service("one", "a.happened")
    bells = dispatch(*(event() for _ in range(100)))
    for bell in bells:
        Execution.objects.filter(pk=bell.execution_id).update(status="in_progress")
    batch = [
        r for bell in bells for r in (started_of(bell), report(bell.execution_id, "execution.completed"))
    ]
    with django_assert_max_num_queries(15):
        reports_apply(batch, NOW)
    assert Execution.objects.filter(status="completed").count() == 100


def started_of(bell):
    return report(bell.execution_id, "step.started", step=0, script="run.py")


def progress(row: Execution, done: int, attempt: int = 1, now=NOW):
    return report(row, "execution.progress", attempt, now, done=done, total=10, message="m")


def test_progress_is_on_the_row_and_moves_nothing(running):
    done = reports_apply([progress(running, 3), progress(running, 4, now=NOW + timedelta(seconds=1))], NOW)
    running.refresh_from_db()
    assert running.status == "in_progress"
    assert running.progress == {"done": 4, "total": 10, "message": "m", "at": "2026-03-01T12:00:01.000000Z"}
    (change,) = done.changes
    assert change.progress == running.progress
    assert (done.doorbells, done.lanes) == ([], set())


def test_late_and_older_progress_is_not_taken(running):
    reports_apply([progress(running, 4, now=NOW + timedelta(seconds=1))], NOW)
    assert reports_apply([progress(running, 3)], NOW).changes == []
    assert reports_apply([progress(running, 9, attempt=2, now=NOW + timedelta(seconds=9))], NOW).changes == []
    reports_apply([report(running, "execution.completed"), progress(running, 5, now=NOW + timedelta(2))], NOW)
    running.refresh_from_db()
    assert (running.status, running.progress["done"]) == ("completed", 4)


def test_a_further_attempt_begins_without_progress(running):
    reports_apply([progress(running, 4), report(running, "execution.requeued")], NOW)
    reports_apply([progress(running, 5, now=NOW + timedelta(seconds=1))], NOW)
    running.refresh_from_db()
    assert (running.status, running.attempt, running.progress) == ("queued", 2, None)
