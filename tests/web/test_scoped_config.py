"""Configuration of services, projects and the platform: what executions and scripts get of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ferris_web import wiring
from ferris_web.catalog.values import Kind, Place
from ferris_web.executions.models import Execution
from ferris_web.executions.services.values import value_set
from tests.web.calling import Caller
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
