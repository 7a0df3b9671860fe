"""Replays over REST, in the console and on the command line."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from ferris_web.catalog.models import Schedule
from ferris_web.catalog.services import schedule_add
from ferris_web.executions.models import Replay
from ferris_web.executions.services import replays
from tests.web.calling import Caller, problem_of
from tests.web.console_pages import Page
from tests.web.platform import dispatch, event, service

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def journal(backends: Any) -> datetime:
    """Five events of an hour ago, and a service that listens."""
    service("a", "order.*")
    then = datetime.now(UTC) - timedelta(hours=1)
    dispatch(*(event("order.placed", {"n": n}, correlation_id=f"F{n % 2}") for n in range(5)), now=then)
    return then


def since(journal: datetime) -> str:
    return (journal - timedelta(minutes=1)).isoformat()


def test_over_rest(api: Caller, journal: datetime) -> None:
    wanted = {"service": "a", "event_type": "order.*", "since": since(journal)}
    preview = api.post("/api/v1/replays/preview/", wanted).json()
    assert (preview["events"], preview["flows"], preview["complete"]) == (5, 2, True)
    assert len(preview["samples"]) == 5
    answer = api.post("/api/v1/replays/", wanted | {"rate": 50})
    assert answer.status_code == 201
    said = answer.json()
    assert (said["service"], said["status"], said["rate"], said["derived"]) == ("a", "running", 50, True)
    path = f"/api/v1/replays/{said['id']}/"
    assert api.get(path).json()["outcome"] == {"routed": 0, "executions": {}}
    assert api.post(f"{path}stop/").json()["status"] == "stopped"
    problem_of(api.post(f"{path}stop/"), 409)
    assert api.post(f"{path}resume/").json()["status"] == "running"
    assert [row["id"] for row in api.all("/api/v1/replays/?status=running")] == [said["id"]]
    assert api.all("/api/v1/replays/?status=stopped") == []
    problem_of(api.get("/api/v1/replays/00000000-0000-0000-0000-000000000000/"), 404)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"event_type": "a*"}, "event_type"),
        ({"filter": {"data": {"x": []}}}, "filter"),
        ({"filter": 5}, "filter"),
        ({"cesql": "a ="}, "cesql"),
        ({"rate": -1}, "rate"),
        ({"since": "2999-01-01T00:00:00Z"}, "since"),
        ({"since": "yesterday"}, "since"),
    ],
)
def test_what_is_wrong_is_named(api: Caller, journal: datetime, wrong: Any, field: str) -> None:
    problem = problem_of(api.post("/api/v1/replays/", {"since": since(journal), **wrong}), 400)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert not Replay.objects.exists()


def test_in_the_console(backends: Any, user: Any, journal: datetime) -> None:
    client = Client()
    client.force_login(user)
    assert "No replays yet" in client.get("/replays/").content.decode()
    form = {"service": "a", "event_type": "order.*", "since": since(journal), "rate": "20"}
    page = client.post("/replays/new/", form | {"do": "preview"})
    assert "5 events of 2 flows" in Page(page.content.decode()).text
    assert not Replay.objects.exists()
    wrong = client.post("/replays/new/", form | {"do": "preview", "filter": "{"})
    assert wrong.status_code == 422
    assert "is no JSON: " in Page(wrong.content.decode()).text
    begun = client.post("/replays/new/", form | {"do": "begin", "expected": "5"})
    row = Replay.objects.get()
    assert begun.headers["Location"] == f"/replays/{row.pk}/"
    assert (row.created_by, row.expected, row.rate) == ("ada", 5, 20)
    replays.replay_feed(row, 2, datetime.now(UTC))
    page = client.get(f"/replays/{row.pk}/").content.decode()
    assert "2 of 5 sent" in Page(page).text
    assert 'hx-trigger="every 2s"' in page
    client.post(f"/replays/{row.pk}/stop/")
    assert replays.replay_get(row.pk).status == "stopped"
    assert client.get(f"/replays/{row.pk}/stop/").status_code == 405
    client.post(f"/replays/{row.pk}/resume/")
    assert replays.replay_get(row.pk).status == "running"
    assert "2 of 5" in Page(client.get("/replays/").content.decode()).text
    assert Page(client.get("/replays/new/?service=a").content.decode()).inputs


def test_missed_runs_in_the_console(backends: Any, user: Any) -> None:
    client = Client()
    client.force_login(user)
    now = datetime.now(UTC)
    row = schedule_add(
        service("report"), origin=Schedule.Origin.PERSON, cron="0 * * * *", now=now - timedelta(hours=5)
    )
    assert f"/schedules/{row.pk}/missed/" in client.get("/schedules/").content.decode()
    address = f"/schedules/{row.pk}/missed/?since=24h"
    page = client.get(address)
    assert page.content.decode().count('name="time"') == 24
    due = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    answer = client.post(address, {"time": [due.isoformat()]}, follow=True)
    assert "1 run asked for" in answer.content.decode()
    answer = client.post(address, {"time": [(due + timedelta(minutes=1)).isoformat()]}, follow=True)
    assert "is no past due time" in answer.content.decode()


def run(*arguments: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue()


def test_on_the_command_line(journal: datetime) -> None:
    out, err = run("replay", "start", "--service", "a", "--since", "2h", "--count")
    assert (out, "5 events of 2 flows, into a" in err) == ("5", True)
    with pytest.raises(CommandError, match="say --yes"):
        run("replay", "start", "--since", "2h")
    with pytest.raises(SystemExit):
        run("replay", "start", "--since", "2h", "--type", "other", "--yes")
    out, _ = run("replay", "start", "--since", "2h", "--yes", "--rate", "5")
    row = Replay.objects.get(pk=out)
    assert (row.rate, row.expected, row.service) == (5, 5, None)
    assert f"{row.pk} running: 0 of 5 sent, * into all" in run("replay", "list")[0]
    assert "stopped" in run("replay", "stop", out)[0]
    assert "executions: none" in run("replay", "show", out)[0]
    assert "running" in run("replay", "resume", out)[0]


def test_missed_runs_on_the_command_line(backends: Any) -> None:
    now = datetime.now(UTC)
    target = service("report")
    with pytest.raises(CommandError, match="no schedules that repeat"):
        run("backfill", "report")
    schedule_add(target, origin=Schedule.Origin.PERSON, cron="0 * * * *", now=now)
    missed, _ = run("backfill", "report", "--since", "3h")
    assert len(missed.splitlines()) == 3
    out, err = run("backfill", "report", "--run", "--at", missed.splitlines()[1])
    assert (out, "1 run asked for" in err) == (missed.splitlines()[1], True)
