"""Webhooks end to end: who may make them, who may send, what it becomes, and that nothing secret is told."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from ferris import signatures
from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.accounts.services import token_create
from ferris_web.catalog import webhooks
from ferris_web.catalog.models import Webhook, WebhookDelivery
from ferris_web.executions.checkup import platform
from ferris_web.executions.models import Event, Execution
from tests.waiting import until
from tests.web.calling import Caller, problem_of
from tests.web.console_pages import page as page_of
from tests.web.platform import service
from tests.web.test_commands import run as command

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]

SECRET = "It's a Secret to Everybody"
BODY = b'{"ref": "refs/heads/main", "token": "t0ps3cret"}'


@pytest.fixture
def chief(backends: Path, administrator: Client) -> Caller:
    """A program of an administrator."""
    return Caller(token_create(User.objects.get(username="root")))


def now() -> datetime:
    return datetime.now(UTC)


def made(name: str = "github", kind: str = "github", secret: str | None = SECRET, **more: Any) -> Webhook:
    return webhooks.webhook_set(name, now=now(), kind=kind, secret=secret, **more).webhook


def signed(body: bytes = BODY, secret: str = SECRET, **headers: str) -> dict[str, str]:
    check = signatures.Check.parse("github", {})
    return {**check.sign(secret, body, id="", now=now()), "X-GitHub-Delivery": "d1", **headers}


def sent(
    anonymous: Caller, headers: dict[str, str], body: bytes = BODY, name: str = "github", **more: Any
) -> Any:
    return anonymous("POST", f"/hooks/{name}/", body, **more, **headers)


def on_the_log() -> list[dict[str, Any]]:
    log = wiring.event_log()
    [topic] = [topic for topic in log.topics() if topic.name == "ferris.events"]
    found = (log.browse("ferris.events", partition=number) for number in range(len(topic.partitions)))
    return [json.loads(record.value) for records in found for record in records]


# --- in ----------------------------------------------------------------------------------------------


def test_a_delivery_becomes_an_event_and_runs_a_service_once(anonymous: Caller, routing: None) -> None:
    service("deploy", "github.push")
    made(event_type="github", type_from="header:X-GitHub-Event")
    for _ in range(3):
        answer = sent(anonymous, signed(**{"X-GitHub-Event": "push"}))
        assert (answer.status_code, answer.json()) == (202, {"id": "d1"})
    until(lambda: Execution.objects.exists())
    event = Event.objects.get(event_id="d1")
    assert (event.type, event.source) == ("github.push", "ferris/webhook/github")
    assert event.data["ref"] == "refs/heads/main"
    assert Execution.objects.count() == 1
    outcomes = [row.outcome for row in WebhookDelivery.objects.order_by("id")]
    assert outcomes == ["accepted", "duplicate", "duplicate"]


def test_whatever_is_wrong_the_stranger_is_told_the_same(anonymous: Caller) -> None:
    made()
    made("off", active=False)
    said = {
        sent(anonymous, headers, body, name).content
        for headers, body, name in (
            ({}, BODY, "github"),
            (signed(secret="another secret"), BODY, "github"),
            (signed(), BODY + b" ", "github"),
            ({"X-Hub-Signature-256": "sha256=zz"}, BODY, "github"),
            (signed(), BODY, "off"),
            (signed(), BODY, "nothing"),
        )
    }
    assert len(said) == 1
    problem = problem_of(sent(anonymous, {}), 401)
    assert problem["type"].endswith("/not-authenticated/")
    details = {row.detail for row in WebhookDelivery.objects.all()}
    assert details == {
        "there is no signature of a known form",
        "the signature fits no secret",
        "the webhook is switched off",
    }
    assert not any(row.body or row.headers for row in WebhookDelivery.objects.all())
    assert not Event.objects.exists()


def test_every_kind_is_taken_from_end_to_end(anonymous: Caller, chief: Caller) -> None:
    for kind in signatures.KINDS:
        secret = {"stripe": "whsec_of_stripe"}.get(kind)
        webhooks.webhook_set(f"a-{kind}", now=now(), kind=kind, secret=secret)
        answer = chief.post(f"/api/v1/webhooks/a-{kind}/test/")
        assert answer.status_code == 202, answer.content
        row = WebhookDelivery.objects.get(webhook__name=f"a-{kind}")
        assert (row.outcome, row.test, row.event_type) == ("accepted", True, "ferris.events.webhook.incoming")
        if kind != "none":
            problem_of(sent(anonymous, {}, b"{}", f"a-{kind}"), 401)


def test_an_old_request_is_refused(anonymous: Caller) -> None:
    secret = signatures.Check.parse("standard", {}).new_secret()
    made("std", "standard", secret, window_seconds=60)
    check = signatures.Check.parse("standard", {})
    sign = lambda when: check.sign(secret, b"{}", id="m1", now=when)  # noqa: E731
    problem_of(sent(anonymous, sign(now() - timedelta(seconds=90)), b"{}", "std"), 401)
    problem_of(sent(anonymous, sign(now() + timedelta(seconds=90)), b"{}", "std"), 401)
    answer = sent(anonymous, sign(now()), b"{}", "std")
    assert answer.json() == {"id": "m1"}


def test_what_no_event_can_be_made_of(anonymous: Caller) -> None:
    made()
    assert "X-GitHub-Delivery" in str(
        problem_of(sent(anonymous, {k: v for k, v in signed().items() if "Delivery" not in k}), 400)
    )
    for body in (b"{", b'{"a": "\\u0000"}', b'{"a": "\\ud800"}'):
        problem_of(sent(anonymous, signed(body), body), 400)
    large = b'"' + b"x" * 1024 * 1024 + b'"'
    problem_of(sent(anonymous, signed(large), large), 413)
    problem_of(anonymous.get("/hooks/github/"), 405)
    assert {row.outcome for row in WebhookDelivery.objects.all()} == {"invalid"}
    made("reserved", event_type="ferris", type_from="header:X-T")
    headers = signed(**{"X-T": "execution.requested"})
    assert "reserved" in str(problem_of(sent(anonymous, headers, name="reserved"), 400))


def test_headers_are_kept_as_chosen(anonymous: Caller) -> None:
    made(headers={"X-Tenant": "data.tenant", "X-Region": "region"})
    sent(anonymous, signed(**{"X-Tenant": "blue", "X-Region": "eu"}))
    [event] = on_the_log()
    assert event["data"]["tenant"] == "blue"
    assert event["region"] == "eu"


# --- secrets -----------------------------------------------------------------------------------------


def test_two_secrets_count_while_one_replaces_the_other(anonymous: Caller, chief: Caller) -> None:
    made()
    path = "/api/v1/webhooks/github/"
    assert chief.put(path, {"secret": "the second secret"}).json()["previous_until"]
    for number, secret in enumerate((SECRET, "the second secret")):
        delivery = {"X-GitHub-Delivery": f"n{number}"}
        assert sent(anonymous, signed(secret=secret, **delivery)).status_code == 202
    assert chief.put(path, {"overlap_hours": 0}).json()["previous_until"] is None
    problem_of(sent(anonymous, signed()), 401)
    assert chief.put(path, {"secret": "the third secret", "overlap_hours": 1}).json()["previous_until"]
    Webhook.objects.update(previous_until=now() - timedelta(seconds=1))
    problem_of(sent(anonymous, signed(secret="the second secret")), 401)
    assert sent(anonymous, signed(secret="the third secret")).status_code == 202


def test_a_secret_is_made_told_once_and_encrypted(chief: Caller) -> None:
    answer = chief.put("/api/v1/webhooks/std/", {"kind": "standard"}).json()
    secret = answer["secret"]
    assert secret.startswith("whsec_")
    assert secret not in Webhook.objects.get().ciphertext
    for again in (
        chief.put("/api/v1/webhooks/std/", {"description": "x"}),
        chief.get("/api/v1/webhooks/std/"),
        chief.get("/api/v1/webhooks/"),
    ):
        assert secret not in again.content.decode()
        assert again.status_code == 200
    assert chief.put("/api/v1/webhooks/std/", {"new_secret": True}).json()["secret"] not in (None, secret)


def test_a_secret_that_no_key_opens_is_set_again_and_strangers_learn_nothing(
    anonymous: Caller, chief: Caller
) -> None:
    made()
    Webhook.objects.update(ciphertext="lost")
    problem = problem_of(sent(anonymous, signed()), 503)
    assert "key" not in problem["detail"]
    assert "github" not in problem["detail"]
    assert chief.put("/api/v1/webhooks/github/", {"description": "x"}).status_code == 503
    assert chief.put("/api/v1/webhooks/github/", {"secret": SECRET}).json()["previous_until"] is None
    assert sent(anonymous, signed()).status_code == 202


def test_a_made_secret_is_not_kept_for_repeated_requests(chief: Caller) -> None:
    from ferris_web.accounts.models import RepeatableRequest

    answer = chief("PUT", "/api/v1/webhooks/std/", {"kind": "standard"}, Idempotency_Key="k1")
    secret = answer.json()["secret"].encode()
    assert not any(secret in bytes(row.body or b"") for row in RepeatableRequest.objects.all())


def test_two_at_once_run_a_service_once(anonymous: Caller, routing: None) -> None:
    """Neither sees a note of the other: what the source and the id say keeps the second one from running."""
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection

    service("deploy", "github")
    service("last", "github.done")
    made(event_type="github")
    headers = signed()

    def send(_: int) -> int:
        try:
            return int(sent(Caller(None), headers).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(send, range(8))) == {202}
    made("done", event_type="github.done")
    sent(anonymous, headers, name="done")
    until(lambda: Execution.objects.filter(service__name="last").exists())
    assert Execution.objects.filter(service__name="deploy").count() == 1


def test_what_came_is_shown_without_secrets(anonymous: Caller, chief: Caller, api: Caller) -> None:
    made()
    body = json.dumps({"password": "hidden-one", "note": f"it is {SECRET}", "ok": 1}).encode()
    headers = signed(
        body, **{"Authorization": "Bearer hidden-two", "X-Api-Key": "hidden-3", "X-Shown": "yes"}
    )
    assert sent(anonymous, headers, body).status_code == 202
    [seen] = chief.all("/api/v1/webhooks/github/deliveries/")
    assert seen["headers"]["x-shown"] == "yes"
    assert seen["event_id"] == "d1"
    assert not any(text in json.dumps(seen) for text in ("hidden", SECRET, "sha256="))
    problem_of(api.get("/api/v1/webhooks/github/deliveries/"), 403)


def test_only_the_latest_are_kept(monkeypatch: Any, anonymous: Caller) -> None:
    monkeypatch.setattr(webhooks, "KEPT", 3)
    monkeypatch.setattr(webhooks, "KEPT_REFUSED", 2)
    made()
    for number in range(5):
        sent(anonymous, signed(**{"X-GitHub-Delivery": f"d{number}"}))
        sent(anonymous, {})
    kept = [row.event_id for row in WebhookDelivery.objects.filter(outcome="accepted").order_by("id")]
    assert kept == ["d2", "d3", "d4"]
    assert WebhookDelivery.objects.filter(outcome="refused").count() == 2


def test_strangers_do_not_keep_the_database_busy(anonymous: Caller) -> None:
    made()
    for _ in range(40):
        sent(anonymous, {})
    assert WebhookDelivery.objects.count() < 40


# --- who may -----------------------------------------------------------------------------------------


def test_only_administrators_make_test_and_look_into_webhooks(api: Caller) -> None:
    made()
    for method, path, body in (
        ("PUT", "/api/v1/webhooks/mine/", {"kind": "none"}),
        ("PUT", "/api/v1/webhooks/github/", {"active": False}),
        ("DELETE", "/api/v1/webhooks/github/", None),
        ("POST", "/api/v1/webhooks/github/test/", {}),
        ("GET", "/api/v1/webhooks/github/deliveries/", None),
    ):
        problem_of(api(method, path, body), 403)
    [seen] = api.all("/api/v1/webhooks/")
    assert seen["address"].endswith("/hooks/github/")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "kind"),
        ({"kind": "magic"}, "kind"),
        ({"kind": "stripe"}, "secret"),
        ({"kind": "none", "secret": "long enough"}, "secret"),
        ({"kind": "standard", "secret": "no base64"}, "secret"),
        ({"kind": "hmac", "options": {"algorithm": "md5"}}, "options"),
        ({"kind": "hmac", "options": []}, "options"),
        ({"kind": "github", "event_type": "ferris.execution.x"}, "event_type"),
        ({"kind": "github", "headers": {"X-A": "ferrishops"}}, "headers"),
        ({"kind": "github", "headers": 5}, "headers"),
        ({"kind": "github", "window_seconds": 0}, "window_seconds"),
    ],
)
def test_settings_that_are_none_are_named(chief: Caller, given: dict[str, Any], field: str) -> None:
    problem = problem_of(chief.put("/api/v1/webhooks/x/", given), 400)
    assert {error["field"] for error in problem["errors"]} == {field}
    assert not Webhook.objects.exists()


def test_another_kind_asks_for_another_secret(chief: Caller) -> None:
    made()
    problem = problem_of(chief.put("/api/v1/webhooks/github/", {"kind": "standard"}), 400)
    assert "give a new one" in str(problem)
    assert chief.put("/api/v1/webhooks/github/", {"kind": "none"}).status_code == 200
    assert chief.put("/api/v1/webhooks/github/", {"kind": "token"}).json()["secret"]


def test_the_console_makes_tests_and_removes(person: Client, administrator: Client) -> None:
    form = {
        "name": "orders",
        "kind": "hmac",
        "active": "on",
        "header": "X-Sig",
        "algorithm": "sha512",
        "event_type": "shop.hook",
        "headers": "X-Tenant: data.tenant\n",
    }
    answer = administrator.post("/webhooks/add/", form)
    [secret] = webhooks.secrets_at(Webhook.objects.get(), now())
    assert secret in answer.content.decode()
    row = Webhook.objects.get()
    assert (row.options["header"], row.headers) == ("X-Sig", {"X-Tenant": "data.tenant"})
    page = administrator.post("/webhooks/orders/test/", follow=True).content.decode()
    assert "The sample was taken" in page
    assert "shop.hook" in page
    assert secret not in page
    assert administrator.post("/webhooks/add/", form).status_code == 422
    assert administrator.post("/webhooks/orders/", {**form, "algorithm": "md5"}).status_code == 422
    administrator.post("/webhooks/orders/", {**form, "secret": "a new secret", "overlap_hours": "0"})
    assert webhooks.secrets_at(Webhook.objects.get(), now()) == ["a new secret"]
    for path in ("add/", "orders/"):
        shown = page_of(administrator, f"/webhooks/{path}")
        assert not shown.unclosed
        assert not shown.dangers
        assert max(shown.ids.values()) == 1
        assert not [i for i in shown.inputs if not i["named"] and i.get("id") not in shown.labelled]
    assert "orders" in person.get("/webhooks/").content.decode()
    for path in ("add/", "orders/"):
        assert person.get(f"/webhooks/{path}").status_code == 403
    for path in ("add/", "orders/", "orders/test/", "orders/remove/"):
        assert person.post(f"/webhooks/{path}", form).status_code == 403
    assert administrator.post("/webhooks/orders/remove/").status_code == 302
    assert not Webhook.objects.exists()


def test_the_administration_takes_a_secret_and_shows_none(administrator: Client) -> None:
    form = {
        "name": "gh", "kind": "github", "active": "on", "secret": SECRET, "options": "{}", "headers": "{}",
        "window_seconds": "300", "event_type": "github",
    }  # fmt: skip
    assert administrator.post("/admin/catalog/webhook/add/", {**form, "secret": ""}).status_code == 200
    assert administrator.post("/admin/catalog/webhook/add/", form).status_code == 302
    row = Webhook.objects.get()
    assert webhooks.secrets_at(row, now()) == [SECRET]
    change = f"/admin/catalog/webhook/{row.pk}/change/"
    assert SECRET not in administrator.get(change).content.decode()
    assert administrator.post(change, {**form, "secret": "", "event_type": "gh"}).status_code == 302
    assert webhooks.secrets_at(Webhook.objects.get(), now()) == [SECRET]
    assert administrator.post(change, {**form, "event_type": "ferris.step"}).status_code == 200
    assert administrator.post(change, {**form, "options": '{"x": "y"}'}).status_code == 200


# --- the command, and the doctor ---------------------------------------------------------------------------


def test_the_command_makes_lists_rotates_and_tests(backends: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, secret, told = command("webhook", "new", "hub", "--kind", "github", "--type", "github.event")
    assert (status, len(secret.split())) == (0, 1)
    assert "/hooks/hub/" in told
    assert secret.strip() not in told
    assert webhooks.secrets_at(Webhook.objects.get(), now()) == [secret.strip()]
    assert command("webhook", "new", "hub", "--kind", "github")[0] == 2
    monkeypatch.setattr("sys.stdin", io.StringIO("another-secret-of-theirs\n"))
    status, said, told = command("webhook", "rotate", "hub", "--secret", "-", "--overlap-hours", "1")
    assert (status, said, "counts until" in told) == (0, "", True)
    assert webhooks.secrets_at(Webhook.objects.get(), now()) == ["another-secret-of-theirs", secret.strip()]
    status, new, told = command("webhook", "rotate", "hub", "--overlap-hours", "0")
    assert webhooks.secrets_at(Webhook.objects.get(), now()) == [new.strip()]
    assert "counts no more" in told
    status, sample, _ = command("webhook", "test", "hub")
    assert (status, sample.split()[0]) == (0, "github.event")
    assert on_the_log()[-1]["type"] == "github.event"
    status, listed, _ = command("webhook", "list")
    assert ("hub" in listed, new.strip() in listed) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("new", "a/b", "--kind", "github"), "name"),
        (("new", "a", "--kind", "token", "--option", "header"), "NAME=VALUE"),
        (("new", "a", "--kind", "token", "--option", "colour=red"), "options"),
        (("new", "a", "--kind", "stripe"), "secret"),
        (("new", "a", "--kind", "github", "--secret", "open"), "standard input"),
        (("rotate", "gone"), "no webhook"),
        (("test", "gone"), "no webhook"),
    ],
)
def test_what_is_wrong_with_a_command_is_said(arguments: tuple[str, ...], said: str) -> None:
    status, _, told = command("webhook", *arguments)
    assert (status, said in told) == (2, True), told
    assert not Webhook.objects.exists()


def test_the_doctor_warns_of_webhooks_whose_senders_prove_nothing() -> None:
    made()
    [found] = platform.webhooks("webhooks", now())
    assert found.level == "ok"
    status, secret, told = command("webhook", "new", "open", "--kind", "none")
    assert (status, secret, "prove nothing" in told) == (0, "", True)
    assert command("webhook", "rotate", "open")[0] == 2
    [found] = platform.webhooks("webhooks", now())
    assert (found.level, "open" in found.text, "github" in found.text) == ("warning", True, False)
    webhooks.webhook_set("open", now=now(), active=False)
    assert [one.level for one in platform.webhooks("webhooks", now())] == ["ok"]
