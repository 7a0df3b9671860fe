"""Commands of two words: on the platform's machine and from afar they take, print and answer the same."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from ferris import events, notifying, pushing, signatures
from ferris.config import EVENTS
from ferris.moments import stamp
from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.accounts.services import token_create
from ferris_web.catalog import notifications as catalog_notifications
from ferris_web.catalog import subscriptions as catalog_subscriptions
from ferris_web.catalog import webhooks as catalog_webhooks
from ferris_web.catalog.models import (
    NotificationRule,
    Project,
    Repository,
    Schedule,
    Service,
    Subscription,
    Webhook,
)
from ferris_web.catalog.services import schedule_add
from ferris_web.executions.models import DeadLetter, Delivery, Execution, Notification, Replay
from remote import letters, notifications, retries, subscriptions, webhooks, words
from remote.__main__ import main as remotely
from tests.web.folders import SourceFolder
from tests.web.platform import dispatch, event, service

pytestmark = pytest.mark.django_db(transaction=True)

Way = Callable[..., tuple[int, list[Any]]]


@pytest.fixture(params=["here", "from afar"])
def told(request: Any, live_server: Any, backends: Any, capsys: Any, monkeypatch: Any) -> Way:
    """Runs a command one of both ways: its exit status, and the rows of its --json."""
    monkeypatch.setattr(
        settings, "FERRIS", replace(settings.FERRIS, public_url="https://ferris.example", api_rate=0)
    )
    admin = User.objects.create_superuser("root", password="a long password")
    environ = {"FERRIS_URL": live_server.url, "FERRIS_TOKEN": token_create(admin)}

    def here(words: list[str]) -> tuple[int, str]:
        out = io.StringIO()
        try:
            call_command(*words, stdout=out, stderr=io.StringIO())
        except SystemExit as ended:
            return int(str(ended.code)), out.getvalue()
        except CommandError as error:
            return error.returncode, out.getvalue()
        return 0, out.getvalue()

    def afar(words: list[str]) -> tuple[int, str]:
        capsys.readouterr()
        return remotely(words, environ), capsys.readouterr().out

    def run(*words: Any, given: str = "") -> tuple[int, list[Any]]:
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        status, said = (here if request.param == "here" else afar)([*map(str, words), "--json"])
        return status, [json.loads(line) for line in said.splitlines()]

    return run


def test_the_choices_are_those_of_the_platform() -> None:
    assert dict(pushing.FORMS).keys() == set(subscriptions.FORMS)
    assert set(Delivery.Status.values) == set(subscriptions.STATUSES)
    assert subscriptions.OVERLAP_HOURS == catalog_subscriptions.OVERLAP_HOURS
    assert webhooks.KINDS == signatures.KINDS
    assert webhooks.OVERLAP_HOURS == catalog_webhooks.OVERLAP_HOURS
    assert dict(notifying.KINDS).keys() == set(notifications.KINDS)


def test_subscriptions(told: Way) -> None:
    Project.objects.create(name="shop")
    add = ("subscription", "add", "orders", "shop.*", "-", "--filter", '{"data": {"a": [1]}}')
    assert told(*add, given="https://example.org/hooks\n") == (2, [])  # a new one needs its project
    status, [made] = told(
        *add, "--project", "shop", "--header", "X-Of: shop", given="https://example.org/hooks\n"
    )
    assert status == 0
    assert made.pop("secret").startswith("whsec_")
    assert made == {
        "name": "orders", "status": "active", "event_type": "shop.*", "receiver": "https://example.org",
        "disabled_reason": None, "failing_since": None, "project": "shop",
    }  # fmt: skip
    row = Subscription.objects.get()
    assert (row.url, row.filter, row.headers) == (
        "https://example.org/hooks",
        {"data": {"a": [1]}},
        {"X-Of": "shop"},
    )
    assert told("subscription", "list") == (0, [made])
    assert told("subscription", "list", "--project", "shop") == (0, [made])
    assert told("subscription", "pause", "orders") == (0, [{**made, "status": "paused"}])
    assert told("subscription", "resume", "orders", "--skip") == (0, [made])
    status, [changed] = told("subscription", "add", "orders", "shop.order.*", "https://example.com/")
    assert (changed["receiver"], "secret" in changed) == ("https://example.com", False)
    status, [rotated] = told("subscription", "rotate", "orders", "--overlap-hours", "1")
    assert (status, rotated["name"], rotated["secret"][:6]) == (0, "orders", "whsec_")
    now = datetime.now(UTC)
    sent = Delivery.objects.create(
        subscription=row, event_key=uuid4(), event_type="shop.order", event_id="7", status="failed", attempts=2,
        created_at=now, due_at=now, finished_at=now,
    )  # fmt: skip
    status, [delivery] = told("subscription", "log", "orders", "--status", "failed")
    wanted = {"id": str(sent.pk), "event_id": "7", "attempts": 2, "last_problem": None, "last_status": 0}
    assert wanted.items() <= delivery.items()
    assert delivery["created_at"].endswith("Z")
    assert told("subscription", "redeliver", "orders", "--hours", "1") == (
        0,
        [{"name": "orders", "deliveries": 1}],
    )
    assert told("subscription", "remove", "orders") == (0, [{"name": "orders", "removed": True}])
    for word in ("pause", "rotate", "log", "test", "redeliver", "remove"):
        assert told("subscription", word, "orders") == (2, []), word
    assert told("subscription", "add", "x", "shop.*", "nonsense", "--project", "shop")[0] == 2


def test_webhooks(told: Way) -> None:
    new = ("webhook", "new", "till", "--kind", "hmac", "--option", "header=X-Of", "--type", "till.said")
    status, [made] = told(*new)
    assert (status, bool(made.pop("secret"))) == (0, True)
    assert made == {
        "name": "till", "kind": "hmac", "active": True, "event_type": "till.said", "description": None,
        "previous_until": None, "address": "https://ferris.example/hooks/till/",
    }  # fmt: skip
    assert told(*new) == (2, [])
    assert Webhook.objects.get().options["header"] == "X-Of"
    assert told("webhook", "list") == (0, [made])
    status, [rotated] = told(
        "webhook", "rotate", "till", "--secret", "-", given="a secret of the sender's own\n"
    )
    assert (status, "secret" in rotated, bool(rotated["previous_until"])) == (0, False, True)
    assert told("webhook", "rotate", "till", "--secret", "as-an-argument") == (2, [])
    assert told("webhook", "test", "till")[0] == 0
    assert told("webhook", "test", "nothing")[0] == 2
    assert told("webhook", "new", "open", "--kind", "none")[0] == 0
    assert told("webhook", "rotate", "open") == (2, [])
    assert told("webhook", "new", "x", "--kind", "hmac", "--option", "nonsense") == (2, [])


def test_notification_rules(told: Way) -> None:
    Project.objects.create(name="shop")
    add = ("notification", "add", "pager", "--project", "shop", "--kind", "failures", "--targets")
    assert told(*add, "json://example.org/s3cr3t") == (2, [])
    status, [made] = told(*add, "-", "--times", "3", given="json://example.org/s3cr3t\n")
    assert status == 0
    assert made == {
        "name": "pager", "kind": "failures", "active": True, "service": None, "times": 3, "within_minutes": 0,
        "quiet_minutes": made["quiet_minutes"], "quiet_until": None, "project": "shop", "targets": ["JSON (json://…)"],
    }  # fmt: skip
    assert told("notification", "list", "--project", "shop") == (0, [made])
    assert told("notification", "off", "pager") == (0, [{**made, "active": False}])
    assert told("notification", "test", "pager")[0] == 2  # nothing is sent for one that is off
    assert told("notification", "on", "pager") == (0, [made])
    assert told("notification", "add", "pager", "--times", "5") == (0, [{**made, "times": 5}])
    assert told("notification", "log", "pager") == (0, [])
    assert told("notification", "remove", "pager") == (0, [{"name": "pager", "removed": True}])
    assert not NotificationRule.objects.exists()
    for word in ("on", "test", "log", "remove"):
        assert told("notification", word, "pager") == (2, []), word


def test_samples_wait_together(told: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project.objects.create(name="shop")
    targets = [f"json://{name}.example.org/" for name in "abc"]
    catalog_notifications.rule_set("pager", project=project, kind="failures", targets=targets)
    clock = [0.0]
    outcomes: list[str] = []

    def sleep(seconds: float) -> None:
        """A gateway sends one meanwhile."""
        clock[0] += seconds
        for row in Notification.objects.filter(status="pending")[:1]:
            if outcomes:
                Notification.objects.filter(pk=row.pk).update(status=outcomes.pop(0))

    monkeypatch.setattr(words, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))
    outcomes[:] = ["sent", "failed", "sent"]
    status, rows = told("notification", "test", "pager")
    assert (status, [row["status"] for row in rows]) == (1, ["sent", "failed", "sent"])
    assert clock[0] < 2
    outcomes[:] = ["sent"]
    status, rows = told("notification", "test", "pager")
    assert (status, [row["status"] for row in rows]) == (2, ["sent"])
    assert clock[0] < words.PATIENCE + 3, "the two that nobody sends wait together"


def test_projects(told: Way, source: SourceFolder) -> None:
    source.service("orders")
    source.service("wrong", "{")
    status, [added, synced] = told("project", "add", "shop", source.root)
    assert (status, added["source"], added["public_key"]) == (1, str(source.root), None)
    assert (synced["source"], synced["status"], synced["error"]) == (str(source.root), "completed", None)
    assert (synced["result"]["added"], synced["result"]["refused"]) == (["orders"], ["wrong"])
    status, [seen] = told("sync", "shop", "--preview")
    assert (status, seen["result"]["refused"]) == (1, ["wrong"])
    assert seen.keys() == {"source", "branch", "commit", "result"}
    assert told("sync", "shop", "--branch", "next") == (2, [])  # a sync reads the branch that is followed
    source.remove("wrong")
    status, [synced] = told("project", "add", "shop", source.root)  # known already: synced again
    assert (status, synced["status"]) == (0, "completed")
    status, [row] = told("project", "list")
    assert (status, row["name"], row["services"]) == (0, "shop", 1)
    [kept] = row["repositories"]
    assert kept.keys() == {"source", "branch", "folder", "commit", "synced_at"}
    assert (kept["source"], kept["branch"]) == (str(source.root), None)
    url = "ssh://git@git.example.org/team/scripts.git"
    status, [added] = told(
        "project", "add", "shop", url, "--branch", "main", "--deploy-key", "--folder", "all"
    )
    made = Repository.objects.get(source=url)
    assert (status, made.branch, made.folder) == (0, "main", "all")
    assert added["public_key"] == made.public_key
    assert told("project", "add", "shop", source.root, "--branch", "x") == (2, [])
    assert told("project", "remove", "shop") == (0, [{"project": "shop", "deactivated": ["orders"]}])
    assert Service.objects.get().vanished_at
    assert not Repository.objects.exists()
    assert told("project", "remove", "nothing") == (2, [])


def test_replays(told: Way) -> None:
    service("a", "order.*")
    then = datetime.now(UTC) - timedelta(hours=1)
    dispatch(*(event("order.placed", {"n": n}, correlation_id=f"F{n % 2}") for n in range(5)), now=then)
    start = ("replay", "start", "--service", "a", "--since", "2h")
    assert told(*start, "--count") == (0, [{"events": 5, "flows": 2}])
    assert told(*start) == (2, [])  # nobody to ask
    assert told(*start, "--type", "other", "--yes") == (1, [])
    assert told(*start, "--filter", "{") == (2, [])
    assert told("replay", "start", "--since", "nonsense", "--yes") == (2, [])
    status, [begun] = told(*start, "--filter", '{"data": {"n": [{"numeric": ["<", 3]}]}}', "--yes")
    ident = str(Replay.objects.get().pk)
    assert (status, begun["id"], begun["status"], begun["expected"]) == (0, ident, "running", 3)
    assert (begun["event_type"], begun["service"], begun["since"][-1]) == ("*", "a", "Z")
    assert told("replay", "list") == (0, [begun])
    assert told("replay", "show", ident) == (0, [{**begun, "routed": 0, "executions": {}}])
    assert told("replay", "stop", ident) == (0, [{**begun, "status": "stopped"}])
    assert told("replay", "stop", ident) == (2, [])
    assert told("replay", "resume", ident) == (0, [begun])
    assert told("replay", "show", "00000000-0000-0000-0000-000000000000") == (2, [])


def test_connections(told: Way, tmp_path: Path) -> None:
    Project.objects.create(name="shop")
    with sqlite3.connect(tmp_path / "a.db") as made:
        made.execute("CREATE TABLE t (n)")
    add = ("connection", "add", "house", "-", "--project", "shop", "--read-only")
    status, [row] = told(*add, given=f"sqlite:///{tmp_path}/a.db\n")
    assert (status, row.pop("reached")) == (0, True)
    assert "answered" in row.pop("said")
    assert row == {
        "name": "house", "description": None, "read_only": True, "every_project": False,
        "url": f"sqlite:///{tmp_path}/a.db", "projects": ["shop"],
    }  # fmt: skip
    assert told("connection", "list") == (0, [row])
    assert told("connection", "test", "house")[0] == 0
    status, [changed] = told("connection", "add", "house", f"sqlite:///{tmp_path}/none.db", "--every-project")
    assert (status, changed["reached"], changed["projects"], changed["read_only"]) == (0, False, [], False)
    assert told("connection", "test", "house")[0] == 1
    assert told("connection", "add", "house", "ftp://a") == (2, [])
    assert told("connection", "add", "house", f"sqlite:///{tmp_path}/a.db", "--project", "none") == (2, [])
    assert told("connection", "remove", "house") == (0, [{"name": "house", "removed": True}])
    for word in ("test", "remove"):
        assert told("connection", word, "house") == (2, [])


def test_missed_runs(told: Way) -> None:
    begun = datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(hours=4)
    row = schedule_add(service("report"), origin=Schedule.Origin.PERSON, cron="0 * * * *", now=begun)
    Schedule.objects.update(created_at=begun)
    status, missed = told("backfill", "report", "--since", stamp(begun), "--until", "1m")
    due = stamp(begun.replace(minute=0) + timedelta(hours=1))
    assert (status, len(missed) >= 3) == (0, True)
    assert missed[0] == {"service": "report", "schedule": str(row.pk), "due": due, "asked": False}
    assert told("backfill", "report", "--at", due) == (2, [])
    assert told("backfill", "report", "--run", "--at", due) == (0, [{**missed[0], "asked": True}])
    assert told("backfill", "report", "--run", "--at", stamp(begun)) == (2, [])  # it was not due then
    assert told("backfill", "none") == (2, [])
    other = schedule_add(service("other"), origin=Schedule.Origin.PERSON, cron="1 * * * *", now=begun)
    assert told("backfill", "report", "--schedule", other.pk) == (2, [])
    second = schedule_add(row.service, origin=Schedule.Origin.PERSON, cron="2 * * * *", now=begun)
    assert told("backfill", "report") == (2, [])
    status, found = told("backfill", "report", "--schedule", second.pk, "--since", stamp(begun))
    assert (status, {one["schedule"] for one in found}) == (0, {str(second.pk)})
    sent = [events.from_record(r.value, r.headers, now=begun) for r in wiring.event_log().browse(EVENTS)]
    assert [stamp(one.time) for one in sent] == [due]


def test_dead_letters(told: Way) -> None:
    now = datetime.now(UTC)
    whole = events.encode(event("a.happened", id="1"))
    for offset, value, kind in ((0, whole, "a.happened"), (1, b"{", "")):
        DeadLetter.objects.create(
            topic=EVENTS, offset=offset, reason="not_dispatched", event_type=kind, value=value, created_at=now
        )
    status, groups = told("redrive")
    assert (status, sorted((one["event_type"], one["count"], one["waiting"]) for one in groups)) == (
        0,
        [("", 1, 1), ("a.happened", 1, 1)],
    )
    assert set(groups[0]) == set(letters.GROUP)
    assert told("redrive", "--reason", "not_dispatched") == (2, [])  # nobody says yes
    assert told("redrive", "--reason", "not_dispatched", "--dry-run") == (0, [{"count": 2}])
    assert told("redrive", "--type", "", "--yes") == (1, [{"sent": 0, "refused": 1}])
    assert told("redrive", "--reason", "not_dispatched", "--since", "5m", "--yes") == (
        1,
        [{"sent": 1, "refused": 1}],
    )
    assert told("redrive", "--type", "a.happened", "--yes") == (0, [{"sent": 0, "refused": 0}])
    assert told("redrive", "--since", "soon")[0] == 2
    assert len(wiring.event_log().browse(EVENTS)) == 1


def test_failures(told: Way) -> None:
    service("alpha", "go")
    service("beta", "go")
    now = datetime.now(UTC)
    dispatch(*(event("go", {"n": number}) for number in range(2)), now=now)
    for row in Execution.objects.all():
        row.status, row.reason, row.error, row.finished_at = "failed", "script_failed", "ValueError: 7", now
        row.save()
    status, groups = told("retry")
    assert status == 0
    assert {(one["service"], one["reason"], one["count"]) for one in groups} == {
        ("alpha", "script_failed", 2),
        ("beta", "script_failed", 2),
    }
    assert told("retry", "--service", "alpha") == (2, [])  # nobody says yes
    assert told("retry", "--service", "alpha", "--dry-run") == (0, [{"count": 2}])
    assert told("retry", "--service", "alpha", "--yes") == (0, [{"sent": 2, "refused": 0}])
    asked = wiring.event_log().browse(EVENTS, offset=0, limit=100)
    dispatch(*(events.from_record(record.value, record.headers, now=now) for record in asked), now=now)
    assert told("retry", "--service", "alpha", "--yes") == (0, [{"sent": 0, "refused": 0}])
    Service.objects.filter(name="beta").update(active=False)
    assert told("retry", "--reason", "script_failed", "--since", "1h", "--yes") == (
        1,
        [{"sent": 0, "refused": 2}],
    )
    assert told("retry", "--since", "soon", "--service", "beta")[0] == 2
    assert told("retry", "--from-failed-step", "--service", "beta")[0] == 2
    assert told("retry", "no-id") == (2, [])


def test_single_executions_run_again(told: Way) -> None:
    service("alpha", "go")
    now = datetime.now(UTC)
    dispatch(*(event("go", {"n": number}) for number in range(2)), now=now)
    rows = list(Execution.objects.order_by("pk"))
    Execution.objects.update(status="failed", reason="script_failed", finished_at=now)
    status, found = told("retry", *(str(row.pk) for row in rows))
    assert status == 0
    assert [one["execution"] for one in found] == [str(row.pk) for row in rows]
    for one, row in zip(found, rows, strict=True):
        assert tuple(one) == retries.AGAIN
        assert one["id"] not in (str(row.pk), None)
        assert one["flow_id"] == one["correlation_id"] == row.flow_id
        assert one["url"].endswith(f"/api/v1/executions/{one['id']}/")
    assert len({one["event_id"] for one in found}) == 2
    Execution.objects.filter(pk=rows[0].pk).update(status="queued", finished_at=None)
    status, found = told("retry", str(rows[0].pk), str(rows[1].pk))
    assert (status, [one["execution"] for one in found]) == (1, [str(rows[1].pk)])
    assert told("retry", str(rows[0].pk)) == (2, [])
    assert told("retry", "no-id") == (2, [])
