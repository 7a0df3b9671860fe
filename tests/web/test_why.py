"""One visible decision for each event and service: by what happened, else by the catalog as it was then."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from ferris.intake import Batch, Debounce, Deduplicate, Intake
from ferris.verdicts import Kind
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.history import history_begin
from ferris_web.catalog.models import Revision, Service, ServiceHistory, ServiceVersion, Trigger
from ferris_web.executions import why
from ferris_web.executions.models import DeadLetter, Event, Execution
from tests.web.calling import problem_of
from tests.web.console_pages import page
from tests.web.platform import NOW, dispatch, event, service

pytestmark = pytest.mark.django_db
STRONG = {"event_type": "quake.seen", "filter": {"data": {"mag": [{"numeric": [">=", 5]}]}}}


def routed(*made, **attributes) -> Event:
    happened = event(*made, **attributes)
    dispatch(happened)
    return Event.objects.get(pk=happened.key)


def retriggered(row: Service, *triggers: dict) -> None:
    """What a sync does with a changed manifest."""
    row.version = ServiceVersion.objects.create(service=row, number=row.version.number + 1, digest="1" * 64)
    row.save()
    row.triggers.all().delete()
    for position, said in enumerate(triggers):
        Trigger.objects.create(service=row, position=position, **said)
    revision_bump()


def kinds(page: why.Page) -> dict[str, str]:
    return {verdict.service.name: verdict.reason.kind.value for verdict in page.verdicts}


# --- the history of the catalog ------------------------------------------------------------------------


def test_the_answer_is_by_the_manifests_of_that_time_and_says_what_today_would_be():
    alert = service("alert", STRONG)
    row = routed("quake.seen", {"mag": 4})
    retriggered(alert, {"event_type": "quake.seen"})
    found = why.verdict_of(row, alert)
    assert (found.reason.kind, found.reason.clause, found.reason.seen) == (Kind.FILTERED, "data.mag", 4)
    assert found.exact
    assert found.changed
    assert found.matches_today


def test_a_service_that_ran_and_would_not_today():
    alert = service("alert", STRONG)
    row = routed("quake.seen", {"mag": 7})
    retriggered(alert, {"event_type": "flood.seen"})
    found = why.verdict_of(row, alert)
    assert found.reason.kind is Kind.WAITING
    assert found.execution == Execution.objects.get()
    assert found.waiting
    assert "lane default" in found.waiting.text
    Execution.objects.update(status="completed")
    assert why.verdict_of(row, alert).reason.kind is Kind.RAN
    assert found.changed
    assert not found.matches_today


def test_services_that_were_inactive_gone_or_not_there_yet():
    sleeping = service("sleeping", "quake.seen", active=False)
    gone = service("gone", "quake.seen")
    Service.objects.filter(pk=gone.pk).update(vanished_at=NOW)
    revision_bump()
    row = routed("quake.seen")
    Service.objects.filter(pk=sleeping.pk).update(active=True)
    Service.objects.filter(pk=gone.pk).update(vanished_at=None)
    late = service("late", "quake.seen")
    found = {
        name: why.verdict_of(row, Service.objects.get(name=name)) for name in ("sleeping", "gone", "late")
    }
    assert [v.reason.kind for v in found.values()] == [Kind.INACTIVE, Kind.VANISHED, Kind.NOT_YET]
    assert all(v.matches_today for v in found.values())
    assert why.verdict_of(routed("quake.seen", id="2"), late).reason.kind is Kind.WAITING


def test_entries_are_only_written_for_services_that_changed():
    service("one", "a")
    service("two", "a")
    revision_bump()
    assert ServiceHistory.objects.count() == 2
    Service.objects.filter(name="one").update(active=False)
    revision_bump()
    assert ServiceHistory.objects.filter(service__name="one").count() == 2
    assert ServiceHistory.objects.filter(until=None).count() == 2


def test_where_the_history_begins_late_the_oldest_state_answers_and_says_so():
    alert = service("alert", STRONG)
    row = routed("quake.seen", {"mag": 4})
    ServiceHistory.objects.all().delete()  # as after an update from a release that kept none
    Revision.objects.update(number=9)
    history_begin()
    found = why.verdict_of(row, alert)
    assert (found.reason.kind, found.exact) == (Kind.FILTERED, False)
    assert alert.history.get().late
    assert why.verdict_of(row, service("new", "quake.seen")).reason.kind is not Kind.FILTERED


@pytest.mark.parametrize(
    ("intake", "kinds"),
    [
        (Intake(deduplicate=Deduplicate("data.customer", 3600)), {"1": "waiting", "2": "duplicate"}),
        (Intake(debounce=Debounce(60, 600, key="data.customer")), {"1": "debounced", "2": "debounced"}),
        (Intake(batch=Batch(10, 60)), {"1": "batched", "2": "batched"}),
    ],
)
def test_what_flow_control_made_of_an_event_is_the_verdict(intake, kinds):
    made = service("mailer", "order.placed", intake=intake)
    found = {}
    for number in kinds:
        row = routed("order.placed", {"customer": "acme"}, id=number)
        found[number] = row
    verdicts = {number: why.verdict_of(row, made) for number, row in found.items()}
    assert {number: verdict.reason.kind.value for number, verdict in verdicts.items()} == kinds
    assert kinds["2"] in verdicts["2"].reason.why
    assert [v.service.name for v in why.verdict_page(found["2"]).verdicts] == ["mailer"]


# --- lists ---------------------------------------------------------------------------------------------


def test_those_that_ran_come_first_then_near_misses_and_the_rest_only_when_asked():
    service("zz_ran", "quake.*")
    service("alert", STRONG)
    service("aa_other", "flood.seen")
    service("bb_none")
    row = routed("quake.seen", {"mag": 1})
    assert kinds(why.verdict_page(row)) == {"zz_ran": "waiting", "alert": "filtered"}
    everything = kinds(why.verdict_page(row, stages=why.STAGES))
    assert list(everything) == ["zz_ran", "alert", "aa_other", "bb_none"]
    assert everything["aa_other"] == "other_type"
    assert everything["bb_none"] == "no_trigger"
    assert list(kinds(why.verdict_page(row, query="A_", stages=why.STAGES))) == ["aa_other"]


def test_pages_neither_miss_nor_repeat_a_service():
    for n in range(7):
        service(f"ran_{n}", "quake.seen")
        service(f"near_{n}", STRONG)
        service(f"rest_{n}")
    row = routed("quake.seen", {"mag": 1})
    names, place = [], None
    while True:
        found = why.verdict_page(row, stages=why.STAGES, after=place, limit=4)
        names += [verdict.service.name for verdict in found.verdicts]
        place = found.following
        if place is None:
            break
    assert names == [f"{kind}_{n}" for kind in ("ran", "near", "rest") for n in range(7)]


def test_a_page_is_a_fixed_number_of_queries(django_assert_max_num_queries):
    for n in range(30):
        service(f"near_{n}", STRONG)
    row = routed("quake.seen", {"mag": 1})
    with django_assert_max_num_queries(10):
        assert len(why.verdict_page(row, limit=30).verdicts) == 30


# --- API, command, console -----------------------------------------------------------------------------


def test_the_api_answers_for_one_service_and_lists(api):
    service("runs", "quake.seen")
    service("alert", STRONG)
    service("other", "flood.seen")
    row = routed("quake.seen", {"mag": 1})
    url = f"/api/v1/events/{row.event_id}/why/"
    one = api.get(f"{url}?service=alert").json()
    assert (one["verdict"], one["clause"], one["seen"]) == ("filtered", "data.mag", 1)
    assert one["expected"] == [{"numeric": [">=", 5]}]
    assert one["today"]["matches"] is False
    assert one["execution"] is None
    ran = api.get(f"{url}?service=runs").json()
    assert ran["verdict"] == "waiting"
    assert ran["waiting"]["reason"] == "executor"
    assert ran["execution"]["status"] == "queued"
    assert [v["service"] for v in api.all(f"{url}?limit=1")] == ["runs", "alert"]
    assert [v["service"] for v in api.all(f"{url}?limit=1&all=true")] == ["runs", "alert", "other"]
    assert [v["service"] for v in api.all(f"{url}?q=oth")] == ["other"]


def test_the_api_names_what_is_wrong(api):
    row = routed("quake.seen")
    url = f"/api/v1/events/{row.event_id}/why/"
    problem_of(api.get(f"{url}?service=nobody"), 404)
    problem_of(api.get("/api/v1/events/none/why/"), 404)
    problem_of(api.get(f"{url}?cursor=xx"), 400)
    problem_of(api.get(f"{url}?limit=0"), 400)


def answer(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("why", *arguments, stdout=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


def test_the_command_lists_and_its_exit_status_tells_of_one_service(backends):
    service("runs", "quake.seen")
    service("alert", STRONG)
    row = routed("quake.seen", {"mag": 1})
    status, said = answer(row.event_id)
    assert status == 0
    assert "runs: waiting, execution" in said
    assert 'alert: filtered: data.mag is 1; expected [{"numeric": [">=", 5]}]' in said
    assert answer(row.event_id, "runs")[0] == 0
    assert answer(row.event_id, "alert")[0] == 1
    status, said = answer(row.event_id, "alert", "--json")
    assert json.loads(said)["clause"] == "data.mag"
    assert answer(row.event_id, "nobody")[0] == 2


def test_the_command_says_what_an_execution_waits_for(backends):
    service("runs", "quake.seen")
    routed("quake.seen")
    run = Execution.objects.get()
    Execution.objects.update(
        status="pending", not_before=NOW + timedelta(hours=1), reason="timeout", attempt=2
    )
    status, said = answer(str(run.pk))
    assert status == 0
    assert "it waits for its time, 2026-03-01 13:00:00 UTC: attempt 2, after timeout" in said


def test_the_command_says_where_an_event_that_is_not_in_the_journal_is(backends):
    from tests.web.platform import append

    assert answer("nowhere")[0] == 2
    DeadLetter.objects.create(
        topic="ferris.events", offset=1, reason="hop_limit", detail="101 hops", event_id="looped",
        value=b"", created_at=NOW,
    )  # fmt: skip
    assert "it was put aside, hop_limit: 101 hops" in answer("looped")[1]
    append("ferris.events", event(id="fresh"))
    assert "the router has not read it yet" in answer("fresh")[1]


def test_the_console_shows_why_on_the_events_and_the_services_page(person):
    service("runs", "quake.seen")
    alert = service("alert", STRONG)
    service("other", "flood.seen")
    row = routed("quake.seen", {"mag": 1})
    retriggered(alert, {"event_type": "quake.seen"})
    seen = page(person, f"/events/{row.pk}/").text
    assert 'data.mag is 1; expected [{"numeric": [">=", 5]}]' in seen
    assert "Today it would match." in seen
    assert "flood.seen" not in seen
    everything = page(person, f"/events/{row.pk}/why/?all=1").text
    assert "other listens for flood.seen" in everything
    assert "runs" in page(person, f"/events/{row.pk}/why/").text
    assert "data.mag is 1" in page(person, f"/services/alert/why/?event={row.event_id}").text
    assert "No such event" in page(person, "/services/alert/why/?event=none").text
    assert row.event_id in page(person, "/services/alert/why/").text


def test_a_damaged_place_of_the_console_means_the_first_page(person):
    service("runs", "quake.seen")
    row = routed("quake.seen")
    for query in ("stage=ran&behind=x", "stage=none&behind=1", "stage=near", "behind=%00"):
        assert "runs" in page(person, f"/events/{row.pk}/why/?{query}").text
