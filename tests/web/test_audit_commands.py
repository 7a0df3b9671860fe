"""What commands on the platform's machine change stands in the audit log: who did it there, and to what."""

from __future__ import annotations

import getpass
import inspect
import io
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import CommandError
from django.utils import timezone

from ferris_web.accounts import noted
from ferris_web.accounts.here import Here
from ferris_web.accounts.models import AuditEntry, User
from ferris_web.accounts.noted import account
from ferris_web.catalog.management.at_home import AtHome
from ferris_web.catalog.models import Project
from ferris_web.executions.models import Execution, Replay
from tests.web.folders import SourceFolder
from tests.web.platform import dispatch, event, service

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]

# They read, are the platform themselves, or send events, which the journal has.
CHANGE_NOTHING = {
    *("backtest", "completion", "doctor", "emit", "environments", "flow", "match", "why"),
    *("ferris", "gateway", "web", "seed_large"),
}


def run(*command: str) -> int:
    try:
        call_command(*command, stdout=io.StringIO(), stderr=io.StringIO())
    except SystemExit as ended:
        return int(ended.code or 0)
    except CommandError as error:
        return error.returncode
    return 0


def entries() -> list[tuple[str, str, str]]:
    """Action, object and project, oldest first."""
    found = AuditEntry.objects.filter(actor="manage.py").order_by("id")
    assert all(entry.said["account"] == account() for entry in found)
    return list(found.values_list("action", "object", "project"))


def test_every_command_is_noted_or_changes_nothing() -> None:
    for name, app in get_commands().items():
        if not str(app).startswith(("ferris_web", "embedded")):
            continue
        made = load_command_class(str(app), name)
        if isinstance(made, (Here, AtHome)):  # over the API, which notes it; or files of one's own
            continue
        notes = "command_noted" in inspect.getsource(sys.modules[type(made).__module__])
        assert notes != (name in CHANGE_NOTHING), name
    assert get_commands()["changepassword"] == get_commands()["createsuperuser"] == "ferris_web.accounts"


def test_projects(source: SourceFolder) -> None:
    source.service("alert", {})
    assert run("project", "add", "quakes", str(source.root)) == 0
    assert run("sync", "quakes", "--preview") == 0
    assert run("project", "list") == 0
    assert run("project", "add", "quakes", str(source.root), "--no-sync") == 0  # there already
    assert run("sync", "nobody") == 2
    added, synced = entries()
    assert added == ("command:project.add", "quakes", "quakes")
    assert synced == ("command:sync", f"quakes {source.root}", "quakes")
    assert AuditEntry.objects.first().project_id == Project.objects.get().pk  # its owners read it
    assert run("project", "remove", "quakes") == 0
    assert entries()[2] == ("command:project.remove", "quakes", "quakes")


def test_what_a_project_has(monkeypatch: pytest.MonkeyPatch) -> None:
    service("mailer", "x", project="shop")
    url = "https://93.184.215.14/s3cr3t"
    assert run("subscription", "add", "pushed", "x", url, "--project", "shop") == 0
    for word in ("pause", "resume", "rotate", "log", "redeliver", "remove"):
        assert run("subscription", word, "pushed") == 0, word
    monkeypatch.setattr(sys, "stdin", io.StringIO("json://a.example/s3cr3t\n"))
    words = ("--kind", "failures", "--project", "shop", "--targets", "-")
    assert run("notification", "add", "late", *words) == 0
    for word in ("off", "on", "log", "remove"):
        assert run("notification", word, "late") == 0, word
    assert run("subscription", "pause", "pushed") == 2
    subscribed = ("add", "pause", "resume", "rotate", "redeliver", "remove")
    wanted = [(f"command:subscription.{word}", "pushed", "shop") for word in subscribed]
    wanted += [(f"command:notification.{word}", "late", "shop") for word in ("add", "off", "on", "remove")]
    assert entries() == wanted
    assert "s3cr3t" not in str(list(AuditEntry.objects.values()))


def test_what_the_platform_has() -> None:
    assert run("webhook", "new", "hub", "--kind", "github") == 0
    assert run("webhook", "rotate", "hub") == 0
    assert run("webhook", "new", "hub", "--kind", "github") == 2
    assert run("connection", "add", "house", "postgresql://me:s3cr3t@127.0.0.1:1/x") == 0
    assert run("connection", "remove", "house") == 0
    assert [entry[:2] for entry in entries()] == [
        ("command:webhook.new", "hub"),
        ("command:webhook.rotate", "hub"),
        ("command:connection.add", "house"),
        ("command:connection.remove", "house"),
    ]
    assert "s3cr3t" not in str(list(AuditEntry.objects.values()))


def test_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "s3cr3t-and-long")
    assert run("createsuperuser", "--noinput", "--username", "ada", "--email", "ada@a.example") == 0
    monkeypatch.setattr(getpass, "getpass", lambda prompt="": "an0ther-s3cr3t")
    assert run("changepassword", "ada") == 0
    assert User.objects.get().check_password("an0ther-s3cr3t")
    assert run("token", "ada", "--name", "nightly", "--days", "2") == 0
    assert run("token", "ben") == 2
    assert [entry[:2] for entry in entries()] == [
        ("command:createsuperuser", "ada"),
        ("command:changepassword", "ada"),
        ("command:token", "ada"),
    ]
    assert AuditEntry.objects.first().said == {"account": account(), "name": "nightly", "days": 2}
    assert "s3cr3t" not in str(list(AuditEntry.objects.values()))


def test_what_runs_again() -> None:
    service("mailer", "x", project="shop")
    dispatch(event("x"), event("x"))
    Execution.objects.update(
        status="failed", reason="script_failed", finished_at=Execution.objects.first().created_at
    )
    first = str(Execution.objects.order_by("sequence").first().pk)
    assert run("retry", first) == 0
    assert run("retry") == 0  # lists
    assert run("retry", "--service", "mailer", "--dry-run") == 0
    assert run("retry", "--service", "mailer", "--yes") == 0
    assert run("redrive", "--reason", "bad_json", "--yes") == 0  # there is none
    assert entries() == [("command:retry", f"mailer {first}", "shop"), ("command:retry", "mailer", "shop")]
    assert AuditEntry.objects.first().said["executions"] == 2


def test_replays() -> None:
    service("mailer", "x", project="shop")
    dispatch(event("x"), event("x"), now=timezone.now() - timedelta(minutes=1))
    words = ("replay", "start", "--type", "x", "--since", "1d", "--service", "mailer")
    assert run(*words, "--count") == 0
    assert run(*words, "--yes") == 0
    wanted = str(Replay.objects.get().pk)
    assert run("replay", "stop", wanted) == 0
    assert run("replay", "show", wanted) == 0
    about = f"{wanted} into mailer"
    assert entries() == [
        ("command:replay.start", about, "shop"),
        ("command:replay.stop", about, "shop"),
    ]


def test_an_account_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> Any:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr(noted.getpass, "getuser", nameless)
    assert account().startswith("uid ")
