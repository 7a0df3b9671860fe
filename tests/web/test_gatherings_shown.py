"""Gatherings in the API and the console: what came, what is missing, when it ends."""

from __future__ import annotations

import pytest

from ferris.intake import Batch, Intake, Join, Throttle
from ferris.triggers import TriggerSpec
from ferris_web.executions.models import Execution, Gathering
from tests.web.console_pages import Page
from tests.web.platform import dispatch, event, service

pytestmark = pytest.mark.django_db

PATH = "/api/v1/gatherings/"


@pytest.fixture
def half():
    """A join with one of two events."""
    entries = (TriggerSpec("a.done"), TriggerSpec("b.done"))
    made = service("joining", intake=Intake(join=Join("all_of", entries, 3600, "data.order")))
    first = event("a.done", {"order": 7})
    dispatch(first)
    return made, first, Gathering.objects.get()


def test_a_half_filled_join_shows_what_came_what_is_missing_and_when_it_expires(half, api):
    _, first, box = half
    found = api.get(f"{PATH}{box.pk}/").json()
    assert found["parts"] == [
        {"entry": "all_of[0]", "event_type": "a.done",
         "came": {"key": str(first.key), "id": first.id, "type": "a.done"}},
        {"entry": "all_of[1]", "event_type": "b.done", "came": None},
    ]  # fmt: skip
    assert (found["kind"], found["key"], found["state"], found["due_at"]) == (
        "join", "7", "open", "2026-03-01T13:00:00.000Z",
    )  # fmt: skip
    assert [(one["id"], one["decision"]) for one in found["events"]] == [(first.id, "joined")]


def test_the_list_is_filtered(half, api):
    service("other", "a.*", intake=Intake(batch=Batch(10, 5)))
    dispatch(event("a.done", {"order": 8}))
    assert len(api.get(PATH).json()["results"]) == 3
    assert [one["kind"] for one in api.get(f"{PATH}?service=other").json()["results"]] == ["batch"]
    assert [one["key"] for one in api.get(f"{PATH}?kind=join&state=open&key=8").json()["results"]] == ["8"]
    assert api.get(f"{PATH}?kind=pile").status_code == 400
    assert api.get(f"{PATH}00000000-0000-4000-8000-000000000000/").status_code == 404


def test_pages(api):
    service("other", "a.*", intake=Intake(batch=Batch(10, 5, "data.n")))
    dispatch(*(event(data={"n": n}) for n in range(5)))
    page = api.get(f"{PATH}?limit=3").json()
    rest = api.get(page["next"]).json()
    assert len({one["id"] for one in page["results"] + rest["results"]}) == 5


def test_an_execution_names_its_gathering_and_an_event_its_decision(api):
    service("other", "a.*", intake=Intake(batch=Batch(2, 5)))
    batch = [event(), event()]
    dispatch(*batch)
    run = Execution.objects.get()
    found = api.get(f"/api/v1/executions/{run.pk}/").json()
    assert found["gathering_id"] == str(Gathering.objects.get().pk)
    for one in batch:
        said = api.get(f"/api/v1/events/{one.key}/why/?service=other").json()
        assert (said["verdict"], said["why"]) == ("batched", f"batched into {run.pk}")
        assert said["execution"]["id"] == str(run.pk)


def test_what_is_left_out_is_a_decision_of_its_own(api):
    service("other", "a.*", intake=Intake(throttle=Throttle(1, 60)))
    batch = [event(), event()]
    dispatch(*batch)
    said = api.get(f"/api/v1/events/{batch[1].key}/why/?service=other").json()
    assert (said["verdict"], said["why"]) == ("dropped", "throttled (1 per 60 s): dropped")


def test_strangers_see_nothing(half, anonymous):
    assert anonymous.get(PATH).status_code == 401
    assert anonymous.get(f"{PATH}{half[2].pk}/").status_code == 401


@pytest.mark.parametrize(
    "address", ["/gatherings/", "/gatherings/{box}/", "/events/{event}/", "/services/joining/"]
)
def test_pages_of_the_console(half, person, address):
    _, first, box = half
    found = Page(person.get(address.format(box=box.pk, event=first.key)).content.decode())
    assert not found.unclosed
    assert "joining" in found.text


def test_the_page_of_a_join_says_what_is_missing(half, person):
    found = Page(person.get(f"/gatherings/{half[2].pk}/").content.decode())
    assert "all_of[1] b.done missing" in found.text
    assert person.get("/gatherings/00000000-0000-4000-8000-000000000000/").status_code == 404


def test_the_page_of_an_execution_leads_to_its_events(person):
    service("other", "a.*", intake=Intake(batch=Batch(2, 5)))
    dispatch(event(), event())
    run = Execution.objects.get()
    found = Page(person.get(f"/executions/{run.pk}/").content.decode())
    assert f"/gatherings/{run.gathering_id}/" in found.links
    assert (
        f"/executions/{run.pk}/"
        in Page(person.get(f"/gatherings/{run.gathering_id}/").content.decode()).links
    )


@pytest.mark.parametrize("who", ["api", "person"])
def test_lists_take_a_fixed_number_of_queries(who, request, django_assert_max_num_queries):
    service("other", "a.*", intake=Intake(batch=Batch(2, 5, "data.n")))
    dispatch(*(event(data={"n": n % 20}) for n in range(40)))
    caller = request.getfixturevalue(who)
    with django_assert_max_num_queries(8):
        assert caller.get(PATH if who == "api" else "/gatherings/").status_code == 200
