"""The router's view of the catalog: brought up to date at every change, by what changed alone."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from ferris import events
from ferris.routing import RoutingTable
from ferris_web.catalog.models import Service, Trigger
from ferris_web.catalog.services import revision_bump
from gateway.catalog_view import CatalogView
from tests.web.platform import service

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def found(view: CatalogView, type: str) -> list[str]:
    return [trigger.service for trigger in view.current().match(events.new(type, "s", now=NOW))]


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The services whose triggers were placed, for each time that any were."""
    calls: list[list[str]] = []
    original = RoutingTable.replace

    def replace(self: RoutingTable, services: Any, triggers: Any, refused: Any = None) -> None:
        triggers = list(triggers)
        calls.append([trigger.service for trigger in triggers])
        original(self, services, triggers, refused)

    monkeypatch.setattr(RoutingTable, "replace", replace)
    return calls


def test_only_what_changed_is_placed_anew(placed: list[list[str]]) -> None:
    for name in ("a", "b", "c"):
        service(name, "order.placed")
    view = CatalogView()
    assert found(view, "order.placed") == ["a", "b", "c"]
    service("d", "order.paid")
    Service.objects.filter(name="b").update(active=False)
    Service.objects.filter(name="c").update(priority=1)
    revision_bump()
    assert found(view, "order.paid") == ["d"]
    assert found(view, "order.placed") == ["a", "c"]
    assert placed == [["a", "b", "c"], ["c", "d"]]
    held = view.current()
    assert {held.listeners[str(s.id)].priority for s in Service.objects.filter(name="c")} == {1}
    assert {held.listeners[str(s.id)].runs for s in Service.objects.filter(name="b")} == {False}


def test_a_trigger_that_is_none_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    good, bad = service("good", "order.placed"), service("bad", "order.placed")
    Trigger.objects.filter(service=bad).update(filter={"data": {"x": []}})
    revision_bump()
    with caplog.at_level(logging.ERROR):
        assert found(CatalogView(), "order.placed") == [good.name]
    assert "a trigger of bad is left out: data.x: is an empty list" in caplog.text
