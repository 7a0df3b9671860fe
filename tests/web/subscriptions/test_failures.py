"""What happens when a push fails: again and again, switched off, taken up."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from ferris import events
from ferris_web.catalog import subscriptions
from ferris_web.catalog.models import Subscription
from ferris_web.executions.models import Delivery
from ferris_web.executions.services import (
    deliveries,
    pushes,
)
from tests.web.platform import dispatch, event
from tests.web.receivers import Receiver
from tests.web.subscriptions.pushing import made, now, on_the_log, push

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


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


def test_one_that_fails_takes_no_turn_from_others(receiver: Receiver) -> None:
    ill = made(receiver.url, "ill")
    made(receiver.url, "well")
    Subscription.objects.filter(pk=ill.pk).update(failing_since=now())
    dispatch(*(event("shop.order", {"n": n}) for n in range(20)))
    jobs = pushes.deliveries_claim(now(), 32).jobs
    per = [job.subscription for job in jobs]
    assert per.count(ill.pk) == 1
    assert len(per) == 1 + pushes.PARALLEL
