"""Event maps: made by administrators, tried by everybody, carried out by the router, once."""

from __future__ import annotations

from typing import Any

import pytest

from ferris import events
from ferris.config import EVENTS
from ferris.event_maps import event_map
from ferris_web import wiring
from ferris_web.catalog.event_maps import event_map_add
from ferris_web.catalog.models import EventMap
from ferris_web.executions.models import DeadLetter, Event, Execution
from gateway.recorder import Recorder
from gateway.router import Router
from tests.web.calling import problem_of
from tests.web.platform import append, dispatch, event, service

pytestmark = pytest.mark.django_db(transaction=True)

MAP = {"shop.placed": "bill.order", "total": "amount"}
BODY = {"map": MAP, "constants": {"currency": "EUR"}}
URL = "/api/v1/event-maps/"


@pytest.fixture
def boss(user: Any, api: Any) -> Any:
    """A program of an administrator."""
    user.is_superuser = True
    user.save()
    return api


def turns(routing: Router, count: int = 2) -> None:
    for _ in range(count):
        routing.turn()


def test_the_router_makes_the_events_in_the_same_flow_and_once(backends):
    service("billing", "bill.order")
    event_map_add(event_map(MAP), actor="ana")
    placed = event("shop.placed", {"total": 3})
    routing = Router(wiring.event_log(), 100)
    append(EVENTS, placed)
    turns(routing)
    append(EVENTS, placed)  # a gateway that died before its offset moved reads it again
    turns(routing)
    routing.close()
    made = Event.objects.get(type="bill.order")
    assert (made.data, made.flow_id, made.hops) == ({"amount": 3}, placed.flow_id, 1)
    assert (made.copies, made.matched) == (1, 1)
    assert Execution.objects.get().service.name == "billing"


def test_maps_follow_one_another_and_replays_are_left_alone(backends):
    event_map_add(event_map(MAP), actor="ana")
    event_map_add(event_map({"bill.order": "news.item", "amount": "n"}), actor="ana")
    routing = Router(wiring.event_log(), 100)
    append(EVENTS, event("shop.placed", {"total": 3}, extensions={"ferrisreplay": "x"}))
    append(EVENTS, event("shop.placed", {"total": 4}))
    turns(routing, 3)
    routing.close()
    assert [row.data for row in Event.objects.filter(type="news.item")] == [{"n": 4}]
    assert Event.objects.filter(type="bill.order").count() == 1


def test_what_a_map_can_make_no_event_of_is_put_aside_and_routed_all_the_same(backends):
    event_map_add(event_map({"a.happened": "b"}, templates={"y": "{x}{x}{x}{x}"}), actor="ana")
    service("one", "a.happened")
    routing, recording = Router(wiring.event_log(), 100), Recorder(wiring.event_log())
    append(EVENTS, event(data={"x": "x" * 300_000}))
    routing.turn()
    recording.turn()
    routing.close()
    recording.close()
    letter = DeadLetter.objects.get()
    assert letter.reason == "not_mapped"
    assert letter.detail.startswith("to b: body: has 1200")
    assert Execution.objects.count() == 1


def test_over_the_api(boss):
    made = boss.post(URL, BODY)
    assert made.status_code == 201
    assert (made.json()["map"], made.json()["created_by"]) == (MAP, "ada")
    assert boss.get(URL).json()["results"] == [made.json()]
    problem_of(boss.post(URL, BODY), 409)
    circle = problem_of(boss.post(URL, {"map": {"bill.order": "shop.placed"}}), 409)
    assert "bill.order → shop.placed → bill.order" in circle["detail"]
    assert "onto itself" in str(problem_of(boss.post(URL, {"map": {"a": "a"}}), 400))
    one = f"{URL}{made.json()['id']}/"
    assert boss.get(one).json() == made.json()
    assert boss.delete(one).status_code == 204
    problem_of(boss.get(one), 404)


def test_everybody_tries_and_only_administrators_make(api):
    dispatch(event("shop.placed", {"total": 3}))
    (tried,) = api.post(f"{URL}try/", BODY).json()["events"]
    assert (tried["before"], tried["after"]) == ({"total": 3}, {"amount": 3, "currency": "EUR"})
    problem_of(api.post(URL, BODY), 403)
    row = event_map_add(event_map(MAP), actor="ana")
    problem_of(api.delete(f"{URL}{row.pk}/"), 403)
    assert EventMap.objects.count() == 1


def test_nobody_sends_the_mark_from_outside(api):
    body = {"specversion": "1.0", "id": "1", "source": "s", "type": "a", "ferrismapped": "x"}
    problem_of(api.post("/api/v1/events/", body, type=events.STRUCTURED), 400)


FORM = {
    "map": '{"shop.placed": "bill.order", "total": "amount"}',
    "strategy": "mapped",
    "constants": "",
    "templates": "",
}


def test_the_form_is_tried_before_it_is_saved(administrator, backends):
    dispatch(event("shop.placed", {"total": 31415}))
    untried = administrator.post("/event-maps/new/", {**FORM, "do": "save"})
    assert not EventMap.objects.exists(), "not before it was tried"
    assert "31415" in untried.content.decode()
    tried = untried.context["tried"]
    administrator.post("/event-maps/new/", {**FORM, "strategy": "all", "do": "save", "tried": tried})
    assert not EventMap.objects.exists(), "another one was tried"
    administrator.post("/event-maps/new/", {**FORM, "do": "save", "tried": tried})
    row = EventMap.objects.get()
    assert "bill.order" in administrator.get("/event-maps/").content.decode()
    again = administrator.post("/event-maps/new/", {**FORM, "do": "save", "tried": tried})
    assert again.status_code == 422
    assert administrator.post("/event-maps/new/", {**FORM, "map": "{"}).status_code == 422
    administrator.post(f"/event-maps/{row.pk}/remove/")
    assert not EventMap.objects.exists()


def test_others_may_try_the_form_and_not_save_it(person, backends):
    tried = person.post("/event-maps/new/", FORM)
    assert tried.status_code == 200
    form = {**FORM, "do": "save", "tried": tried.context["tried"]}
    assert person.post("/event-maps/new/", form).status_code == 403
    row = event_map_add(event_map(MAP), actor="ana")
    assert person.post(f"/event-maps/{row.pk}/remove/").status_code == 403
