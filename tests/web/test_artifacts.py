"""Artifacts as rows: they come with the reports of steps, once, and go with their content when they are old."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from ferris.artifacts import BUCKET, key_of
from ferris_web import wiring
from ferris_web.executions.models import Artifact, Execution
from ferris_web.executions.services import artifacts_prune, execution_claim, reports_apply
from tests.web.platform import NOW, dispatch, event, report, service

pytestmark = pytest.mark.django_db

ONE = {"name": "a/b.csv", "size": 3, "content_type": "text/csv"}


@pytest.fixture
def running() -> Execution:
    service("one", "a.happened")
    (bell,) = dispatch(event())
    assert not isinstance(execution_claim(bell.execution_id, "w", NOW), str)
    return Execution.objects.get(pk=bell.execution_id)


def ended(row: Execution, *artifacts: object, attempt: int = 1, kind: str = "step.completed"):
    said = {"artifacts": list(artifacts), "artifacts_day": "2026-03-01"}
    return report(row, kind, attempt, step=0, script="run.py", **said)


def test_a_report_makes_rows_once(running):
    for _ in range(2):
        reports_apply([ended(running, ONE, {**ONE, "name": "z"}), ended(running, ONE)], NOW)
    first, second = Artifact.objects.all()
    assert (first.name, first.size, first.content_type, first.script) == ("a/b.csv", 3, "text/csv", "run.py")
    assert first.key == key_of("2026-03-01", str(running.pk), 1, 0, "a/b.csv")
    assert second.name == "z"


def test_a_failed_step_has_them_too(running):
    reports_apply([ended(running, ONE, kind="step.failed"), report(running, "execution.failed")], NOW)
    assert Artifact.objects.get().execution_id == running.pk


@pytest.mark.parametrize("late", ["another attempt", "after the end"])
def test_late_reports_make_none(running, late):
    if late == "after the end":
        reports_apply([report(running, "execution.cancelled")], NOW)
    reports_apply([ended(running, ONE, attempt=2 if late == "another attempt" else 1)], NOW)
    assert not Artifact.objects.exists()


def test_names_that_lead_elsewhere_are_not_taken(running):
    reports_apply([ended(running, {**ONE, "name": "../../other/1/0/a"})], NOW)
    assert not Artifact.objects.exists()


def test_what_is_old_goes_and_what_nobody_was_told_of_goes_too(running):
    store = wiring.object_store()
    old, fresh = NOW - timedelta(days=40), NOW
    reports_apply([ended(running, ONE)], NOW)
    Artifact.objects.create(
        execution=running,
        attempt=1,
        step=1,
        script="x",
        name="old",
        size=1,
        day=f"{old:%Y-%m-%d}",
        created_at=old,
    )

    def put(day: datetime, name: str) -> str:
        key = key_of(f"{day:%Y-%m-%d}", str(running.pk), 1, 1, name)
        store.put(BUCKET, key, b"x")
        return key

    put(old, "old")
    put(old, "orphan")
    kept = put(fresh, "kept")
    assert artifacts_prune(NOW - timedelta(days=30)) == 2
    assert [info.key for info in store.list(BUCKET)] == [kept]
    assert [row.name for row in Artifact.objects.all()] == ["a/b.csv"]
