"""Notifications end to end: what is told, once for a storm, to a real receiver; and that targets stay secret and lead
nowhere they must not."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client

from ferris import lifecycle
from ferris.adapters import apprise_target
from ferris.public_addresses import networks
from ferris_web import wiring
from ferris_web.catalog import notifications
from ferris_web.catalog.models import NotificationRule, Project
from ferris_web.executions.models import Execution, Notice, Notification
from ferris_web.executions.services import notices
from ferris_web.executions.services.reports import reports_apply
from gateway.notices import Notices
from gateway.notifier import Notifier, sent
from tests.waiting import until
from tests.web.at_once import at_work
from tests.web.calling import Caller, problem_of
from tests.web.console_pages import page as page_of
from tests.web.platform import dispatch, event, service
from tests.web.receivers import Receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]

HERE = networks(["127.0.0.0/8"])
GATHERED = notices.GATHER


def now() -> datetime:
    return datetime.now(UTC)


def rule(url: str = "json://example.org/s3cr3t", name: str = "pager", **more: Any) -> NotificationRule:
    """A rule as `rule_set` makes it, without asking Apprise about its target, which takes a moment."""
    project, _ = Project.objects.get_or_create(name="testing")
    more = {"kind": "failures", "times": 1, **more}
    row = NotificationRule(
        name=name, project=project, targets=[{"id": "1", "shown": "JSON (json://…)"}], **more
    )
    row.ciphertext = notifications.encrypted({"1": url})
    row.save()
    return row


def failed(
    name: str = "fragile", reason: str = "script_failed", at: datetime | None = None, good: bool = False
) -> None:
    """One execution of a service that ended so."""
    from ferris_web.catalog.models import Service

    if not Service.objects.filter(name=name).exists():
        service(name, f"{name}.go")
    dispatch(event(f"{name}.go", id=str(uuid4())), now=at or now())
    row = Execution.objects.filter(service__name=name, status="queued").latest("created_at")
    Execution.objects.filter(pk=row.pk).update(status="in_progress", claimed_at=at or now())
    from ferris import events

    said = {"execution": str(row.pk), "attempt": row.attempt, "reason": reason}
    kind = lifecycle.COMPLETED if good else lifecycle.FAILED
    report = events.new(kind, "/tests", said, now=at or now())
    for _ in range(2):  # reported twice, it counts once
        reports_apply([report], at or now())


def told(at: datetime) -> list[Notification]:
    before = set(Notification.objects.values_list("pk", flat=True))
    notices.messages_make(at)
    return list(Notification.objects.exclude(pk__in=before).order_by("created_at"))


# --- what is told ------------------------------------------------------------------------------------


def test_three_in_a_row_and_one_message_for_a_storm() -> None:
    rule(times=3, quiet_minutes=10)
    at = now()
    failed(at=at)
    failed(at=at + timedelta(seconds=1))
    failed(good=True, at=at + timedelta(seconds=2))
    for second in (3, 4):
        failed(at=at + timedelta(seconds=second))
    assert not Notice.objects.exists(), "a success lies between"
    for second in (5, 6, 7):
        failed(at=at + timedelta(seconds=second))
    assert Notice.objects.count() == 3
    assert told(at + timedelta(seconds=6)) == [], "those that come with it are waited for"
    [message] = told(at + timedelta(seconds=8) + GATHERED)
    assert message.notices == 3
    assert "fragile failed 3 times in a row: script failed" in message.body
    assert f"{wiring.config().public_url}/executions/" in message.body
    failed(at=at + timedelta(seconds=60))
    assert told(at + timedelta(minutes=5)) == [], "it is quiet"
    [later] = told(at + timedelta(minutes=11))
    assert later.notices == 1


def test_so_many_within_a_time() -> None:
    rule(times=2, within_minutes=10, service="fragile")
    at = now()
    failed(at=at)
    failed("other", at=at)
    failed("other", at=at)
    failed(at=at + timedelta(minutes=20))
    assert not Notice.objects.exists()
    failed(at=at + timedelta(minutes=25))
    assert Notice.objects.get().text == "fragile failed 2 times within 10 min: script failed"


def test_packages_that_cannot_be_installed() -> None:
    rule(kind="environment")
    failed()
    assert not Notice.objects.exists()
    failed(reason="environment")
    assert "packages of fragile" in Notice.objects.get().text


def test_platform_events_of_the_own_project_once() -> None:
    rule(kind="flow_overdue")
    rule(name="off", kind="subscription_disabled")
    late = event(
        "ferris.flow.overdue", {"project": "testing", "promise": "paid", "after": "a", "expected": "b"}
    )
    dispatch(late, event("ferris.flow.overdue", {"project": "other", "promise": "paid"}))
    dispatch(late)
    off = event("ferris.subscription.disabled", {"project": "testing", "subscription": "x", "reason": "410"})
    dispatch(off)
    assert sorted(Notice.objects.values_list("rule__name", "text")) == [
        ("off", "The subscription x was switched off: 410"),
        ("pager", "paid: b did not follow a in time ()"),
    ]


def test_a_rule_that_is_off_tells_nothing() -> None:
    rule(active=False)
    failed()
    assert not Notice.objects.exists()


# --- sent --------------------------------------------------------------------------------------------


def test_it_is_tried_again_and_never_told_twice_at_once() -> None:
    rule()
    failed(at=now())
    at = now() + GATHERED
    assert len(told(at)) == 1
    [message], _ = notices.messages_claim(at, 4)
    assert notices.messages_claim(at, 4)[0] == [], "nobody else sends it meanwhile"
    assert message.url == "json://example.org/s3cr3t"
    notices.messages_settle([(message, "it was not accepted")], at)
    row = Notification.objects.get()
    assert (row.status, row.due_at - at) == ("pending", timedelta(minutes=1))
    for _ in range(3):
        at += timedelta(hours=1)
        [message], _ = notices.messages_claim(at, 4)
        notices.messages_settle([(message, "it was not accepted")], at)
    row.refresh_from_db()
    assert (row.status, row.attempts) == ("failed", 4)
    # One that died while it sent: another sends it.
    failed(at=at)
    at += timedelta(hours=1)
    told(at)
    notices.messages_claim(at, 4)
    [again], _ = notices.messages_claim(at + notices.LEASE, 4)
    notices.messages_settle([(again, "")], at + notices.LEASE)
    assert Notification.objects.filter(status="sent").count() == 1


@pytest.fixture
def notifier(backends: Any) -> Iterator[Notifier]:
    """A notifier at work beside the test."""
    heard = Notices(wiring.event_log())
    made = Notifier(heard, HERE, alone=True)
    with at_work(heard, made):
        yield made


def test_from_the_api_to_a_real_receiver(api: Caller, receiver: Receiver, notifier: Notifier) -> None:
    Project.objects.create(name="testing")
    url = f"json://127.0.0.1:{receiver.port}/s3cr3t-path"
    said = {"name": "pager", "project": "testing", "kind": "failures", "targets": [url]}
    answer = api.post("/api/v1/notification-rules/", said)
    assert (answer.status_code, b"s3cr3t" in answer.content) == (201, False), answer.content
    assert answer.json()["targets"] == ["JSON (json://…)"]
    assert api.post("/api/v1/notification-rules/pager/test/").status_code == 202
    until(lambda: Notification.objects.exclude(status__in=("pending", "sending")).exists())
    [row] = api.get("/api/v1/notification-rules/pager/messages/").json()["results"]
    assert (row["status"], row["problem"]) == ("sent", None)
    [got] = receiver.got
    assert (got.path, json.loads(got.body)["title"]) == ("/s3cr3t-path", "[Ferris] testing: a test")
    assert b"s3cr3t" not in api.get("/api/v1/notification-rules/pager/").content


def test_no_connection_into_the_own_network(receiver: Receiver) -> None:
    """Neither by address, nor by name, nor by a redirect of one that is allowed."""
    for host in ("127.0.0.1", "localhost"):
        message = notices.Message(uuid4(), "", f"json://{host}:{receiver.port}/", "t", "b")
        assert "FERRIS_ALLOW_PRIVATE" in sent(message, ())
    assert receiver.got == []
    allowed = networks(["127.0.0.1/32"])
    elsewhere = f"http://127.0.0.2:{receiver.port}/elsewhere"
    receiver.answers = lambda got: (307, {"Location": elsewhere}, b"")
    message = notices.Message(uuid4(), "", f"json://127.0.0.1:{receiver.port}/", "t", "b")
    assert "127.0.0.2" in sent(message, allowed)
    assert [got.path for got in receiver.got] == ["/"]


@pytest.mark.parametrize(
    "url",
    [
        *("syslog://", "dbus://", "windows://", "mqtt://example.org/t", "file:///etc/passwd", "nonsense", ""),
        *(
            "json://example.org/?attach=/etc/passwd",
            "mailto://a:b@example.org?pgpkey=/etc/passwd",
            "fcm://x/y",
        ),
    ],
)
def test_targets_that_are_refused(url: str) -> None:
    project = Project.objects.create(name="testing")
    with pytest.raises(ValidationError) as error:
        notifications.rule_set("x", project=project, kind="failures", targets=[url])
    assert list(error.value.message_dict) == ["targets"]
    assert "passwd" not in str(error.value)


def test_apprise_knows_what_it_can_read() -> None:
    assert apprise_target.target_name("discord://1234567890/abcdefghijklmnop") == "Discord"
    assert apprise_target.target_name("discord://") == ""


# --- the console -------------------------------------------------------------------------------------


def test_the_console_makes_changes_and_shows(administrator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FERRIS", replace(settings.FERRIS, allow_private=HERE))
    Project.objects.create(name="testing")
    assert "No notification rule yet" in page_of(administrator, "/notifications/").html
    said = {"name": "pager", "project": "testing", "kind": "failures", "times": "3", "within_minutes": "0",
            "quiet_minutes": "15", "active": "on", "targets": "json://example.org/s3cr3t"}  # fmt: skip
    wrong = administrator.post("/notifications/add/", {**said, "targets": "syslog://x"})
    assert (wrong.status_code, b"not among those allowed" in wrong.content) == (422, True)
    assert administrator.post("/notifications/add/", said).status_code == 302
    shown = page_of(administrator, "/notifications/pager/").html
    assert ("s3cr3t" in shown, "JSON (json://…)" in shown) == (False, True)
    assert (
        administrator.post("/notifications/pager/", {**said, "targets": "", "times": "2"}).status_code == 302
    )
    row = NotificationRule.objects.get()
    assert (row.times, notifications.rule_targets(row)) == (
        2, {row.targets[0]["id"]: "json://example.org/s3cr3t"},
    )  # fmt: skip
    administrator.post("/notifications/pager/test/")
    assert "a test" in page_of(administrator, "/notifications/pager/").html
    administrator.post("/notifications/pager/remove/")
    assert not Notification.objects.exists()


def test_only_maintainers_of_its_project(api: Caller, user: Any) -> None:
    from ferris_web.accounts.models import Membership

    rule()
    Membership.objects.filter(user=user).delete()
    assert api.all("/api/v1/notification-rules/") == []
    problem_of(api.get("/api/v1/notification-rules/pager/"), 404)
    Membership.objects.create(user=user, project=Project.objects.get(), role="viewer")
    assert api.get("/api/v1/notification-rules/pager/").status_code == 200
    problem_of(api.put("/api/v1/notification-rules/pager/", {"times": 5}), 403)
    problem_of(api.get("/api/v1/notification-rules/pager/messages/"), 403)


# --- the command ---------------------------------------------------------------------------------------


def command(*words: str, given: str = "", **options: Any) -> tuple[int, list[str]]:
    """Exit status, and the lines that it printed."""
    out, status = io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(given))
        try:
            call_command("notification", *words, stdout=out, **options)
        except CommandError as error:
            status = error.returncode
        except SystemExit as ended:
            status = int(str(ended.code))
    return status, out.getvalue().splitlines()


def test_rules_are_made_and_listed_by_the_command() -> None:
    Project.objects.create(name="shop")
    words = ("add", "pager", "--project", "shop", "--kind", "failures", "--times", "3", "--targets", "-")
    status, lines = command(*words, given="json://example.org/s3cr3t\n")
    assert (status, lines) == (0, ["pager  failures of shop -> JSON (json://…)"])
    told = json.loads(command("list", json=True)[1][0])
    assert {name: told[name] for name in ("name", "project", "times", "targets")} == {
        "name": "pager", "project": "shop", "times": 3, "targets": ["JSON (json://…)"],
    }  # fmt: skip
    assert command("off", "pager")[1] == ["pager  off  failures of shop -> JSON (json://…)"]
    assert command("test", "pager")[0] == 2
    assert command("on", "pager")[0] == 0
    notices.rule_test(notifications.rule_get("pager"), now=now())
    [said] = (json.loads(line) for line in command("log", "pager", json=True)[1])
    assert (said["status"], said["target"]) == ("pending", "JSON (json://…)")
    assert command("remove", "pager")[0] == 0
    assert command("log", "pager")[0] == 2


def test_the_command_takes_no_target_as_an_argument() -> None:
    Project.objects.create(name="shop")
    words = ("add", "pager", "--project", "shop", "--kind", "failures", "--targets")
    assert command(*words, "json://example.org/s3cr3t")[0] == 2
    assert command(*words, "-", given="nonsense\n")[0] == 2
    assert NotificationRule.objects.count() == 0
