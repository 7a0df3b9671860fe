"""Roll-ups: each execution that has ended is counted once, whoever ended it, and whoever died while counting."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Sum

from ferris.config import CHANGES
from ferris.limits import Concurrency, Limits
from ferris_web import wiring
from ferris_web.executions.models import Execution, Rollup
from ferris_web.executions.services import execution_cancel, execution_claim, reports_apply, rollups
from ferris_web.executions.services.admission import executions_admit
from ferris_web.executions.services.pauses import service_pause, service_resume
from ferris_web.executions.services.retention import journal_prune
from ferris_web.executions.services.rollups import rollups_piece, rollups_prune
from gateway.roller import Roller
from tests.web.platform import NOW, dispatch, event, report, service

pytestmark = pytest.mark.django_db


def ran(
    count: int = 1, *, status: str = "completed", seconds: float = 4.0, **attributes: Any
) -> list[Execution]:
    """Executions that came, waited 2 s, ran and ended."""
    bells = dispatch(*(event(**attributes) for _ in range(count)))
    for bell in bells:
        execution_claim(bell.execution_id, "w", NOW + timedelta(seconds=2))
        end = NOW + timedelta(seconds=2 + seconds)
        reports_apply(
            [report(bell.execution_id, f"execution.{status}", now=end, reason="script_failed")], end
        )
    return list(Execution.objects.filter(pk__in=[bell.execution_id for bell in bells]))


def counted(**where: Any) -> dict[str, int]:
    rows = Rollup.objects.filter(**{"span": "hour", "project": None, "service": None, **where})
    return dict(rows.order_by().values_list("status").annotate(n=Sum("count")))


def test_what_ended_is_counted_once_by_outcome_trigger_and_lane() -> None:
    one = service("one", "a.happened")
    ran(3)
    ran(2, status="failed", seconds=8)
    dispatch(event())  # still waits
    assert rollups_piece(NOW) == 5
    assert rollups_piece(NOW) == 0
    assert counted() == counted(span="day") == {"completed": 3, "failed": 2}
    assert (
        counted(project=one.project)
        == counted(project=one.project, service=one)
        == {"completed": 3, "failed": 2}
    )
    row = Rollup.objects.get(span="hour", service=one, status="completed")
    assert (row.start, row.trigger_type, row.lane) == (NOW, "triggered", "default")
    assert (row.started, row.waited_ms, row.waited_most_ms) == (3, 6000, 2000)
    assert (row.took_ms, row.took_most_ms, sum(row.durations.values())) == (12_000, 4000, 3)
    ran(1, seconds=30)
    assert rollups_piece(NOW) == 1
    row.refresh_from_db()
    assert (row.count, row.took_ms, row.took_most_ms, len(row.durations)) == (4, 42_000, 30_000, 2)


def test_every_way_to_end_is_counted() -> None:
    service("cancelled", "cancelled.asked")
    (bell,) = dispatch(event("cancelled.asked"))
    execution_cancel(bell.execution_id, actor="me", now=NOW)
    off = service("inactive", "inactive.asked")
    dispatch(event("inactive.asked"))
    off.active = False
    off.save()
    execution_claim(Execution.objects.get(service=off).pk, "w", NOW)
    paused = service("paused", "paused.asked")
    service_pause(paused, actor="me", now=NOW)
    dispatch(event("paused.asked"))
    service_resume(paused, skip=True, actor="me", now=NOW)
    full = service("full", "full.asked", limits=Limits(concurrency=Concurrency(1, None, "skip")))
    dispatch(event("full.asked"), event("full.asked"))
    executions_admit({full.pk: None}, NOW)
    while rollups_piece(NOW):
        pass
    ended = Execution.objects.filter(finished_at__isnull=False)
    assert ended.count() >= 3
    assert counted() == Counter(ended.values_list("status", flat=True))
    assert not ended.exclude(counted=True).exists()
    assert not Execution.objects.filter(finished_at=None, counted=True).exists()


def test_who_dies_while_counting_counts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill before the commit leaves nothing behind: neither sums nor marks."""
    service("one", "a.happened")
    ran(2)

    def killed(sums: Any) -> None:
        add(sums)
        raise KeyboardInterrupt

    add = rollups._add
    monkeypatch.setattr(rollups, "_add", killed)
    with pytest.raises(KeyboardInterrupt):
        rollups_piece(NOW)
    assert counted() == {}
    monkeypatch.setattr(rollups, "_add", add)
    assert rollups_piece(NOW) == 2
    assert counted() == {"completed": 2}


def test_those_from_before_are_counted_in_pieces_the_latest_first() -> None:
    service("one", "a.happened")
    ran(5)
    for hours, row in enumerate(Execution.objects.order_by("pk")):
        moved = timedelta(hours=-hours)
        Execution.objects.filter(pk=row.pk).update(
            created_at=row.created_at + moved,
            started_at=row.started_at + moved,
            finished_at=row.finished_at + moved,
        )
    assert rollups_piece(NOW, 2) == 2
    assert set(Rollup.objects.filter(span="hour").values_list("start", flat=True)) == {
        NOW,
        NOW - timedelta(hours=1),
    }
    assert [rollups_piece(NOW, 2), rollups_piece(NOW, 2)] == [2, 1]
    assert counted() == {"completed": 5}


def test_the_number_of_queries_does_not_grow(django_assert_max_num_queries: Any) -> None:
    for n in range(12):
        service(f"s{n}", "a.happened")
    ran(3)
    with django_assert_max_num_queries(12):
        assert rollups_piece(NOW) == 36


def test_they_outlive_the_journal_and_go_in_their_own_time() -> None:
    service("one", "a.happened")
    ran(2)
    assert journal_prune(NOW + timedelta(days=1), NOW + timedelta(days=1)) == 2
    assert not Execution.objects.exists()
    assert counted() == {"completed": 2}
    rollups_prune(NOW + timedelta(days=101))
    assert counted() == {}
    assert counted(span="day") == {"completed": 2}
    rollups_prune(NOW + timedelta(days=1101))
    assert not Rollup.objects.exists()


def test_the_roller_counts_and_says_so(backends: Any) -> None:
    service("one", "a.happened")
    ran(2)
    tail = wiring.event_log().tail([CHANGES])
    role = Roller(wiring.event_log())
    role.longest_rest = 0.05
    role.turn()
    assert counted() == {"completed": 2}
    assert [record.value for record in tail.poll(10, timeout=60)] == [b'{"rolled":true}']
    role.turn()
    assert tail.poll(10, timeout=0.05) == []
    role.close()
    tail.close()
