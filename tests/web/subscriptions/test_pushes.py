"""What is pushed to a real receiver, how it is signed, and once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from ferris import events, signatures
from ferris_web import wiring
from ferris_web.catalog import subscriptions
from ferris_web.catalog.models import Project, Subscription
from ferris_web.executions.models import Delivery, Event, Execution
from ferris_web.executions.services import (
    deliveries,
    execution_cancel,
    execution_claim,
    pushes,
    reports_apply,
)
from ferris_web.executions.services.retention import journal_prune
from gateway.courier import Courier, sent
from gateway.notices import Notices
from tests.waiting import until
from tests.web.at_once import at_work
from tests.web.calling import Caller, problem_of
from tests.web.console_pages import page as page_of
from tests.web.platform import dispatch, event, report, service
from tests.web.receivers import Receiver
from tests.web.subscriptions.pushing import HERE, KEYS, made, now, on_the_log, push

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


def test_matching_events_arrive_signed_and_once(receiver: Receiver) -> None:
    made(receiver.url, filter={"data": {"total": [{"numeric": [">", 5]}]}}, headers={"X-Tenant": "blue"},
         secret_headers={"Authorization": "Bearer s3cr3t"})  # fmt: skip
    wanted = event("shop.order", {"total": 9})
    dispatch(wanted, event("shop.order", {"total": 1}), event("other", {"total": 9}))
    dispatch(wanted)  # the router reads it once more
    assert [o.status for o in push()] == [204]
    assert push() == []
    [got] = receiver.got
    signatures.Check.parse("standard", {}).verify([KEYS[0]], got.headers, got.body, now=now())
    row = Delivery.objects.get()
    assert got.headers["webhook-id"] == row.message_id
    assert (got.headers["x-tenant"], got.headers["authorization"]) == ("blue", "Bearer s3cr3t")
    assert got.path == "/hook"
    arrived = events.parse_http(got.headers, got.body, now=now())[0]
    assert (arrived.id, arrived.source, arrived.data) == (wanted.id, wanted.source, {"total": 9})
    assert (row.status, row.attempts, row.last_status) == ("delivered", 1, 204)


def test_binary_form_and_an_expression(receiver: Receiver) -> None:
    made(receiver.url, event_type="*", cesql="subject = 'a'", form="binary")
    dispatch(event("shop.order", {"n": 1}, subject="a"), event("shop.order", {"n": 2}, subject="b"))
    push()
    [got] = receiver.got
    assert (got.headers["ce-type"], json.loads(got.body)) == ("shop.order", {"n": 1})


def test_a_secret_is_rotated_with_an_overlap(receiver: Receiver) -> None:
    made(receiver.url)
    made(receiver.url, secret=KEYS[1])
    dispatch(event("shop.order"))
    push()
    for key in KEYS:
        got = receiver.got[0]
        signatures.Check.parse("standard", {}).verify([key], got.headers, got.body, now=now())
    Subscription.objects.update(previous_until=now())
    dispatch(event("shop.order"))
    push()
    assert len(receiver.got[1].headers["webhook-signature"].split()) == 1


def test_replays_are_not_pushed(receiver: Receiver) -> None:
    made(receiver.url)
    dispatch(event("shop.order", extensions={"ferrisreplay": "0b9f7d5e-8c1e-5c53-9d5c-6a1f3f0c8e42"}))
    assert not Delivery.objects.exists()


def test_the_end_of_an_execution_is_pushed_once(receiver: Receiver) -> None:
    """However often it is reported; of the subscription's own project, and what its filter asks for."""
    mine, other = service("mine", "shop.order", project="shop"), service("other", "shop.order")
    made(receiver.url, "failures", "ferris.execution.failed", filter={"data": {"service": ["mine"]}})
    made(receiver.url, "ends", "ferris.execution.*")
    made(receiver.url, "good", "ferris.execution.completed")
    made(receiver.url, "everything", "shop.none")
    dispatch(event("shop.order"))
    assert Execution.objects.filter(service=other).exists()
    for row in Execution.objects.all():
        execution_claim(row.pk, "w", now())
        for _ in range(2):
            reports_apply(
                [report(row, "execution.failed", reason="script_failed", error="ValueError: x")], now()
            )
    assert {outcome.status for outcome in push()} == {204}
    assert len(receiver.got) == 2
    row = Execution.objects.get(service=mine)
    for got in receiver.got:
        said = json.loads(got.body)
        assert (said["type"], said["subject"]) == ("ferris.execution.failed", str(row.pk))
        assert said["data"]["service"] == "mine"
        assert (said["data"]["project"], said["data"]["reason"]) == ("shop", "script_failed")
        assert said["data"]["error"] == "ValueError: x"
        assert got.headers["ferris-hops"] == "1"
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 2
    assert {json.loads(got.body)["id"] for got in receiver.got} == {
        str(d.event_id) for d in Delivery.objects.all()
    }
    assert push() == []


def test_who_waits_and_is_cancelled_has_ended_too(receiver: Receiver, administrator: Client) -> None:
    service("mine", "shop.order", project="shop")
    made(receiver.url, "ends", "ferris.execution.cancelled")
    dispatch(event("shop.order"))
    row = Execution.objects.get()
    execution_cancel(row.pk, actor="anna", now=now())
    assert len(push()) == 1
    assert json.loads(receiver.got[0].body)["data"]["status"] == "cancelled"
    delivery = Delivery.objects.get()
    assert str(row.pk) in page_of(administrator, f"/subscriptions/ends/deliveries/{delivery.pk}/").html


def test_a_claim_that_lapses_is_taken_up_by_another(receiver: Receiver) -> None:
    made(receiver.url)
    dispatch(event("shop.order"))
    at = now()
    [job] = pushes.deliveries_claim(at, 32).jobs
    assert pushes.deliveries_claim(at, 32).jobs == [], "nobody else sends it meanwhile"
    later = at + pushes.LEASE
    assert [o.status for o in push(later)] == [204]
    pushes.deliveries_settle([sent(job, HERE)], later)  # the first one was only slow
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts) == ("delivered", 2)


def test_two_gateways_send_each_once(receiver: Receiver) -> None:
    for name in ("one", "two", "three"):
        made(receiver.url, name)
    dispatch(*(event("shop.order", {"n": n}) for n in range(8)))
    at, jobs = now(), []

    def claim() -> None:
        from django.db import connection

        while found := pushes.deliveries_claim(at, 32).jobs:
            jobs.extend(found)
            with threading.Lock():
                pushes.deliveries_settle([pushes.Outcome(job, at, 0.0, 204) for job in found], at)
        connection.close()

    threads = [threading.Thread(target=claim) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert len(jobs) == len({job.delivery for job in jobs}) == 24
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}


def test_an_event_stays_in_the_journal_until_it_is_sent(receiver: Receiver) -> None:
    row = subscriptions.subscription_pause(made(receiver.url))
    dispatch(event("shop.order"))
    journal_prune(now() + timedelta(days=1), now() + timedelta(days=1))
    assert Event.objects.exists()
    subscriptions.subscription_disable(row, "test", now())
    journal_prune(now() + timedelta(days=1), now() + timedelta(days=1))
    assert not Event.objects.exists()
    deliveries.subscription_resume(row, now=now())
    [outcome] = push()
    assert "left the journal" in outcome.problem
    assert Delivery.objects.get().status == "failed"
    assert deliveries.deliveries_prune(now() + timedelta(days=1)) == 1


def test_a_router_that_knows_a_removed_one_goes_on(receiver: Receiver) -> None:
    from gateway.router import CatalogView
    from tests.web.platform import NOW, LogRecord, events_dispatch

    row = made(receiver.url)
    table = CatalogView().current()
    subscriptions.subscription_remove(row)
    one = event("shop.order")
    events_dispatch([(one, LogRecord("ferris.events", 0, 0, None, b"", {}, NOW))], table, NOW)
    assert Event.objects.exists()
    assert push() == []


@pytest.fixture
def courier(backends: Any) -> Iterator[Courier]:
    """A courier at work beside the test."""
    heard = Notices(wiring.event_log())
    made = Courier(heard, HERE, alone=True)
    with at_work(heard, made):
        yield made


def test_from_the_api_to_the_receiver(
    chief: Caller, receiver: Receiver, routing: None, courier: Courier
) -> None:
    Project.objects.create(name="shop")
    said = {"name": "orders", "project": "shop", "event_type": "shop.*", "url": receiver.url}
    answer = chief.post("/api/v1/subscriptions/", said)
    assert answer.status_code == 201, answer.content
    problem_of(chief.post("/api/v1/subscriptions/", said), 409)
    secret = answer.json()["secret"]
    assert secret.startswith("whsec_")
    assert b"whsec_" not in chief.get("/api/v1/subscriptions/orders/").content
    chief.post(
        "/api/v1/events/",
        {"specversion": "1.0", "id": "1", "source": "/s", "type": "shop.order"},
        type="application/cloudevents+json",
    )
    until(lambda: Delivery.objects.filter(status="delivered").exists())
    got = receiver.got[0]
    signatures.Check.parse("standard", {}).verify([secret], got.headers, got.body, now=now())
    [row] = chief.get("/api/v1/subscriptions/orders/deliveries/?status=delivered").json()["results"]
    detail = chief.get(f"/api/v1/subscriptions/orders/deliveries/{row['id']}/").json()
    assert detail["log"][0]["status"] == 204
    tried = chief.post("/api/v1/subscriptions/orders/test/")
    assert tried.status_code == 202
    until(lambda: Delivery.objects.filter(status="delivered").count() == 2)
    assert json.loads(receiver.got[1].body)["type"] == "ferris.subscription.test"
    out = StringIO()
    call_command("subscription", "test", "orders", stdout=out)
    assert out.getvalue().startswith("delivered: HTTP 204")
    again = chief.post(f"/api/v1/subscriptions/orders/deliveries/{row['id']}/redeliver/")
    assert again.status_code == 202
    until(lambda: len(receiver.got) == 4)
    assert receiver.got[3].headers["webhook-id"] == got.headers["webhook-id"]


def test_what_comes_back_by_a_webhook_counts_its_hops(anonymous: Caller) -> None:
    from ferris_web.catalog import webhooks

    webhooks.webhook_set("back", now=now(), kind="none", event_type="back")
    answer = anonymous("POST", "/hooks/back/", b"{}", Ferris_Hops="7")
    assert answer.status_code == 202
    assert on_the_log("back")[0]["ferrishops"] == 8
