"""What people do in the console: run, cancel, retry, synchronise, send, send again, set secrets."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from ferris.config import EVENTS
from ferris_web import wiring
from ferris_web.catalog.sync_queue import sync_run_next
from tests.web.console_pages import Page, page
from tests.web.console_rows import Rows
from tests.web.folders import SourceFolder

_RUN = "/services/make_report/run/"
_GOOD: dict[str, Any] = {
    "p-0": "Quakes",
    "p-1": "two\nlines",
    "p-2": "12",
    "p-3": "4.5",
    "p-4": "csv",
    "p-5": "2",
    "p-6": ["asia", "europe"],
}


@pytest.fixture(autouse=True)
def _no_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing dispatches in these tests: pages need not wait for it."""
    from ferris_web.console.views import executions

    monkeypatch.setattr(executions.services, "wait_visible", lambda *_, **__: None)


def sent() -> list[dict[str, Any]]:
    """What is on the event log."""
    return [json.loads(record.value) for record in wiring.event_log().browse(EVENTS)]


def test_a_run_gets_what_was_entered(rows: Rows, person: Client) -> None:
    file = SimpleUploadedFile("../../quakes 1.csv", b"a,b\n1,2\n")
    answer = person.post(_RUN, {**_GOOD, "p-7": file})
    assert answer.status_code == 302
    event = sent()[-1]
    assert event["type"] == "ferris.execution.requested"
    assert event["source"] == "ferris/person/ada"
    place = event["data"].pop("source")
    assert event["data"] == {
        "title": "Quakes",
        "note": "two\nlines",
        "rows": 12,
        "least": 4.5,
        "format": "csv",
        "speed": 2,
        "regions": ["asia", "europe"],
    }
    assert place["bucket"] == "incoming"
    assert place["key"].endswith("/quakes_1.csv")
    with wiring.object_store().open(place["bucket"], place["key"]) as stored:
        assert stored.read() == b"a,b\n1,2\n"
    assert "on its way" in page(person, answer["Location"]).text


def test_wrong_values_are_named_and_the_right_ones_kept(rows: Rows, person: Client) -> None:
    before = len(sent())
    wrong = {**_GOOD, "p-0": "", "p-2": "1000", "p-4": "pdf", "p-5": ""}
    answer = person.post(_RUN, wrong)
    assert answer.status_code == 422
    shown = Page(answer.content.decode())
    assert "4 of the fields below need another value" in shown.text
    for number, words in (
        ("0", "is missing"),
        ("2", "a whole number from 1 to 100"),
        ("4", "html, csv"),
        ("5", "1, 2"),
    ):
        assert f'id="p-{number}-error"' in shown.html
        error = shown.html.split(f'id="p-{number}-error">')[1].split("</p>")[0]
        assert words in error, error
        assert f"p-{number}-error" in shown.html.split(f'id="p-{number}-error"')[0] or number in "45"
    values = {i.get("name"): i.get("value") for i in shown.inputs if i.get("type") in ("text", "number")}
    assert values["p-2"] == "1000"
    assert values["p-3"] == "4.5"
    assert "two\nlines</textarea>" in shown.html
    assert shown.html.split("<main")[1].split("</main>")[0].count(" checked") == 2
    assert len(sent()) == before


def test_a_wrong_form_stores_no_file(rows: Rows, person: Client) -> None:
    def stored() -> int:
        return len(wiring.object_store().list("incoming"))

    before = stored()
    answer = person.post(_RUN, {**_GOOD, "p-0": "", "p-7": SimpleUploadedFile("a.csv", b"x")})
    assert answer.status_code == 422
    assert stored() == before


def test_a_service_without_a_form_takes_json(rows: Rows, person: Client) -> None:
    address = "/services/quakes_alert/run/"
    assert person.post(address, {"p-json": '{"magnitude": 5}'}).status_code == 302
    assert sent()[-1]["data"] == {"magnitude": 5}
    for text, words in (("{", "no JSON"), ("[1]", "Expected an object"), ('{"secrets": 1}', "secrets")):
        answer = person.post(address, {"p-json": text})
        assert answer.status_code == 422, text
        assert words in Page(answer.content.decode()).text
        assert text in Page(answer.content.decode()).text, "it is still there"


def test_a_run_can_be_made_from_an_earlier_one(rows: Rows, person: Client) -> None:
    row = rows.executions["running"]
    shown = page(person, f"{_RUN}?from={row.pk}")
    assert {i.get("name"): i.get("value") for i in shown.inputs}["p-0"] == "x"


@pytest.mark.parametrize("name", ["old_report", "lost_report"])
def test_what_may_not_run_is_not_run(name: str, rows: Rows, person: Client) -> None:
    before = len(sent())
    shown = page(person, f"/services/{name}/run/")
    assert "It cannot be run" in shown.text
    answer = person.post(f"/services/{name}/run/", {"p-json": "{}"})
    assert answer.status_code == 200
    assert len(sent()) == before


def test_cancel(rows: Rows, person: Client) -> None:
    queued, running = rows.executions["queued"], rows.executions["running"]
    assert person.post(f"/executions/{queued.pk}/cancel/").status_code == 302
    shown = page(person, f"/executions/{queued.pk}/")
    assert "It will not start" in shown.text
    assert "st-cancelled" in shown.html
    person.post(f"/executions/{running.pk}/cancel/")
    running.refresh_from_db()
    assert running.cancel_requested_at
    assert "Stopping" in page(person, f"/executions/{running.pk}/").text
    person.post(f"/executions/{rows.executions['load'].pk}/cancel/")
    assert "already ended" in page(person, "/").text


def test_retry(rows: Rows, person: Client) -> None:
    failed = rows.executions["timeout"]
    answer = person.post(f"/executions/{failed.pk}/retry/")
    assert answer.status_code == 302
    event = sent()[-1]
    assert event["type"] == "ferris.execution.retry_requested"
    assert event["causationid"] == str(failed.pk)
    assert event["correlationid"] == failed.flow_id
    before = len(sent())
    person.post(f"/executions/{rows.executions['running'].pk}/retry/")
    assert len(sent()) == before
    assert person.post("/executions/00000000-0000-4000-8000-000000000000/retry/").status_code == 404


def test_an_event_is_sent(rows: Rows, person: Client) -> None:
    form = {"type": "orders.created", "source": "shop", "subject": "o1", "data": '{"n": 1}'}
    answer = person.post("/events/send/", form)
    assert answer.status_code == 302
    event = sent()[-1]
    assert (event["type"], event["source"], event["subject"], event["data"]) == (
        "orders.created",
        "shop",
        "o1",
        {"n": 1},
    )
    assert answer["Location"] == f"/flows/{event['correlationid']}/?new=1"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": ""}, "type"),
        ({"type": "ferris.execution.completed"}, "type"),
        ({"source": ""}, "source"),
        ({"data": "{"}, "data"),
        ({"data": "NaN"}, "data"),
        ({"data": "[" * 100 + "]" * 100}, "data"),
        ({"data": "[" * 100_000}, "data"),
    ],
)
def test_a_wrong_event_is_refused_and_kept(
    change: dict[str, str], field: str, rows: Rows, person: Client
) -> None:
    before = len(sent())
    form = {"type": "orders.created", "source": "shop", "subject": "kept", "data": "{}", **change}
    answer = person.post("/events/send/", form)
    assert answer.status_code == 422
    shown = Page(answer.content.decode())
    assert f"<code>{field}</code>" in shown.html
    assert 'value="kept"' in shown.html
    assert len(sent()) == before


def test_a_sent_event_is_awaited(rows: Rows, person: Client) -> None:
    """Its flow's page says that it is on its way until the gateway has read it."""
    answer = person.post("/events/send/", {"type": "orders.created", "source": "shop", "data": "1"})
    assert "on its way" in page(person, answer["Location"]).text


def test_a_dead_letter_is_sent_again(rows: Rows, person: Client) -> None:
    letter = rows.letter
    assert person.post(f"/dead-letters/{letter.pk}/redrive/").status_code == 302
    event = sent()[-1]
    assert event["id"] == letter.event_id
    assert event["correlationid"] == "LOOPFLOW01"
    assert "ferrishops" not in event
    before = len(sent())
    from ferris_web.executions.models import DeadLetter

    unreadable = DeadLetter.objects.get(reason="unreadable")
    assert "Send again" not in page(person, f"/dead-letters/{unreadable.pk}/").text
    person.post(f"/dead-letters/{unreadable.pk}/redrive/")
    assert "It was not sent" in page(person, "/").text
    assert len(sent()) == before


def test_secrets_are_set_and_removed(rows: Rows, person: Client) -> None:
    from ferris_web.catalog import secrets
    from ferris_web.catalog.models import Service

    alert = Service.objects.get(name="quakes_alert")
    address = "/services/quakes_alert/secrets/"

    def put(**form: str) -> str:
        answer = person.post(address, form, follow=True)
        assert form.get("value", "\0") not in answer.content.decode(), "a value is never shown"
        return Page(answer.content.decode()).text

    assert "Secret key was set" in put(name="key", value="v-of-service", scope="service")
    assert secrets.secret_find(alert, "key") == "v-of-service"
    put(name="both", value="v-of-project", scope="project")
    put(name="all", value="v-of-platform", scope="platform")  # which is for administrators
    assert secrets.secrets_of(alert) | {"webhook": 0, "smtp": 0} == {
        "key": "v-of-service",
        "both": "v-of-project",
        "webhook": 0,
        "smtp": 0,
    }
    put(name="json", value='{"a": [1]}', scope="service", as_json="1")
    assert secrets.secret_find(alert, "json") == {"a": [1]}
    assert "no JSON" in put(name="json", value="{broken", scope="service", as_json="1")
    assert "not set" in put(name="", value="nameless", scope="service")
    assert "not set" in put(name="x", value="scopeless", scope="galaxy")
    assert "was removed" in put(name="key", scope="service", action="delete")
    assert secrets.secret_find(alert, "key") is None
    assert "no secret" in put(name="key", scope="service", action="delete")


def test_a_project_is_added_and_synchronised(rows: Rows, person: Client, source: SourceFolder) -> None:
    source.service("console_good", {"description": "works"})
    source.service("console_bad", "{")
    (source.root / "console_none").mkdir()
    answer = person.post("/projects/add/", {"name": "own", "source": str(source.root)}, follow=True)
    assert "Waiting for a gateway" in Page(answer.content.decode()).text
    assert sync_run_next(datetime.now(UTC))
    text = page(person, "/projects/own/").text
    assert "console_good" in text
    assert "refused" in text
    assert "manifest.json" in text
    assert "console_none skipped" in text
    assert page(person, "/services/console_good/")
    assert 'href="/services/console_none/"' not in page(person, "/projects/own/").html
    source.service("console_good", {"description": "changed"})
    person.post("/projects/own/sync/")
    assert sync_run_next(datetime.now(UTC))
    assert 'description: "works" → "changed"' in page(person, "/projects/own/").text
    source.remove("console_good")
    person.post("/projects/own/sync/")
    assert sync_run_next(datetime.now(UTC))
    assert "gone" in page(person, "/services/console_good/").text


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"name": "no spaces", "source": "/tmp"}, "slug"),
        ({"name": "x", "source": "/nowhere/at/all"}, "there is no folder"),
        ({"name": "x", "source": ""}, "folder"),
        ({"name": "x", "source": "--upload-pack=evil"}, "folder"),
        ({"name": "quakes", "source": str(Path(__file__).parents[2] / "examples" / "quakes")}, "already"),
    ],
)
def test_a_wrong_project_is_refused_beside_its_field(
    form: dict[str, str], words: str, rows: Rows, person: Client
) -> None:
    answer = person.post("/projects/add/", form)
    assert answer.status_code == 422
    text = Page(answer.content.decode()).text
    assert words in text
    assert f'value="{form["source"]}"' in answer.content.decode()


def test_the_viewer_sees_the_time_of_the_next_runs(rows: Rows, person: Client) -> None:
    text = page(person, "/services/make_report/").text
    assert "*/20 * * * *" in text
    soon = timezone.now() + timedelta(minutes=20)  # which is tomorrow, late in the evening
    assert f"{soon:%Y-%m-%d}" in text


def test_a_service_is_paused_and_goes_on_without_what_waited(rows: Rows, person: Client) -> None:
    assert person.post("/services/make_report/pause/").status_code == 302
    assert "Paused by ada" in page(person, "/services/make_report/").text
    person.post("/services/make_report/resume/", {"waiting": "skip"})
    shown = page(person, "/services/make_report/").text
    assert "It goes on." in shown
    assert "Paused by" not in shown
