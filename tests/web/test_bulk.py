"""Bulk work: all that fits is cancelled, retried, sent again or deleted, each once, by whoever works on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from ferris.config import EVENTS
from ferris.errors import Conflict, NotFound
from ferris_web import wiring
from ferris_web.accounts.models import Membership, User
from ferris_web.executions.listings import DEAD_LETTERS, EXECUTIONS
from ferris_web.executions.models import BulkJob, DeadLetter, Execution
from ferris_web.executions.services import bulk
from gateway.bulk import BulkWorker
from gateway.notices import Notices
from tests.web import platform

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]
NOW = platform.NOW + timedelta(minutes=5)


def _asked(listing: Any, text: str) -> Any:
    return listing.read(QueryDict(text), NOW)


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", password="a long password")


@pytest.fixture
def ended() -> list[Execution]:
    """Seven executions that failed and three that wait, of two services."""
    platform.service("alpha", "a.happened")
    platform.service("beta", "b.happened")
    for n in range(10):
        platform.dispatch(platform.event("a.happened" if n < 6 else "b.happened", {"n": n}))
    rows = list(Execution.objects.order_by("created_at", "id"))
    failed = [row.pk for row in rows if row.service.name == "alpha"][:5]
    failed += [row.pk for row in rows if row.service.name == "beta"][:2]
    Execution.objects.filter(pk__in=failed).update(status="failed", finished_at=NOW, error="ValueError: x")
    return list(Execution.objects.order_by("created_at", "id"))


def _sent() -> list[dict[str, Any]]:
    import json

    consumer = wiring.event_log().subscribe("test.bulk", [EVENTS])
    try:
        return [json.loads(record.value) for record in consumer.poll(1000, timeout=0)]
    finally:
        consumer.close()


def test_all_that_fits_is_retried_once_however_often_a_piece_is_done(boss: User, ended: Any) -> None:
    asked = _asked(EXECUTIONS, "status=failed&service=alpha")
    job = bulk.bulk_begin(EXECUTIONS, "retry", asked, boss, NOW)
    assert job.expected == 5
    stale = BulkJob.objects.get(pk=job.pk)
    assert bulk.bulk_piece(job, NOW, most=2)
    assert not bulk.bulk_piece(stale, NOW, most=2), "another one was faster; its events are the same"
    while True:
        job = BulkJob.objects.get(pk=job.pk)
        if not bulk.bulk_piece(job, NOW, most=2):
            break
    job.refresh_from_db()
    assert (job.status, job.done, job.refused) == ("completed", 5, 0)
    events = [event for event in _sent() if event["type"].endswith("retry_requested")]
    assert len(events) == 7
    assert len({event["id"] for event in events}) == 5
    assert {event["ferrisactor"] for event in events} == {"boss"}
    assert not bulk.bulk_piece(job, NOW)


def test_all_that_fits_is_cancelled_and_nothing_else(boss: User, ended: Any) -> None:
    job = bulk.bulk_begin(EXECUTIONS, "cancel", _asked(EXECUTIONS, ""), boss, NOW)
    assert job.expected == 3
    later = platform.event("a.happened", {"n": 99})
    platform.dispatch(later, now=NOW + timedelta(seconds=1))
    bulk.bulk_piece(job, NOW)
    assert Execution.objects.filter(status="cancelled").count() == 3
    assert Execution.objects.filter(status="failed").count() == 7
    assert Execution.objects.get(event_id=later.key).status in ("queued", "pending"), "it came later"


def test_what_was_left_by_one_that_died_is_taken_up_by_another(boss: User, ended: Any) -> None:
    job = bulk.bulk_begin(EXECUTIONS, "cancel", _asked(EXECUTIONS, ""), boss, NOW)
    assert [one.pk for one in bulk.bulk_claim("first", NOW)] == [job.pk]
    assert bulk.bulk_claim("second", NOW) == []
    (taken,) = bulk.bulk_claim("second", NOW + bulk.LEASE + timedelta(seconds=1))
    assert not bulk.bulk_piece(taken, NOW)
    assert BulkJob.objects.get(pk=job.pk).done == 3


def test_a_job_is_stopped_and_refuses_surprises(boss: User, ended: Any) -> None:
    asked = _asked(EXECUTIONS, "status=failed")
    with pytest.raises(Conflict, match="7 fit by now, not 3"):
        bulk.bulk_begin(EXECUTIONS, "retry", asked, boss, NOW, expected=3)
    with pytest.raises(Conflict, match="nothing fits"):
        bulk.bulk_begin(EXECUTIONS, "retry", _asked(EXECUTIONS, "service=nobody"), boss, NOW)
    job = bulk.bulk_begin(EXECUTIONS, "retry", asked, boss, NOW)
    bulk.bulk_piece(job, NOW, most=2)
    bulk.bulk_stop(job, NOW)
    assert not bulk.bulk_piece(BulkJob.objects.get(pk=job.pk), NOW)
    assert bulk.bulk_claim("any", NOW) == []
    with pytest.raises(Conflict):
        bulk.bulk_stop(job, NOW)


def test_only_what_one_may_is_done(ended: Any) -> None:
    from ferris_web.catalog.models import Project, Service

    other = Project.objects.create(name="other")
    Service.objects.filter(name="beta").update(project=other)
    Execution.objects.filter(service__name="beta").update(project=other)
    ben = User.objects.create_user("ben", password="a long password")
    Membership.objects.filter(user=ben).delete()
    Membership.objects.create(user=ben, project=other, role="operator")
    Membership.objects.create(user=ben, project=Project.objects.get(name="testing"), role="viewer")
    job = bulk.bulk_begin(EXECUTIONS, "cancel", _asked(EXECUTIONS, ""), ben, NOW)
    assert (
        job.expected
        == Execution.objects.filter(service__name="beta", status__in=["queued", "pending"]).count()
    )
    Membership.objects.filter(user=ben, project=other).delete()
    bulk.bulk_piece(BulkJob.objects.select_related("created_by").get(pk=job.pk), NOW)
    assert not Execution.objects.filter(status="cancelled").exists(), "who may no longer, does no more"
    job.refresh_from_db()
    assert (job.status, job.done) == ("stopped", 0), "and nothing says that it was done"
    with pytest.raises(NotFound):
        bulk.bulk_get(job.pk, User.objects.create_user("eve", password="a long password"))


def _letter(n: int) -> DeadLetter:
    return DeadLetter.objects.create(
        topic=EVENTS,
        offset=n,
        reason="schema",
        detail="",
        value=b"{}",
        created_at=NOW - timedelta(minutes=n + 1),
    )


def test_dead_letters_are_deleted_and_what_holds_no_event_is_not_sent(boss: User) -> None:
    for n in range(5):
        _letter(n)
    job = bulk.bulk_begin(DEAD_LETTERS, "send", _asked(DEAD_LETTERS, ""), boss, NOW)
    bulk.bulk_piece(job, NOW)
    job.refresh_from_db()
    assert (job.done, job.refused) == (0, 5)
    job = bulk.bulk_begin(DEAD_LETTERS, "delete", _asked(DEAD_LETTERS, "reason=schema"), boss, NOW)
    while bulk.bulk_piece(BulkJob.objects.get(pk=job.pk), NOW, most=2):
        pass
    assert not DeadLetter.objects.exists()
    assert BulkJob.objects.get(pk=job.pk).done == 5


@pytest.mark.django_db(transaction=True)
def test_the_gateway_works_it_off(boss: User, ended: Any) -> None:
    role = BulkWorker(Notices(wiring.event_log()), alone=True)
    try:
        job = bulk.bulk_begin(EXECUTIONS, "cancel", _asked(EXECUTIONS, ""), boss, datetime.now(UTC))
        role.wake()  # so that it does not rest
        role.turn()
    finally:
        role.close()
    assert BulkJob.objects.get(pk=job.pk).status == "completed"


def test_over_http(ended: Any, api: Any) -> None:
    body = {"list": "executions", "action": "retry", "filter": {"status": ["failed"], "service": "alpha"}}
    assert api.post("/api/v1/bulk/preview/", body).json() == {"count": 5}
    made = api.post("/api/v1/bulk/", body)
    assert made.status_code == 202
    assert made.headers["Location"].endswith(f"/api/v1/bulk/{made.json()['id']}/")
    assert api.get(f"/api/v1/bulk/{made.json()['id']}/").json()["expected"] == 5
    assert api.post(f"/api/v1/bulk/{made.json()['id']}/stop/").json()["status"] == "stopped"
    assert len(api.get("/api/v1/bulk/").json()["results"]) == 1
    assert api.post("/api/v1/bulk/", {**body, "expected": 1}).status_code == 409
    for wrong in ({"filter": {"colour": "red"}}, {"filter": {"status": "lost"}}, {"action": "delete"}):
        assert api.post("/api/v1/bulk/", {**body, **wrong}).status_code == 400, wrong


def test_the_example_of_the_schema_asks_for_what_there_is(administrator: Client) -> None:
    schema = administrator.get("/api/schema/?format=json").json()
    body = schema["paths"]["/api/v1/bulk/"]["post"]["requestBody"]["content"]["application/json"]
    asked = {name: value for name, value in body["example"].items() if name != "expected"}
    assert (asked["action"], asked["filter"]["status"]) == ("cancel", "queued")
    answer = administrator.post("/api/v1/bulk/preview/", asked, content_type="application/json")
    assert (answer.status_code, answer.json()) == (200, {"count": 0})


def test_in_the_console_it_is_counted_confirmed_and_watched(ended: Any, administrator: Client) -> None:
    address = "/lists/executions/bulk/?status=failed"
    shown = administrator.get(f"{address}&action=retry").content.decode()
    assert "<b>7</b> of the executions fit" in shown
    begun = administrator.post(address, {"action": "retry", "expected": "7"}, follow=True)
    assert "of 7 retried" in begun.content.decode()
    assert 'href="/executions/?status=failed"' in begun.content.decode(), (
        "back to the list as it was asked for"
    )
    job = BulkJob.objects.get()
    assert "Stop" in begun.content.decode()
    administrator.post(f"/bulk/{job.pk}/stop/")
    assert BulkJob.objects.get().status == "stopped"
    assert str(job.pk) in administrator.get("/bulk/").content.decode()
    assert administrator.get("/lists/services/bulk/?action=retry").status_code == 404
    assert administrator.get("/lists/executions/bulk/?action=delete").status_code == 400
    assert "/lists/executions/bulk/?action=retry&amp;status=failed" in (
        administrator.get("/executions/?status=failed").content.decode()
    )
