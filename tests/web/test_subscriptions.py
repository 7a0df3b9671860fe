"""Subscriptions end to end: what is pushed to a real receiver, how it is signed, what happens when it fails, who
may do what, and that it leads nowhere it must not."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client

from ferris import events, signatures
from ferris.adapters import http_push
from ferris.public_addresses import networks
from ferris.pushing import target
from ferris_web import wiring
from ferris_web.accounts.models import Membership, User
from ferris_web.accounts.services import token_create
from ferris_web.catalog import subscriptions
from ferris_web.catalog.models import Project, Subscription
from ferris_web.executions.models import Delivery, DeliveryAttempt, Event, Execution
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
from tests.web.calling import Caller, problem_of
from tests.web.console_pages import page as page_of
from tests.web.platform import dispatch, event, report, service
from tests.web.receivers import Receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]

HERE = networks(["127.0.0.0/8"])
KEYS = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]


@pytest.fixture(autouse=True)
def _local_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FERRIS", replace(settings.FERRIS, allow_private=HERE))


@pytest.fixture
def chief(backends: Any, administrator: Client) -> Caller:
    """A program of an administrator."""
    return Caller(token_create(User.objects.get(username="root")))


def now() -> datetime:
    return datetime.now(UTC)


def made(url: str, name: str = "orders", event_type: str = "shop.*", **more: Any) -> Subscription:
    project, _ = Project.objects.get_or_create(name="shop")
    more.setdefault("secret", KEYS[0])
    return subscriptions.subscription_set(
        name, now=now(), project=project, event_type=event_type, url=url, **more
    ).subscription


def push(at: datetime | None = None, allowed: Any = HERE) -> list[pushes.Outcome]:
    """What a courier does once."""
    at = at or now()
    outcomes = [sent(job, allowed) for job in pushes.deliveries_claim(at, 32).jobs]
    pushes.deliveries_settle(outcomes, at)
    pushes.subscriptions_tell(at)
    return outcomes


def on_the_log(type: str) -> list[dict[str, Any]]:
    log = wiring.event_log()
    found = [
        json.loads(record.value)
        for topic in log.topics()
        if topic.name == "ferris.events"
        for number in range(len(topic.partitions))
        for record in log.browse("ferris.events", partition=number)
    ]
    return [one for one in found if one["type"] == type]


# --- what is sent ------------------------------------------------------------------------------------


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


# --- failures ----------------------------------------------------------------------------------------


def test_it_is_tried_again_under_the_same_id(receiver: Receiver) -> None:
    receiver.answers = lambda got: (500, {}, b'{"error": "down", "token": "t0ps3cret"}')
    row = made(receiver.url)
    dispatch(event("shop.order"))
    at = now()
    push(at)
    delivery = Delivery.objects.get()
    assert delivery.status == "pending"
    assert timedelta(seconds=5) <= delivery.due_at - at <= timedelta(seconds=6)
    [attempt] = delivery.log.all()
    assert (attempt.status, "down" in attempt.answer, "t0ps3cret" in attempt.answer) == (500, True, False)
    row.refresh_from_db()
    assert row.failing_since == at
    assert push(at) == []
    receiver.answers = lambda got: None
    push(at + timedelta(seconds=10))
    delivery.refresh_from_db()
    row.refresh_from_db()
    assert (delivery.status, delivery.attempts, row.failing_since) == ("delivered", 2, None)
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1


def test_after_ten_attempts_it_has_failed_and_can_be_sent_again(receiver: Receiver) -> None:
    receiver.answers = lambda got: (503, {}, b"")
    made(receiver.url, disable_after_days=30)
    dispatch(event("shop.order"))
    at = now()
    for _ in range(12):
        push(at)
        at += timedelta(days=1, hours=5)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts) == ("failed", 10)
    receiver.answers = lambda got: None
    deliveries.delivery_again(delivery, now=at)
    push(at)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("delivered", 11)


def test_a_receiver_asks_for_time(receiver: Receiver) -> None:
    receiver.answers = lambda got: (429, {"Retry-After": "900"}, b"")
    made(receiver.url)
    dispatch(event("shop.order"))
    at = now()
    push(at)
    assert Delivery.objects.get().due_at == at + timedelta(seconds=900)


def test_gone_switches_it_off_and_tells_once(receiver: Receiver) -> None:
    receiver.answers = lambda got: (410, {}, b"")
    made(receiver.url, event_type="*")
    dispatch(event("shop.order"))
    push()
    push()
    row = Subscription.objects.get()
    assert (row.status, "410" in row.disabled_reason) == ("disabled", True)
    [told] = on_the_log("ferris.subscription.disabled")
    assert (told["subject"], told["data"]["project"], told["data"]["waiting"]) == ("orders", "shop", 1)
    assert "hook" not in json.dumps(told["data"]["receiver"])
    dispatch(events.parse(json.dumps(told).encode(), now=now()))  # it is told of itself to others only
    assert Delivery.objects.count() == 1
    # A gateway that died between the event and the note tells the same again: it is one event.
    Subscription.objects.update(disabled_told=False)
    pushes.subscriptions_tell(now())
    one, two = on_the_log("ferris.subscription.disabled")
    assert (one["id"], one["source"]) == (two["id"], two["source"])


def test_days_of_failures_switch_it_off_and_it_resumes(receiver: Receiver) -> None:
    receiver.answers = lambda got: (500, {}, b"")
    row = made(receiver.url, disable_after_days=1)
    dispatch(event("shop.order"))
    at = now()
    for hours in (0, 1, 2, 20, 30):
        push(at + timedelta(hours=hours))
    row.refresh_from_db()
    assert row.status == "disabled"
    dispatch(event("shop.order"))
    assert Delivery.objects.count() == 1, "what comes while it is off is not kept"
    receiver.answers = lambda got: None
    deliveries.subscription_resume(row, now=at + timedelta(hours=31))
    push(at + timedelta(hours=31))
    assert Delivery.objects.get().status == "delivered"


def test_paused_it_keeps_what_comes(receiver: Receiver) -> None:
    row = subscriptions.subscription_pause(made(receiver.url))
    dispatch(event("shop.order"))
    assert push() == []
    row = deliveries.subscription_resume(row, now=now())
    assert len(push()) == 1
    row = subscriptions.subscription_pause(row)
    dispatch(event("shop.order"))
    deliveries.subscription_resume(row, waiting="skip", now=now())
    assert push() == []
    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["cancelled", "delivered"]


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


def test_one_that_fails_takes_no_turn_from_others(receiver: Receiver) -> None:
    ill = made(receiver.url, "ill")
    made(receiver.url, "well")
    Subscription.objects.filter(pk=ill.pk).update(failing_since=now())
    dispatch(*(event("shop.order", {"n": n}) for n in range(20)))
    jobs = pushes.deliveries_claim(now(), 32).jobs
    per = [job.subscription for job in jobs]
    assert per.count(ill.pk) == 1
    assert len(per) == 1 + pushes.PARALLEL


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


# --- where it leads ----------------------------------------------------------------------------------


def test_private_addresses_are_refused(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    made(receiver.url)
    dispatch(event("shop.order"))
    [outcome] = push(allowed=())
    assert (outcome.status, receiver.got) == (0, [])
    assert "FERRIS_ALLOW_PRIVATE" in outcome.problem
    monkeypatch.setattr(settings, "FERRIS", replace(settings.FERRIS, allow_private=()))
    for url in ("http://127.0.0.1/", "http://[::ffff:10.0.0.1]/", "http://169.254.169.254/latest/"):
        with pytest.raises(ValidationError, match="not allowed"):
            made(url, "other")
    # Other spellings of an address are names, which are judged as what they lead to.
    for host in ("localhost", "2130706433", "0x7f000001", "127.1", "017700000001"):
        answer = http_push.post(target(f"http://{host}:{receiver.port}/"), {}, b"", seconds=5, allowed=())
        assert (answer.status, bool(answer.problem)) == (0, True), host
    assert receiver.got == []


def test_a_name_is_looked_up_once(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is looked at and private a moment later: the connection goes where was looked."""
    asked = []

    def resolve(host: str, port: int, *args: Any, **more: Any) -> Any:
        asked.append(host)
        first = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (first, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    answer = http_push.post(
        target(f"http://rebinding.example:{receiver.port}/x"), {}, b"{}", seconds=5, allowed=HERE
    )
    assert (answer.status, asked) == (204, ["rebinding.example"])
    assert receiver.got[0].headers["host"] == f"rebinding.example:{receiver.port}"
    assert http_push.post(target("http://rebinding.example/"), {}, b"", seconds=5, allowed=HERE).status == 0


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, *args: Any, **more: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    answer = http_push.post(target("http://both.example/"), {}, b"", seconds=5, allowed=())
    assert "10.0.0.1 is private" in answer.problem


def test_redirects_are_not_followed_and_answers_are_cut(receiver: Receiver) -> None:
    made(receiver.url + "/a-token-nobody-may-see")
    dispatch(event("shop.order"))
    receiver.answers = lambda got: (
        302,
        {"Location": receiver.url + "/elsewhere"},
        got.path.encode() * 10_000,
    )
    [outcome] = push()
    assert (outcome.status, len(receiver.got)) == (302, 1)
    assert "redirect" in outcome.problem
    assert len(outcome.answer) <= pushes.SHOWN
    assert "a-token-nobody-may-see" not in outcome.answer


def test_a_receiver_that_dribbles_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte now and then does not lengthen the time that it has."""
    listening = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def dribble() -> None:
        one, _ = listening.accept()
        with one:
            while not stop.wait(0.02):
                try:
                    one.send(b"H")
                except OSError:
                    return

    thread = threading.Thread(target=dribble, daemon=True)
    thread.start()
    port = listening.getsockname()[1]
    answer = http_push.post(target(f"http://127.0.0.1:{port}/"), {}, b"{}", seconds=0.3, allowed=HERE)
    stop.set()
    thread.join(10)
    listening.close()
    assert (answer.status, answer.problem) == (0, "no answer within 0.3 s")


# --- the whole way -----------------------------------------------------------------------------------


@pytest.fixture
def courier(backends: Any) -> Iterator[Courier]:
    """A courier at work beside the test."""
    heard = Notices(wiring.event_log())
    made = Courier(heard, HERE, alone=True)
    for role in (heard, made):
        role.start()
    yield made
    for role in (heard, made):
        role.stop()
        role.join(10)


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
    wait_until(lambda: Delivery.objects.filter(status="delivered").exists())
    got = receiver.got[0]
    signatures.Check.parse("standard", {}).verify([secret], got.headers, got.body, now=now())
    [row] = chief.get("/api/v1/subscriptions/orders/deliveries/?status=delivered").json()["results"]
    detail = chief.get(f"/api/v1/subscriptions/orders/deliveries/{row['id']}/").json()
    assert detail["log"][0]["status"] == 204
    tried = chief.post("/api/v1/subscriptions/orders/test/")
    assert tried.status_code == 202
    wait_until(lambda: Delivery.objects.filter(status="delivered").count() == 2)
    assert json.loads(receiver.got[1].body)["type"] == "ferris.subscription.test"
    out = StringIO()
    call_command("subscription", "test", "orders", stdout=out)
    assert out.getvalue().startswith("delivered: HTTP 204")
    again = chief.post(f"/api/v1/subscriptions/orders/deliveries/{row['id']}/redeliver/")
    assert again.status_code == 202
    wait_until(lambda: len(receiver.got) == 4)
    assert receiver.got[3].headers["webhook-id"] == got.headers["webhook-id"]


def wait_until(true: Any) -> None:
    import time

    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_comes_back_by_a_webhook_counts_its_hops(anonymous: Caller) -> None:
    from ferris_web.catalog import webhooks

    webhooks.webhook_set("back", now=now(), kind="none", event_type="back")
    answer = anonymous("POST", "/hooks/back/", b"{}", Ferris_Hops="7")
    assert answer.status_code == 202
    assert on_the_log("back")[0]["ferrishops"] == 8


# --- who may -----------------------------------------------------------------------------------------


def test_viewers_see_less_and_strangers_nothing(api: Caller, user: Any, receiver: Receiver) -> None:
    """Which role a route asks for is told by tests/web/test_permissions.py; here what is behind it."""
    made(receiver.url + "/s3cr3t-path", headers={"X": "y"})
    Membership.objects.filter(user=user).delete()
    assert api.all("/api/v1/subscriptions/") == []
    member = Membership.objects.create(user=user, project=Project.objects.get(name="shop"), role="viewer")
    seen = api.get("/api/v1/subscriptions/orders/")
    assert (seen.status_code, b"s3cr3t-path" in seen.content) == (200, False)
    assert b"s3cr3t-path" not in api.get("/api/v1/subscriptions/?project=shop").content
    problem_of(api.put("/api/v1/subscriptions/orders/", {"event_type": "*"}), 403)
    person = Client()
    person.force_login(user)
    assert "/subscriptions/orders/" not in page_of(person, "/subscriptions/").html
    member.role = "maintainer"
    member.save()
    assert b"s3cr3t-path" in api.get("/api/v1/subscriptions/orders/").content
    Project.objects.create(name="theirs")
    said = {"name": "new", "project": "theirs", "event_type": "*", "url": receiver.url}
    problem_of(api.post("/api/v1/subscriptions/", said), 404)
    problem_of(api.put("/api/v1/subscriptions/orders/", {"project": "theirs"}), 404)
    wrong = {**said, "form": "structured", "timeout_seconds": "5", "disable_after_days": "5"}
    assert person.post("/subscriptions/add/", wrong).status_code == 403
    assert Subscription.objects.get().event_type == "shop.*"


def test_a_delivery_is_found_under_its_own_subscription(chief: Caller, receiver: Receiver) -> None:
    made(receiver.url)
    dispatch(event("shop.order"))
    made(receiver.url, "other")
    delivery = Delivery.objects.get()
    assert chief.get(f"/api/v1/subscriptions/other/deliveries/{delivery.pk}/").status_code == 404


def test_wrong_settings_name_their_field(chief: Caller) -> None:
    Project.objects.create(name="shop")
    good = {"name": "x", "project": "shop", "event_type": "shop.*", "url": "https://example.org/"}
    for wrong, field in (
        ({"url": "ftp://example.org/"}, "url"),
        ({"url": "https://a:b@example.org/"}, "url"),
        ({"event_type": "a*"}, "event_type"),
        ({"filter": {"data": {"a": [{"nonsense": 1}]}}}, "filter"),
        ({"cesql": "type LIKE"}, "cesql"),
        ({"headers": {"Host": "a"}}, "headers"),
        ({"secret_headers": {"webhook-id": "a"}}, "secret_headers"),
        ({"secret": "short"}, "secret"),
        ({"timeout_seconds": 100}, "timeout_seconds"),
    ):
        problem = problem_of(chief.post("/api/v1/subscriptions/", {**good, **wrong}), 400)
        assert problem["errors"][0]["field"].startswith(field), problem
    missing = problem_of(chief.post("/api/v1/subscriptions/", {**good, "project": None}), 400)
    assert missing["errors"][0]["field"] == "project"
    assert chief.post("/api/v1/subscriptions/", {**good, "project": "none"}).status_code == 404
    assert chief.post("/api/v1/subscriptions/", {**good, "name": "a b"}).status_code == 400
    assert chief.put("/api/v1/subscriptions/x/", {}).status_code == 404
    assert not Subscription.objects.exists()


def test_the_console_makes_changes_and_shows(administrator: Client, receiver: Receiver) -> None:
    Project.objects.create(name="shop")
    said = {"name": "orders", "project": "shop", "event_type": "shop.*", "url": receiver.url, "form": "structured",
            "filter": '{"data": {"n": [1]}}', "headers": "X-Tenant: blue", "secret_headers": "Authorization: s3cr3t",
            "timeout_seconds": "15", "disable_after_days": "5"}  # fmt: skip
    wrong = administrator.post("/subscriptions/add/", {**said, "filter": "{"})
    assert (wrong.status_code, b"is no JSON" in wrong.content) == (422, True)
    answer = administrator.post("/subscriptions/add/", said)
    assert (answer.status_code, b"whsec_" in answer.content) == (200, True)
    assert answer.headers["Cache-Control"] == "no-store"
    dispatch(event("shop.order", {"n": 1}))
    push()
    shown = page_of(administrator, "/subscriptions/orders/")
    assert "s3cr3t" not in shown.html
    assert "whsec_" + "A" not in shown.html
    assert "delivered" in shown.html
    delivery = Delivery.objects.get()
    assert "HTTP 204" in page_of(administrator, f"/subscriptions/orders/deliveries/{delivery.pk}/").html
    answer = administrator.post(
        "/subscriptions/orders/", {**said, "secret_headers": "", "description": "All."}
    )
    assert answer.status_code == 302
    row = Subscription.objects.get()
    assert (row.description, row.secret_headers) == ("All.", ["Authorization"])
    subscriptions.subscription_disable(row, "it was gone", now())
    assert "it was gone" in page_of(administrator, "/subscriptions/").html
    administrator.post("/subscriptions/orders/resume/")
    assert Subscription.objects.get().status == "active"
    administrator.post("/subscriptions/orders/remove/")
    assert not Delivery.objects.exists()
    assert not DeliveryAttempt.objects.exists()
    assert "No subscription yet" in page_of(administrator, "/subscriptions/").html


def test_the_command(receiver: Receiver) -> None:
    Project.objects.create(name="shop")
    out = StringIO()
    call_command(
        "subscription", "add", "orders", "shop.*", receiver.url, "--project", "shop", "--filter",
        '{"data": {"n": [1]}}', "--header", "X-Tenant: blue", stdout=out,
    )  # fmt: skip
    secret = out.getvalue().split()[-1]
    dispatch(event("shop.order", {"n": 1}))
    push()
    signatures.Check.parse("standard", {}).verify(
        [secret], receiver.got[0].headers, receiver.got[0].body, now=now()
    )
    for words, said in (
        (["list"], "orders  active"),
        (["log", "orders"], "delivered  shop.order"),
        (["pause", "orders"], "paused"),
        (["resume", "orders", "--skip"], "active"),
        (["rotate", "orders"], "whsec_"),
        (["redeliver", "orders"], "0 are sent again"),
        (["remove", "orders"], "is gone"),
    ):
        out = StringIO()
        call_command("subscription", *words, stdout=out)
        assert said in out.getvalue()
