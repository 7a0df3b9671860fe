"""What is older than the journal's retention goes, with what hangs on it, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ferris_web.executions.models import DeadLetter, Event, Execution, Flow, Step
from ferris_web.executions.services import retention
from ferris_web.executions.services.retention import journal_prune
from tests.web.platform import NOW, dispatch, event, service

pytestmark = pytest.mark.django_db

OLD, LIMIT = NOW - timedelta(days=40), NOW - timedelta(days=30)


def test_old_events_go_with_their_executions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    service("a", "*")
    dispatch(*(event(correlation_id=f"OLD{n}") for n in range(5)), now=OLD)
    dispatch(event(correlation_id="MIXED"), now=OLD)
    dispatch(event(correlation_id="MIXED"), event(correlation_id="NEW"), now=NOW)
    old = Execution.objects.filter(created_at__lt=LIMIT)
    old.update(status="completed", finished_at=OLD)
    for run in Execution.objects.all():
        Step.objects.create(execution=run, attempt=1, index=0, script="run.py", status="completed")
    DeadLetter.objects.create(topic="t", offset=1, reason="r", detail="", value=b"", created_at=OLD)
    assert journal_prune(LIMIT, LIMIT) == 6
    assert set(Event.objects.values_list("flow_id", flat=True)) == {"MIXED", "NEW"}
    assert (Execution.objects.count(), Step.objects.count(), DeadLetter.objects.count()) == (2, 2, 0)
    assert set(Flow.objects.values_list("pk", flat=True)) == {"MIXED", "NEW"}
    assert journal_prune(LIMIT, LIMIT) == 0


def test_what_still_waits_stays() -> None:
    service("a", "*")
    dispatch(event(), now=OLD)
    assert journal_prune(LIMIT, LIMIT) == 0
    assert Execution.objects.get().status == "queued"
    assert Flow.objects.count() == 1


def test_what_a_gathering_waits_with_stays() -> None:
    from ferris_web.executions.models import GatheredEvent, Gathering

    target = service("a", "other")
    dispatch(event(correlation_id="KEPT"), event(correlation_id="GONE"), now=OLD)
    kept = Event.objects.get(flow_id="KEPT")
    row = Gathering.objects.create(
        id=kept.key, slot=kept.key, service=target, kind="batch", rule={}, state="open", opened_at=OLD,
        first_event=kept, last_event=kept,
    )  # fmt: skip
    GatheredEvent.objects.create(gathering=row, service=target, event=kept, decision="batched", at=OLD)
    assert journal_prune(LIMIT, LIMIT) == 1
    Gathering.objects.update(state="closed")
    assert journal_prune(LIMIT, LIMIT) == 1
    assert not Gathering.objects.exists()
