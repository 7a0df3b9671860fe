"""Gatherings in the API and the console: what came, what is missing, when it ends."""

from __future__ import annotations

import pytest

from ferris.intake import Batch, Deduplicate, Intake, Join, Throttle
from ferris.triggers import TriggerSpec
from ferris_web.executions import gathered
from ferris_web.executions.models import Execution, Gathering
from ferris_web.executions.services.gathering_due import absences_due
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


# --- by hand ---------------------------------------------------------------------------------------------


def test_a_batch_is_closed_now_with_what_has_come(api):
    service("one", "a.*", intake=Intake(batch=Batch(10, 3600)))
    sent = [event(data={"n": n}) for n in range(3)]
    dispatch(*sent)
    box = Gathering.objects.get()
    found = api.post(f"{PATH}{box.pk}/close/").json()
    row = Execution.objects.get()
    assert (found["state"], found["execution_id"], found["closed_by"]) == ("ran", str(row.pk), "ada")
    assert (row.status, row.rung_at, row.gathering_id) == ("queued", None, box.pk)
    assert [one["data"]["n"] for one in gathered.events_handed(box.pk)] == [0, 1, 2]
    assert api.post(f"{PATH}{box.pk}/close/").status_code == 409
    assert api.post(f"{PATH}{box.pk}/discard/").status_code == 409
    dispatch(*sent, event(data={"n": 3}))  # read again, and one more: the next batch
    assert Execution.objects.count() == 1
    assert Gathering.objects.get(state="open").size == 1


def test_a_half_filled_join_runs_with_what_came_and_says_what_is_missing(half, api):
    _, first, box = half
    api.post(f"{PATH}{box.pk}/close/")
    [said] = gathered.decisions_of(first.key).values()
    assert str(said) == f"joined into {Execution.objects.get().pk}: ada had it run without b.done"


def test_what_is_discarded_runs_nothing_and_its_events_say_who_left_them_out(half, api):
    _, first, box = half
    assert api.post(f"{PATH}{box.pk}/discard/").json() == {"events": 1}
    [said] = gathered.decisions_of(first.key).values()
    assert str(said) == "left out: ada discarded what it was gathered in"
    dispatch(event("b.done", {"order": 7}))  # what it waited for comes too late: a new one begins
    assert not Execution.objects.exists()
    assert sorted(Gathering.objects.values_list("state", flat=True)) == ["discarded", "open"]
    assert api.get(f"{PATH}?state=discarded").json()["results"][0]["closed_by"] == "ada"


def test_an_absence_is_told_at_once(api):
    join = Join("absence", (TriggerSpec("a.asked"), TriggerSpec("a.answered")), 3600, "data.n", "a.silent")
    service("one", intake=Intake(join=join))
    dispatch(event("a.asked", {"n": 1}))
    box = Gathering.objects.get()
    assert api.post(f"{PATH}{box.pk}/close/").json()["state"] == "due"
    [(pk, told)] = absences_due()
    assert (pk, told.type) == (box.pk, "a.silent")


def test_a_throttle_lets_through_what_it_holds_back(api):
    service("one", "a.*", intake=Intake(throttle=Throttle(1, 60, excess="wait")))
    dispatch(*(event(data={"n": n}) for n in range(4)))
    box = Gathering.objects.get()
    found = api.post(f"{PATH}{box.pk}/close/").json()
    assert (found["state"], found["held"], found["due_at"]) == ("open", 0, None)
    assert Execution.objects.count() == 4
    assert api.post(f"{PATH}{box.pk}/close/").status_code == 409  # nothing is held
    late = event(data={"n": 5})
    dispatch(late)
    assert api.post(f"{PATH}{box.pk}/discard/").json() == {"events": 1}
    assert "discarded" in str(*gathered.decisions_of(late.key).values())
    assert Gathering.objects.get().state == "open"  # it goes on counting


def test_the_window_of_a_deduplication_ends(api):
    service("one", "a.*", intake=Intake(deduplicate=Deduplicate("data.n", 3600)))
    dispatch(event(data={"n": 1}), event(data={"n": 1}))
    api.post(f"{PATH}{Gathering.objects.get().pk}/close/")
    dispatch(event(data={"n": 1}))
    assert Execution.objects.count() == 2


def test_buttons_ask_first_and_do_it(half, client, admin_user):
    _, _, box = half
    client.force_login(admin_user)
    page = client.get(f"/gatherings/{box.pk}/").content.decode()
    assert 'data-confirm-word="Discard it"' in page
    assert 'hx-trigger="every 3s"' in page
    assert client.get(f"/gatherings/{box.pk}/discard/").status_code == 405
    client.post(f"/gatherings/{box.pk}/discard/")
    page = client.get(f"/gatherings/{box.pk}/").content.decode()
    assert "discarded" in page
    assert "Close now" not in page
    assert "every 3s" not in page
    assert "is not open any more" in client.post(f"/gatherings/{box.pk}/close/", follow=True).content.decode()
    assert 'hx-trigger="every 3s"' in client.get("/gatherings/").content.decode()


def test_strangers_close_nothing(half, client):
    _, _, box = half
    for what in ("close", "discard"):
        assert client.post(f"{PATH}{box.pk}/{what}/").status_code in (401, 403)
        assert client.post(f"/gatherings/{box.pk}/{what}/").status_code == 302
    box.refresh_from_db()
    assert box.state == "open"
