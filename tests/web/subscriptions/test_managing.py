"""Who may make, change and see subscriptions: over HTTP, in the console, by the command."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from ferris import signatures
from ferris_web.accounts.models import Membership
from ferris_web.catalog import subscriptions
from ferris_web.catalog.models import Project, Subscription
from ferris_web.executions.models import Delivery, DeliveryAttempt
from tests.web.calling import Caller, problem_of
from tests.web.console_pages import page as page_of
from tests.web.platform import dispatch, event
from tests.web.receivers import Receiver
from tests.web.subscriptions.pushing import made, now, push

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


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
