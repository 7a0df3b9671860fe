"""Changed triggers over the journal: counts, samples, mistakes first, and exit statuses that CI can use."""

from __future__ import annotations

import html
import io
import json
import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from ferris_web.accounts.services import token_create
from ferris_web.catalog import services as catalog
from ferris_web.catalog.models import Service
from ferris_web.catalog.repositories import repository_add
from ferris_web.executions import backtesting, journal
from ferris_web.executions.backtesting import backtest_run
from ferris_web.executions.models import Event
from remote.__main__ import main as remotely
from tests.web.calling import problem_of
from tests.web.console_pages import Page, page
from tests.web.folders import SourceFolder
from tests.web.platform import dispatch, event

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


def strong(least: float) -> dict[str, Any]:
    return {"event_type": "quake.seen", "filter": {"data": {"mag": [{"numeric": [">=", least]}]}}}


@pytest.fixture
def synced(source: SourceFolder) -> SourceFolder:
    """A project of two services, and ten events from a moment ago."""
    source.service("alert", {"trigger_events": [strong(5)]})
    source.service("all_quakes", {"trigger_events": ["quake.*"]})
    project = repository_add("quakes", str(source.root), now=timezone.now()).project
    catalog.project_sync(project, now=timezone.now())
    now = timezone.now() - timedelta(minutes=1)
    dispatch(*(event("quake.seen", {"mag": n}, id=str(n)) for n in range(10)), now=now)
    # The newest: of equal moments a key decides, and a look that ends at the last quake goes on where one is behind.
    dispatch(event("flood.seen"), now=now + timedelta(seconds=1))
    return source


def run(*arguments: Any) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = 0
    try:
        call_command("backtest", *map(str, arguments), stdout=out, stderr=err)
    except SystemExit as ended:
        status = int(ended.code or 0)
    except CommandError as error:
        status = error.returncode
        err.write(str(error))
    return status, out.getvalue(), err.getvalue()


def test_a_changed_folder_says_what_is_gained_and_lost(synced: SourceFolder) -> None:
    synced.service("alert", {"trigger_events": [strong(7)]})
    synced.service("new", {"trigger_events": ["flood.seen"]})
    status, said, _ = run(synced.root, "--project", "quakes", "--json")
    assert status == 0
    found = json.loads(said)
    assert (found["events"], found["gained"], found["lost"], found["complete"]) == (11, 1, 2, True)
    by_name = {entry["service"]: entry for entry in found["services"]}
    assert [by_name["alert"][key] for key in ("state", "before", "after", "lost")] == ["changed", 5, 3, 2]
    assert [sample["id"] for sample in by_name["alert"]["lost_samples"]] == ["6", "5"]
    assert by_name["alert"]["lost_samples"][0]["why"].startswith("data.mag is 6;")
    assert by_name["new"]["state"] == "added"
    assert by_name["all_quakes"]["state"] == "unchanged"
    assert by_name["all_quakes"]["before"] == 10
    assert Service.objects.count() == 2  # nothing was synced


def test_exit_statuses(synced: SourceFolder) -> None:
    folder = (synced.root, "--project", "quakes", "--fail-on")
    assert [run(*folder, what)[0] for what in ("lost", "gained", "any")] == [0, 0, 0]
    synced.service("alert", {"trigger_events": [strong(7)]})
    assert [run(*folder, what)[0] for what in ("lost", "gained", "any")] == [1, 0, 1]
    synced.service("alert", {"trigger_events": [strong(3)]})
    assert [run(*folder, what)[0] for what in ("lost", "gained", "any")] == [0, 1, 1]
    assert run(*folder, "any", "--until", "2m")[0] == 0  # the events came later
    synced.service("alert", {"trigger_events": [strong(3), 5], "priority": "high"})
    status, _, errors = run(*folder, "lost")
    assert status == 2
    assert "alert: manifest.json trigger_events[1]" in errors
    assert "alert: manifest.json priority" in errors
    assert run(synced.root / "nothing")[0] == 2
    assert run(synced.root, "--since", "yesterday")[0] == 2
    assert run()[0] == 2


def test_without_a_project_what_is_not_in_the_folder_is_not_lost(
    synced: SourceFolder, tmp_path: Path
) -> None:
    part = SourceFolder(tmp_path / "part")
    part.service("alert", {"trigger_events": [strong(5)]})
    assert run(part.root, "--fail-on", "any")[0] == 0
    status, said, _ = run(part.root, "--project", "quakes", "--fail-on", "lost")
    assert status == 1
    assert "all_quakes (removed): 10 before, 0 after, 0 gained, 10 lost" in said


def test_one_services_folder_and_one_trigger(synced: SourceFolder) -> None:
    synced.service("alert", {"trigger_events": [strong(9)]})
    assert "In all 0 runs gained, 4 lost." in run(synced.root / "alert")[1]
    status, said, _ = run("--type", "quake.seen", "--filter", '{"data": {"mag": [3]}}', "--service", "alert")
    assert status == 0
    assert "alert (changed): 5 before, 1 after, 1 gained, 5 lost" in said
    assert "2 gained" in run("--type", "*", "--cesql", "type LIKE 'flood%' OR id = '1'")[1]
    assert run("--type", "quake.seen", "--cesql", "data = 'x'")[0] == 2
    assert run("--type", "quake.seen", "--filter", "{")[0] == 2


def test_what_was_switched_on_the_platform_stays_as_a_sync_would_leave_it(synced: SourceFolder) -> None:
    Service.objects.filter(name="all_quakes").update(active=False)
    assert run(synced.root, "--project", "quakes", "--fail-on", "any")[0] == 0


def test_a_name_of_another_project_is_refused_as_a_sync_would(synced: SourceFolder, tmp_path: Path) -> None:
    other = SourceFolder(tmp_path / "other")
    other.service("alert", {})
    repository_add("other", str(other.root), now=timezone.now())
    status, _, errors = run(other.root, "--project", "other")
    assert status == 2
    assert "taken by a service of project quakes" in errors


def test_chunks_walk_the_whole_window_once(synced: SourceFolder) -> None:
    now = timezone.now()
    day = timedelta(days=1)
    for newest_first in (False, True):
        seen = [
            row.event_id
            for chunk in journal.journal_chunks(now - day, now, newest_first=newest_first, at_once=3)
            for row in chunk
        ]
        assert sorted(seen) == sorted(Event.objects.values_list("event_id", flat=True))
        times = [
            row.received_at for chunk in journal.journal_chunks(now - day, now, at_once=3) for row in chunk
        ]
        assert times == sorted(times)


def test_a_bounded_run_says_how_far_it_came(synced: SourceFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    from ferris_web.catalog.candidate import sides_of_manifests

    monkeypatch.setattr(backtesting, "journal_chunks", partial(journal.journal_chunks, at_once=3))
    now = timezone.now()
    told: list[int] = []
    tested = backtest_run(
        sides_of_manifests({"alert": {"trigger_events": ["*"]}}),
        since=now - timedelta(days=1),
        until=now,
        most_events=5,
        progress=lambda events, reached: told.append(events),
    )
    assert (tested.backtest.events, tested.complete, told) == (6, False, [3, 6])
    assert tested.reached > tested.since
    counted = tested.backtest.events
    while tested.following is not None:  # events of one moment are on both sides of the place
        tested = backtest_run(
            sides_of_manifests({"alert": {"trigger_events": ["*"]}}),
            since=now - timedelta(days=1),
            until=now,
            after=tested.following,
            most_events=1,
        )
        counted += tested.backtest.events
    assert counted == 11
    assert tested.complete


def test_the_api(api: Any, synced: SourceFolder) -> None:
    body = {"services": {"alert": {"trigger_events": [strong(7)], "entrypoint": "a.py"}}}
    found = api.post("/api/v1/backtests/", body).json()
    assert (found["lost"], found["gained"], found["services"][0]["service"]) == (2, 0, "alert")
    some = {services["service"]: services["state"] for services in found["services"]}
    whole = api.post("/api/v1/backtests/", {**body, "project": "quakes"}).json()
    states = {one["service"]: one["state"] for one in whole["services"]}
    assert (some, states) == ({"alert": "changed"}, {"alert": "changed", "all_quakes": "removed"})
    problem_of(api.post("/api/v1/backtests/", {**body, "project": "none"}), 404)
    synced.service("alert", {"trigger_events": [strong(8)]})
    assert api.post("/api/v1/backtests/", {"project": "quakes"}).json()["lost"] == 3
    problem_of(api.post("/api/v1/backtests/", {}), 400)
    problem_of(api.post("/api/v1/backtests/", {"project": "none"}), 404)
    wrong = problem_of(api.post("/api/v1/backtests/", {"services": {"a": {"trigger_events": [3]}}}), 400)
    assert "trigger_events[0]" in json.dumps(wrong)
    problem_of(api.post("/api/v1/backtests/", {"services": {"a": 1}}), 400)


def test_pieces_over_http_come_to_the_whole(
    api: Any, synced: SourceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtesting, "journal_chunks", partial(journal.journal_chunks, at_once=2))
    body = {"services": {"alert": {"trigger_events": [strong(7)]}}}
    whole = api.post("/api/v1/backtests/", body).json()
    assert (whole["events"], whole["lost"], whole["complete"], whole["next"]) == (10, 2, True, None)
    events, lost, cursor = 0, 0, ""
    while cursor is not None:
        piece = api.post("/api/v1/backtests/", {**body, "limit": 3, "cursor": cursor}).json()
        events, lost, cursor = events + piece["events"], lost + piece["lost"], piece["next"]
        assert piece["complete"] == (cursor is None)
    assert (events, lost) == (10, 2)
    problem_of(api.post("/api/v1/backtests/", {**body, "cursor": "bm9uZQ"}), 400)


def test_the_command_from_afar_goes_on_to_the_end(
    user: Any, synced: SourceFolder, live_server: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(backtesting, "journal_chunks", partial(journal.journal_chunks, at_once=2))
    monkeypatch.setattr("ferris_web.api.views.backtests._SECONDS", 0.0)
    environ = {"FERRIS_URL": live_server.url, "FERRIS_TOKEN": token_create(user)}
    filter = synced.root.parent / "filter.json"
    filter.write_text('{"data": {"mag": [3]}}')
    words = [
        "--type",
        "quake.seen",
        "--filter",
        f"@{filter}",
        "--service",
        "alert",
        "--json",
        "--samples",
        "3",
    ]
    assert remotely(["backtest", *words], environ) == 0
    afar = json.loads(capsys.readouterr().out)
    status, said, _ = run(*words)
    here = json.loads(said)
    assert status == 0
    for name in ("events", "gained", "lost", "complete"):
        assert afar[name] == here[name], name
    assert (afar["events"], afar["complete"]) == (10, True)
    [one], [other] = afar["services"], here["services"]
    assert {k: v for k, v in one.items() if "samples" not in k} == {
        k: v for k, v in other.items() if "samples" not in k
    }
    assert [sample["id"] for sample in one["lost_samples"]] == [
        sample["id"] for sample in other["lost_samples"]
    ]


def test_the_console(person: Any, synced: SourceFolder) -> None:
    assert '"numeric"' in page(person, "/backtest/?service=alert").text
    said = person.post("/backtest/", {"service": "alert", "triggers": json.dumps([strong(7)]), "since": "7d"})
    text = Page(said.content.decode()).text
    assert "0 runs gained, 2 lost" in text
    assert "data.mag is 6" in text
    synced.service("alert", {"trigger_events": [strong(9)]})
    said = person.post("/backtest/", {"project": "quakes", "since": "7d"})
    assert "0 runs gained, 4 lost" in Page(said.content.decode()).text
    for wrong in ("{", json.dumps([{"event_type": "a", "filter": {"data": {"b": [{"numeric": 1}]}}}])):
        refused = person.post("/backtest/", {"triggers": wrong})
        assert refused.status_code == 422
        assert "Mend this first" in refused.content.decode()


def fields_of(text: str) -> dict[str, str]:
    """What the form that goes on sends along."""
    form = text[text.index('id="tested"') :].partition("</form>")[0]
    return {
        name: html.unescape(value)
        for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
        if name != "csrfmiddlewaretoken"
    }


def test_the_console_goes_on_to_the_end(
    person: Any, administrator: Any, synced: SourceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtesting, "journal_chunks", partial(journal.journal_chunks, at_once=3))
    monkeypatch.setattr("ferris_web.console.views.backtest._SECONDS", 0.0)  # one chunk each
    form = {"service": "alert", "triggers": json.dumps([strong(7)]), "since": "7d"}
    pieces, first = 0, {}
    while True:
        text = person.post("/backtest/", form).content.decode()
        pieces += 1
        if 'hx-trigger="load' not in text:
            break
        assert "it goes on" in text
        form = fields_of(text)
        first = first or form
    assert pieces == 4
    assert "0 runs gained, 2 lost" in Page(text).text
    assert "10 events" in Page(text).text
    assert text.count("data.mag is 6") == 1  # no sample is told twice
    stopped = person.post("/backtest/", {**first, "stop": "1"}).content.decode()
    assert ("Go on" in stopped, 'hx-trigger="load' in stopped) == (True, False)
    for changed in ({"triggers": json.dumps([strong(9)])}, {"begun": first["begun"] + "x"}):
        said = person.post("/backtest/", {**first, **changed})
        assert said.status_code == 422
        assert "begin anew" in said.content.decode()
    assert administrator.post("/backtest/", first).status_code == 422  # what another one counted


def test_a_mistake_in_the_folders_project_file_is_refused_as_a_sync_would(synced: SourceFolder) -> None:
    file = synced.root / "ferris.json"
    file.write_text('{"promises": [{"name": "x", "after": "a.b", "expect": "a.c", "within": "soon"}]}')
    status, _, errors = run(synced.root, "--project", "quakes")
    assert (status, "ferris.json promises[0].within" in errors) == (2, True), errors
    file.write_text('{"promises": [{"name": "x", "after": "a.b", "expect": "a.c", "within": "10m"}]}')
    assert run(synced.root, "--project", "quakes")[0] == 0
