"""Executions as programs see them: lists, one, steps, cancel, retry."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

import pytest

from ferris import events
from ferris.config import LIFECYCLE
from ferris.retry import Retry
from ferris_web import wiring
from ferris_web.catalog.models import Project
from ferris_web.executions.models import Execution
from ferris_web.executions.services import execution_claim, executions_heartbeat, reports_apply
from tests.web.calling import problem_of
from tests.web.platform import NOW, dispatch, event, report, service

URL = "/api/v1/executions/"
CONTRACT = [
    "id", "service", "project", "status", "trigger_type", "correlation_id", "flow_id", "event_id",
    "parent_execution_id", "attempt", "created_at", "started_at", "finished_at", "reason",
]  # fmt: skip


@pytest.fixture
def rows(backends, db):
    """Two services; seven executions in three flows, some of them claimed and ended."""
    service("mailer", "shop.*")
    service("ledger", "shop.paid", retry=Retry(attempts=1))
    other = Project.objects.create(name="other")
    mailer = service("greeter", "hello")
    mailer.project = other
    mailer.save()
    dispatch(
        event("shop.placed", {"n": 1}, id="1", correlation_id="AAAAAAAAAA"),
        event("shop.paid", {"n": 2}, id="2", correlation_id="AAAAAAAAAA"),
        event("shop.paid", {"n": 3}, id="3", correlation_id="own flow"),
    )
    dispatch(event("hello", "text", id="4"), event("hello", id="5"), now=NOW + timedelta(minutes=1))
    ended = Execution.objects.get(event__event_id="1")
    execution_claim(ended.pk, "w1", NOW + timedelta(seconds=1))
    at = NOW + timedelta(seconds=2, milliseconds=345, microseconds=678)
    reports_apply(
        [
            report(ended, "step.started", step=0, script="run.py", now=at),
            report(ended, "step.failed", step=0, script="run.py", exit_code=3, now=at),
            report(ended, "execution.failed", reason="script_failed", error="run.py ended with 3", now=at),
        ],
        at,
    )
    return Execution.objects.all()


pytestmark = pytest.mark.django_db


def test_an_execution_has_what_the_contract_names(api, rows):
    row = Execution.objects.get(event__event_id="1")
    found = api.get(f"{URL}{row.pk}/").json()
    assert set(CONTRACT) <= set(found)
    assert {name: found[name] for name in CONTRACT} == {
        "id": str(row.pk),
        "service": "mailer",
        "project": "testing",
        "status": "failed",
        "trigger_type": "triggered",
        "correlation_id": "AAAAAAAAAA_01",
        "flow_id": "AAAAAAAAAA",
        "event_id": "1",
        "parent_execution_id": None,
        "attempt": 1,
        "created_at": "2026-03-01T12:00:00.000Z",
        "started_at": "2026-03-01T12:00:01.000Z",
        "finished_at": "2026-03-01T12:00:02.345Z",
        "reason": "script_failed",
    }


def test_what_has_not_happened_is_null(api, rows):
    found = api.get(f"{URL}?service=greeter").json()["results"][0]
    assert [found[name] for name in ("started_at", "finished_at", "reason", "error", "worker")] == [None] * 5


@pytest.mark.parametrize(
    ("query", "events"),
    [
        ("", "1223345"),
        ("correlation_id=AAAAAAAAAA", "122"),
        ("correlation_id=AAAAAAAAAA_02", "2"),
        ("correlation_id=own%20flow", "33"),
        ("correlation_id=own%20flow_02", "3"),
        ("correlation_id=nothing", ""),
        ("service=ledger", "23"),
        ("service=nobody", ""),
        ("project=other", "45"),
        ("status=failed", "1"),
        ("status=queued,failed", "1223345"),
        ("status=queued,%20failed,", "1223345"),
        ("trigger_type=triggered", "1223345"),
        ("trigger_type=manual,scheduled", ""),
        ("since=2026-03-01T12:01:00Z", "45"),
        ("until=2026-03-01T12:01:00Z", "12233"),
        ("since=2026-03-01T13:01:00%2B01:00", "45"),
        ("service=mailer&status=queued&correlation_id=AAAAAAAAAA", "2"),
        ("status=&service=", "1223345"),
    ],
)
def test_executions_are_found(api, rows, query, events):
    found = api.get(f"{URL}?{query}").json()["results"]
    assert "".join(sorted(row["event_id"] for row in found)) == events


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("status=queued,done", "status"),
        ("trigger_type=push", "trigger_type"),
        ("since=x", "since"),
        ("limit=501", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e3", "limit"),
        ("cursor=WzAsIjIwMjYiLCJ4Il0", "cursor"),
        ("cursor=%00", "cursor"),
    ],
)
def test_a_wrong_filter_is_named(api, rows, query, field):
    [error] = problem_of(api.get(f"{URL}?{query}"), 400)["errors"]
    assert error["field"] == field


def test_newest_first_and_pages_in_both_directions(api, rows):
    whole = api.get(f"{URL}?limit=500").json()
    assert whole["next"] is None
    assert whole["previous"] is None
    ids = [row["id"] for row in whole["results"]]
    assert ids == [str(row.pk) for row in rows.order_by("-created_at", "-id")]
    pages, url = [], f"{URL}?limit=3&status=queued,failed"
    while url:
        page = api.get(url).json()
        pages.append(page)
        url = page["next"]
    assert [row["id"] for page in pages for row in page["results"]] == ids
    assert [len(page["results"]) for page in pages] == [3, 3, 1]
    back = api.get(pages[2]["previous"]).json()
    assert back["results"] == pages[1]["results"]
    first = api.get(back["previous"]).json()
    assert first["results"] == pages[0]["results"]
    assert first["previous"] is None
    assert api.get(first["next"]).json()["results"] == pages[1]["results"]


def test_rows_added_meanwhile_move_no_page(api, rows):
    page = api.get(f"{URL}?limit=3").json()
    dispatch(event("hello", id="6"), now=NOW + timedelta(hours=1))
    rest = api.all(page["next"])
    assert len(rest) == 4
    assert not {row["id"] for row in page["results"]} & {row["id"] for row in rest}


def test_a_list_is_a_fixed_number_of_queries(api, rows, django_assert_num_queries):
    api.get(URL)
    for limit in (1, 7):
        with django_assert_num_queries(
            4
        ):  # who calls, with which roles, the page, and the workers that those which wait are waiting for
            assert len(api.get(f"{URL}?limit={limit}").json()["results"]) == limit


def test_one_execution_is_a_fixed_number_of_queries(api, rows, django_assert_num_queries):
    failed, queued = rows.get(status="failed"), rows.filter(status="queued").first()
    api.get(URL)
    for one in (failed, queued):
        with django_assert_num_queries(5):  # could it go on where it failed, or: what does it wait for
            api.get(f"{URL}{one.pk}/")
        with django_assert_num_queries(4):
            api.get(f"{URL}{one.pk}/steps/")


@pytest.mark.parametrize("tail", ["", "steps/", "logs/", "logs/?follow=1"])
def test_an_unknown_execution_is_not_found(api, tail):
    problem_of(api.get(f"{URL}{UUID(int=5)}/{tail}"), 404)


def test_steps(api, rows):
    ended = Execution.objects.get(event__event_id="1")
    [step] = api.get(f"{URL}{ended.pk}/steps/").json()["results"]
    assert step == {
        "attempt": 1,
        "index": 0,
        "script": "run.py",
        "status": "failed",
        "started_at": "2026-03-01T12:00:02.345Z",
        "finished_at": "2026-03-01T12:00:02.345Z",
        "exit_code": 3,
        "signal": None,
        "error": None,
        "tables": None,
        "exit_reason": None,
        "wall_ms": None,
        "cpu_ms": None,
        "memory_bytes": None,
        "memory_of": None,
        "output_bytes": None,
        "isolation": {},
    }


# --- cancel, retry -----------------------------------------------------------------------------------


def test_what_nobody_runs_is_cancelled_at_once(api, rows):
    waiting = rows.filter(status="queued").first()
    answer = api.post(f"{URL}{waiting.pk}/cancel/")
    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    assert answer.json()["reason"] == "cancelled"
    assert b"ferris.execution.cancelled" in wiring.event_log().browse(LIFECYCLE)[-1].value


def test_what_runs_is_stopped_by_its_executor(api, rows):
    running = rows.filter(status="queued").first()
    execution_claim(running.pk, "w1", NOW)
    answer = api.post(f"{URL}{running.pk}/cancel/")
    assert answer.status_code == 202
    assert answer.json()["status"] == "in_progress"
    assert re.fullmatch(r"20\d\d-.*\.\d{3}Z", answer.json()["cancel_requested_at"])


def test_an_executor_that_keeps_silent_is_not_waited_for(api, rows):
    running = rows.filter(status="queued").first()
    execution_claim(running.pk, "w1", NOW)
    address = f"{URL}{running.pk}/cancel/"
    assert "cancel it first" in problem_of(api.post(address, {"force": True}), 409)["detail"]
    assert api.post(address).status_code == 202
    assert api.post(address, {"force": True}).status_code == 202
    record = wiring.event_log().browse(LIFECYCLE)[-1]
    told = events.from_record(record.value, record.headers, now=NOW)
    assert told.type == "ferris.execution.cancelled"
    reports_apply([told], NOW)
    running.refresh_from_db()
    assert (running.status, running.reason) == ("cancelled", "cancelled")
    reports_apply([report(running, "execution.completed", attempt=running.attempt)], NOW)
    running.refresh_from_db()
    assert running.status == "cancelled", "what the executor says afterwards changes nothing"
    [stop] = executions_heartbeat("w1", [(running.pk, running.attempt)], NOW)
    assert stop["why"] == "fenced"


def test_what_has_ended_is_not_cancelled(api, rows):
    ended = Execution.objects.get(event__event_id="1")
    assert "failed" in problem_of(api.post(f"{URL}{ended.pk}/cancel/"), 409)["detail"]
    problem_of(api.post(f"{URL}{UUID(int=5)}/cancel/"), 404)


@pytest.mark.django_db(transaction=True)
def test_a_retry_is_a_new_execution_in_the_same_flow(api, rows, routing):
    ended = Execution.objects.get(event__event_id="1")
    answer = api.post(f"{URL}{ended.pk}/retry/")
    assert answer.status_code == 202
    said = answer.json()
    assert said["correlation_id"] == said["flow_id"] == "AAAAAAAAAA"
    assert answer.headers["Location"] == said["url"]
    again = api.get(said["url"]).json()
    assert again["id"] == said["id"] != str(ended.pk)
    assert again["event_id"] == said["event_id"]
    assert (again["trigger_type"], again["service"]) == ("retried", "mailer")
    assert again["parent_execution_id"] == str(ended.pk)
    assert Execution.objects.get(pk=said["id"]).event.data == {"n": 1}


@pytest.mark.django_db(transaction=True)
def test_a_retry_may_have_other_parameters(api, rows, routing):
    ended = Execution.objects.get(event__event_id="1")
    said = api.post(f"{URL}{ended.pk}/retry/", {"parameters": {"n": 9}}).json()
    assert Execution.objects.get(pk=said["id"]).event.data == {"n": 9}
    problem_of(api.post(f"{URL}{ended.pk}/retry/", {"parameters": [1]}), 400)


def test_what_is_open_is_not_retried(api, rows):
    waiting = rows.filter(status="queued").first()
    assert "queued" in problem_of(api.post(f"{URL}{waiting.pk}/retry/"), 409)["detail"]


def test_filters_use_the_indexes(api, rows):
    """On a table of millions, a list that reads it whole would be a fault."""
    from ferris_web.executions.listings import EXECUTIONS

    for options in ({}, {"status": "failed"}, {"correlation_id": "x"}, {"since": str(NOW)}):
        found = EXECUTIONS.found(EXECUTIONS.of(options), None)
        plan = found.order_by("-created_at", "-id")[:50].explain()
        assert "SCAN executions_execution\n" not in plan + "\n", plan
