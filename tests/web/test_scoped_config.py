"""Configuration of services, projects and the platform: what executions and scripts get of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from django.test import Client

from ferris_web import wiring
from ferris_web.accounts.models import Membership, User
from ferris_web.accounts.services import token_create
from ferris_web.catalog.values import Kind, Place
from ferris_web.executions.models import Execution
from ferris_web.executions.services.values import value_set
from tests.web.calling import Caller, problem_of
from tests.web.platform import dispatch, event, service

pytestmark = pytest.mark.django_db


def put(place: Place, value: object) -> None:
    assert value_set(place, value, actor="ada", now=datetime.now(UTC))


def test_executions_and_scripts_get_the_nearest_value_of_a_name(executor):
    mailer = service("mailer", "x")
    service("ledger", "x", project="books")
    put(Place(Kind.CONFIG), {"region": "eu", "smtp": {"host": "mail", "port": 587}})
    put(Place(Kind.CONFIG, mailer.project), {"region": "us", "team": "shop"})
    put(Place(Kind.CONFIG, mailer), {"smtp": {"port": 25}})
    store = wiring.config_store()
    assert set(json.loads(store.get("mailer").value)) == {"smtp"}, "the service's own key keeps its own"
    assert store.get("ferris/platform")
    assert store.get(f"ferris/projects/{mailer.project.name}")
    dispatch(event("x"))
    ids = [str(pk) for pk in Execution.objects.values_list("pk", flat=True)]
    orders = executor.post("/control/claim", {"executions": ids, "worker": "w"}).json()["answers"]
    found = {one["order"]["service"]: one["order"] for one in orders}
    mine = {"region": "us", "smtp": {"port": 25}, "team": "shop"}
    assert found["mailer"]["config"] == mine
    assert found["ledger"]["config"] == {"region": "eu", "smtp": {"host": "mail", "port": 587}}

    script, other = (Caller(found[name]["token"]) for name in ("mailer", "ledger"))
    assert json.loads(script.get("/control/v1/kv/mailer?raw").content) == mine
    assert other.get("/control/v1/kv/?keys").json() == ["ferris.env", "ledger"]
    assert script.get("/control/v1/kv/ferris/platform").status_code == 403


def test_a_configuration_that_is_no_json_fails_the_execution_and_is_named(executor):
    service("mailer", "x")
    wiring.config_store().put("ferris/platform", b"{")
    dispatch(event("x"))
    row = Execution.objects.get()
    assert executor.post("/control/claim", {"execution": str(row.pk), "worker": "w"}).json()["go"] is False
    row.refresh_from_db()
    assert (row.status, row.reason) == ("failed", "platform")
    assert "the configuration of the platform" in row.error


@pytest.fixture
def maintainer(backends) -> User:
    """Of the project `testing` alone."""
    mailer, made = service("mailer", "x"), User.objects.create_user("mia", password="a long password")
    Membership.objects.filter(user=made).update(project=mailer.project, role="maintainer")
    return made


def test_over_the_api_with_history_and_who_may(maintainer, api):
    User.objects.filter(username="ada").update(is_superuser=True)
    mine = Caller(token_create(maintainer))
    assert mine.put("/api/v1/projects/testing/config/", {"a": 1, "b": 2}).status_code == 200
    assert mine.put("/api/v1/projects/testing/config/", {"a": 3}).status_code == 200
    problem_of(mine.put("/api/v1/projects/testing/config/", [1]), 400)
    assert mine.post("/api/v1/projects/testing/config/history/1/restore/").status_code == 200
    assert api.put("/api/v1/platform/config/", {"b": 0, "c": 0}).status_code == 200
    assert api.put("/api/v1/services/mailer/config/", {"a": {"own": True}}).status_code == 200
    assert mine.get("/api/v1/platform/config/").json() == {"b": 0, "c": 0}
    for change in (mine.put("/api/v1/platform/config/", {}), mine.delete("/api/v1/platform/config/")):
        problem_of(change, 403)
    problem_of(mine.get("/api/v1/platform/ferris-env/"), 403)
    assert mine.get("/api/v1/services/mailer/config/effective/").json() == {
        "config": {"a": {"own": True}, "b": 2, "c": 0},
        "values": [
            {"name": "a", "value": {"own": True}, "scope": "service", "hides": ["project"]},
            {"name": "b", "value": 2, "scope": "project", "hides": ["platform"]},
            {"name": "c", "value": 0, "scope": "platform", "hides": []},
        ],
    }
    changes = mine.all("/api/v1/projects/testing/config/history/")
    assert [(one["number"], one["actor"]) for one in changes] == [(3, "mia"), (2, "mia"), (1, "mia")]
    assert '-  "a": 3' in mine.get("/api/v1/projects/testing/config/history/3/").json()["difference"]
    other = Caller(token_create(User.objects.create_user("eve", password="a long password")))
    Membership.objects.filter(user__username="eve").delete()
    problem_of(other.get("/api/v1/projects/testing/config/"), 404)
    problem_of(other.get("/api/v1/platform/config/"), 403)


def test_in_the_console(maintainer, admin_client):
    browser = Client()
    browser.force_login(maintainer)
    put(Place(Kind.CONFIG), {"region": "eu", "team": "x"})
    answer = browser.post(
        "/projects/testing/config/", {"seen": "0", "do": "save", "value": '{"team": "shop"}'}
    )
    assert answer.status_code == 302
    found = browser.get("/services/mailer/settings/").content.decode()
    assert "the platform&#x27;s is hidden by it" in found or "the platform's is hidden by it" in found
    assert '<option value="platform">' not in found
    assert '<option value="platform">' in admin_client.get("/services/mailer/settings/").content.decode()
    shown = browser.get("/platform/config/").content.decode()
    assert "Administrators of the platform may change it" in shown
    assert "<textarea" not in shown
    form = {"seen": "0", "do": "save", "value": "{"}
    assert browser.post("/platform/config/", form).status_code == 403
    assert browser.get("/platform/ferris-env/").status_code == 403
    assert "ferris-env" not in browser.get("/values/").content.decode()
    assert admin_client.post("/platform/ferris-env/", form).status_code == 422
    form["value"] = '{"DB_HOST": "db.example"}'
    assert admin_client.post("/platform/ferris-env/", form).status_code == 302
    page = admin_client.get("/platform/ferris-env/").content.decode()
    assert "db.example" in page
    assert "KAFKA_PORT" in page, "what scripts see stands below"
    assert "/platform/ferris-env/" in admin_client.get("/values/").content.decode()
    assert admin_client.get("/platform/ferris-env/history/1/").status_code == 200
