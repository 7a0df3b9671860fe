"""Promises over the API and in the console."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from ferris_web.executions.models import Promise
from ferris_web.executions.services.retention import journal_prune
from tests.web.console_pages import Page
from tests.web.platform import NOW
from tests.web.promises.promising import PATH, at, of, rule, send, tell

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def flows() -> None:
    """One of each: KEPT, LATE after 72 s, OVERDUE, and PLAIN without a promise."""
    rule()
    send((of("order.placed", "KEPT"), 0), (of("order.placed", "LATE"), 0), (of("order.placed", "OVERDUE"), 0))
    send((of("order.shipped", "KEPT"), 30), (of("other", "PLAIN"), 31))
    tell(60)
    send((of("order.shipped", "LATE"), 72))


def test_the_api_lists_promises_and_filters_flows(flows: None, api: Any) -> None:
    found = {one["flow_id"]: one for one in api.get(PATH).json()["results"]}
    assert {flow: (one["state"], one["took"]) for flow, one in found.items()} == {
        "KEPT": ("kept", 30), "LATE": ("late", 72), "OVERDUE": ("overdue", None),
    }  # fmt: skip
    one = found["LATE"]
    assert (one["name"], one["project"], one["within"], one["by"], one["key"]) == (
        "in time", "shop", 60, "flow", "LATE",
    )  # fmt: skip
    assert (one["after"], one["expect"], one["started_by"]["type"]) == (
        "order.placed", "order.shipped", "order.placed",
    )  # fmt: skip
    assert [p["flow_id"] for p in api.get(f"{PATH}?state=kept&project=shop").json()["results"]] == ["KEPT"]
    assert api.get(f"{PATH}?name=other").json()["results"] == []
    assert api.get(f"{PATH}?state=broken").status_code == 400
    page = api.get(f"{PATH}?limit=2").json()
    assert len(page["results"] + api.get(page["next"]).json()["results"]) == 3
    assert [f["id"] for f in api.get("/api/v1/flows/?overdue=true").json()["results"]] == ["OVERDUE"]
    assert len(api.get("/api/v1/flows/").json()["results"]) >= 1
    assert [p["state"] for p in api.get("/api/v1/flows/OVERDUE/").json()["promises"]] == ["overdue"]
    assert api.get("/api/v1/flows/PLAIN/").json()["promises"] == []


def test_nobody_unknown_sees_them(flows: None, anonymous: Any, person: Any) -> None:
    assert anonymous.get(PATH).status_code == 401
    assert person.get(PATH).status_code == 200


def test_the_console_shows_what_is_late(flows: None, person: Any) -> None:
    def text(path: str) -> str:
        answer = person.get(path)
        assert answer.status_code == 200
        return " ".join(Page(answer.content.decode()).text.split())

    late, overdue = text("/flows/LATE/"), text("/flows/OVERDUE/")
    assert "kept late" in late
    assert "after 1 min 12 s, promised within 1 min" in late
    assert "overdue" in overdue
    assert "promised within 1 min" in overdue
    assert "Promises" not in text("/flows/PLAIN/")
    shown = Page(person.get("/flows/?promise=overdue").content.decode()).links
    assert [link for link in shown if link in ("/flows/OVERDUE/", "/flows/LATE/", "/flows/KEPT/")] == [
        "/flows/OVERDUE/"
    ]
    Promise.objects.update(due_at=datetime.now(NOW.tzinfo))
    assert "1 flow overdue, 24 hours" in text("/")


def test_what_is_still_promised_keeps_its_event() -> None:
    rule()
    send((of("order.placed"), 0))
    assert journal_prune(at(30), at(30)) == 0
    tell(60)
    assert journal_prune(at(30), at(30)) == 1
    assert not Promise.objects.exists()
