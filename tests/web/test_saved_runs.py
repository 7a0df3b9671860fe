"""Runs under a name: saved from the form, run as they are, changed, removed; over the API as well."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from ferris.config import EVENTS
from ferris.errors import Conflict
from ferris_web import wiring
from ferris_web.catalog import saved_runs
from ferris_web.catalog.models import SavedRun, Service
from tests.web.calling import problem_of
from tests.web.console_pages import Page, page
from tests.web.console_rows import Rows
from tests.web.platform import NOW, service

pytestmark = pytest.mark.django_db
_RUN = "/services/make_report/run/"
_GOOD = {"p-0": "Quakes", "p-2": "12", "p-3": "4.5", "p-4": "csv", "p-5": "2", "p-6": ["asia"]}


@pytest.fixture(autouse=True)
def _no_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    from ferris_web.console.views import executions

    monkeypatch.setattr(executions.services, "wait_visible", lambda *_, **__: None)


def sent() -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in wiring.event_log().browse(EVENTS)]


def test_a_run_is_saved_and_not_run(rows: Rows, person: Client) -> None:
    before = len(sent())
    answer = person.post(_RUN, {**_GOOD, "do": "save", "save-as": " monthly "}, follow=True)
    assert "Saved as monthly." in Page(answer.content.decode()).text
    assert len(sent()) == before
    row = SavedRun.objects.get(name="monthly")
    assert (row.values["rows"], row.values["speed"], row.saved_by) == (12, 2, "ada")
    shown = page(person, f"{_RUN}?saved=monthly")
    assert {i.get("name"): i.get("value") for i in shown.inputs}["p-2"] == "12"


def test_a_saved_run_runs_as_it_is(rows: Rows, person: Client) -> None:
    answer = person.post("/services/make_report/saved-runs/", {"saved": "weekly", "do": "run"})
    assert answer["Location"].startswith("/executions/")
    event = sent()[-1]
    assert event["data"]["title"] == "Quakes"
    assert event["data"]["rows"] == 5
    person.post("/services/make_report/saved-runs/", {"saved": "weekly", "do": "remove"})
    assert not SavedRun.objects.filter(name="weekly", service__name="make_report").exists()
    answer = person.post("/services/make_report/saved-runs/", {"saved": "weekly", "do": "run"}, follow=True)
    assert "has no saved run" in Page(answer.content.decode()).text
    page(person, f"{_RUN}?saved=nothing", 404)


def test_one_whose_form_has_changed_is_shown_instead_of_run(rows: Rows, person: Client) -> None:
    SavedRun.objects.filter(name="weekly", service__name="make_report").update(
        values={"title": "x", "rows": 5000, "speed": 2}
    )
    before = len(sent())
    answer = person.post("/services/make_report/saved-runs/", {"saved": "weekly", "do": "run"}, follow=True)
    assert "the form has changed" in Page(answer.content.decode()).text
    assert len(sent()) == before


def test_what_is_wrong_is_not_saved(rows: Rows, person: Client) -> None:
    answer = person.post(_RUN, {**_GOOD, "p-2": "1000", "do": "save", "save-as": "bad"})
    assert answer.status_code == 422
    assert 'value="bad"' in answer.content.decode()
    answer = person.post(_RUN, {**_GOOD, "do": "save", "save-as": "  "})
    assert "It was not saved" in Page(answer.content.decode()).text
    assert not SavedRun.objects.filter(name="bad").exists()


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb", "a\0b"])
def test_names_are_checked(name: str) -> None:
    with pytest.raises(Conflict, match="name of a saved run"):
        saved_runs.saved_run_set(service("one"), name, {}, actor="a", now=NOW)


def test_there_are_not_too_many_and_none_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_runs, "MOST", 2)
    one = service("one")
    for name in ("a", "b", "b"):
        saved_runs.saved_run_set(one, name, {}, actor="a", now=timezone.now())
    with pytest.raises(Conflict, match="remove one first"):
        saved_runs.saved_run_set(one, "c", {}, actor="a", now=NOW)
    for values in ({"x": "y" * saved_runs.MOST_BYTES}, {"x": "\0"}):
        with pytest.raises(Conflict):
            saved_runs.saved_run_set(one, "a", values, actor="a", now=NOW)


def test_over_the_api(api: Any) -> None:
    service("one")
    address = "/api/v1/services/one/saved-runs/"
    assert api.put(f"{address}nightly/", {"parameters": {"n": 1, "m": 2}}).json()["parameters"] == {
        "n": 1,
        "m": 2,
    }
    assert [row["name"] for row in api.get(address).json()] == ["nightly"]
    answer = api.post("/api/v1/services/one/run/", {"saved": "nightly", "parameters": {"m": 3}})
    assert answer.status_code == 202
    assert sent()[-1]["data"] == {"n": 1, "m": 3}
    problem_of(api.post("/api/v1/services/one/run/", {"saved": "nothing"}), 404)
    assert api.delete(f"{address}nightly/").status_code == 204
    problem_of(api.delete(f"{address}nightly/"), 404)
    assert not Service.objects.get(name="one").saved_runs.exists()
