"""The runs that a schedule missed: told, made up for, and never twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ferris import events
from ferris.config import EVENTS
from ferris.errors import Conflict
from ferris.ports import LogRecord
from ferris_web import wiring
from ferris_web.catalog.models import Schedule
from ferris_web.catalog.services import schedule_add
from ferris_web.executions.models import Execution
from ferris_web.executions.services import events_dispatch
from ferris_web.executions.services.schedules import due_event, schedule_backfill, schedule_gaps
from gateway.catalog_view import CatalogView
from tests.web.calling import Caller, problem_of
from tests.web.platform import dispatch, service

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
MORNING = NOW - timedelta(hours=6)


@pytest.fixture
def hourly() -> Schedule:
    return schedule_add(service("report"), origin=Schedule.Origin.PERSON, cron="0 * * * *", now=MORNING)


def hour(number: int) -> datetime:
    return datetime(2026, 3, 1, number, tzinfo=UTC)


def route() -> None:
    records = wiring.event_log().browse(EVENTS, partition=0, offset=None, limit=1000)
    found = [events.from_record(r.value, r.headers, now=NOW) for r in records]
    batch = [(e, LogRecord(EVENTS, 0, n, e.flow_id, b"", {}, NOW)) for n, e in enumerate(found)]
    events_dispatch(batch, CatalogView().current(), NOW)


def test_gaps_are_due_times_without_an_event(hourly: Schedule) -> None:
    dispatch(due_event(hourly, hour(8)), due_event(hourly, hour(10)))
    gaps = schedule_gaps(hourly, since=MORNING, until=NOW)
    assert gaps.times == (hour(7), hour(9), hour(11), hour(12))
    assert gaps.complete


def test_what_is_picked_runs_once(hourly: Schedule) -> None:
    for _ in range(2):
        schedule_backfill(hourly, [hour(9), hour(7), hour(9)], now=NOW)
    dispatch(due_event(hourly, hour(7)))  # the scheduler itself, late
    route()
    runs = Execution.objects.filter(trigger_type="scheduled").select_related("event")
    assert sorted(run.event.time for run in runs) == [hour(7), hour(9)]
    assert schedule_gaps(hourly, since=MORNING, until=NOW).times == (hour(8), hour(10), hour(11), hour(12))


def test_what_cannot_be_made_up_for(hourly: Schedule) -> None:
    for time in (hour(9) + timedelta(minutes=1), NOW + timedelta(minutes=30)):
        with pytest.raises(Conflict, match="no past due time"):
            schedule_backfill(hourly, [time], now=NOW)
    once = schedule_add(hourly.service, origin=Schedule.Origin.PERSON, cron="0 9 1 4", now=NOW)
    with pytest.raises(Conflict, match="due once"):
        schedule_gaps(once, since=MORNING, until=NOW)
    hourly.service.active = False
    with pytest.raises(Conflict, match="inactive"):
        schedule_backfill(hourly, [hour(9)], now=NOW)


def test_a_long_time_is_listed_in_parts(hourly: Schedule) -> None:
    gaps = schedule_gaps(hourly, since=NOW - timedelta(days=60), until=NOW)
    assert (len(gaps.times), gaps.complete) == (1000, False)
    assert gaps.until == gaps.times[-1]


def test_over_rest(api: Caller, hourly: Schedule) -> None:
    path = f"/api/v1/schedules/{hourly.pk}"
    said = api.get(f"{path}/gaps/?since=2026-03-01T06:30:00Z&until=2026-03-01T08:30:00Z").json()
    assert said["times"] == ["2026-03-01T07:00:00.000Z", "2026-03-01T08:00:00.000Z"]
    answer = api.post(f"{path}/backfill/", {"times": said["times"][:1]})
    assert answer.status_code == 202
    assert [run["due"] for run in answer.json()["results"]] == said["times"][:1]
    wrong = problem_of(api.post(f"{path}/backfill/", {"times": ["2026-03-01T07:01:00Z"]}), 409)
    assert "no past due time" in wrong["detail"]
