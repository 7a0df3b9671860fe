"""Fair shares: what one key, service or project has waiting does not keep another one from its turn."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ferris.limits import Concurrency, Limits, Rate
from ferris.precedence import Precedence, PriorityFrom
from ferris_web.executions.models import Execution
from ferris_web.executions.services import execution_claim, executions_due, reports_apply
from ferris_web.executions.services.admission import executions_admit
from ferris_web.executions.services.pauses import service_pause, service_resume
from ferris_web.executions.services.ringing import executions_ring
from ferris_web.executions.services.urgency import execution_prioritise
from ferris_web.executions.waiting import execution_waiting
from tests.web.platform import NOW, dispatch_at, dispatched, event, report, service

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(seconds=1)
BY_CUSTOMER = Precedence(fair_share="data.customer")


def of(customer: str, type: str = "a.happened"):
    return event(type, data={"customer": customer})


@pytest.fixture
def full(monkeypatch):
    """No lane has room for a doorbell: whatever is dispatched waits."""
    from ferris_web.executions.services import dispatch as module
    from tests.web import platform

    wait = lambda batch, table, now: module.events_dispatch(batch, table, now, lambda lane: False)  # noqa: E731
    monkeypatch.setattr(platform, "events_dispatch", wait)


def rung(most: int) -> list[Execution]:
    bells = executions_ring("default", most, NOW)
    rows = Execution.objects.select_related("event", "service").in_bulk([bell.execution_id for bell in bells])
    return [rows[bell.execution_id] for bell in bells]


def customers(rows: list[Execution]) -> str:
    return "".join(row.event.data["customer"] for row in rows)


# --- in a lane -------------------------------------------------------------------------------------------


def test_a_key_with_many_waiting_does_not_keep_another_from_its_turn(full):
    service("one", "a.happened", precedence=BY_CUSTOMER)
    dispatched(*(of("a") for _ in range(30)))
    assert customers(rung(5)) == "aaaaa"
    dispatched(of("b"), of("b"), of("c"), now=LATER)
    assert customers(rung(7)) == "abcabaa"


def test_without_a_key_the_order_is_that_of_age(full):
    service("one", "a.happened")
    dispatched(*(of("a") for _ in range(3)))
    dispatched(of("b"), of("a"), now=LATER)
    assert customers(rung(5)) == "aaaba"


def test_services_of_a_project_take_turns_and_the_more_urgent_go_first(full):
    service("one", "a.happened")
    service("two", "b.happened")
    service("urgent", "c.happened", priority=4)
    dispatched(*(of("a") for _ in range(6)))
    dispatched(of("b", "b.happened"), of("b", "b.happened"), of("c", "c.happened"), now=LATER)
    assert customers(rung(9)) == "cababaaaa"


def test_a_project_gets_its_share_of_what_is_under_way_whatever_priority_others_give_themselves(full):
    service("one", "a.happened", project="loud", priority=4)
    service("two", "b.happened", project="quiet")
    dispatched(*(of("a") for _ in range(40)))
    assert customers(rung(4)) == "aaaa"
    dispatched(*(of("b", "b.happened") for _ in range(6)), now=LATER)
    assert customers(rung(6)) == "bbbbab"  # quiet catches up, and then they alternate
    assert len(rung(100)) == 36


def test_ten_thousand_of_one_key_cost_another_nothing_and_each_ring_a_few_queries(
    full, django_assert_max_num_queries
):
    service("one", "a.happened", precedence=BY_CUSTOMER)
    service("two", "b.happened", project="quiet")
    first = dispatched(of("a"))
    row = Execution.objects.get(pk=first.changes[0].execution)
    Execution.objects.bulk_create(
        Execution(**{**_values(row), "id": n.to_bytes(16).hex(), "sequence": n, "turn": n})
        for n in range(1, 10_000)
    )
    with django_assert_max_num_queries(22):  # the catalog is read among them
        dispatched(of("z"), of("z"), of("y"), of("q", "b.happened"), now=LATER)
    with django_assert_max_num_queries(12):
        found = customers(rung(6))
    assert sorted(found) == sorted("aqzyaz")


def _values(row: Execution) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in Execution._meta.concrete_fields}


def test_who_waits_in_a_lane_is_told_how_many_turns_come_before_its_own(full):
    service("one", "a.happened", precedence=BY_CUSTOMER)
    dispatched(*(of("a") for _ in range(4)), of("b"))
    rows = list(Execution.objects.order_by("created_at"))
    assert [execution_waiting(row).turns_before for row in rows] == [0, 1, 2, 3, 0]
    waits = execution_waiting(rows[3])
    assert (waits.reason, waits.share) == ("lane_full", "a")
    assert "this one for 'a' is in the turn after 3 others" in waits.text
    rung(3)
    assert execution_waiting(rows[3]).turns_before == 1


# --- at a gate -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [Limits(Concurrency(1)), Limits(rate=Rate(1, 60.0))])
def test_a_limit_that_keys_have_in_common_lets_them_in_in_turn(limits):
    made = service("one", "a.happened", limits=limits, precedence=BY_CUSTOMER)
    dispatched(*(of("a") for _ in range(20)))
    order, at = "", NOW
    for turn in range(6):
        if turn == 1:
            dispatched(of("b"), of("b"), now=LATER)
        executions_admit({made.pk: None}, at)
        row = Execution.objects.select_related("event").get(status="queued")
        order += row.event.data["customer"]
        execution_claim(row.pk, "w", at)
        reports_apply([report(row, "execution.completed", now=at)], at)
        at += timedelta(minutes=2)
    assert order == "aababa"


def test_who_waits_at_a_limit_is_told_its_turn():
    made = service("one", "a.happened", limits=Limits(Concurrency(1)), precedence=BY_CUSTOMER)
    dispatched(*(of("a") for _ in range(4)), of("b"))
    executions_admit({made.pk: None}, NOW)
    waits = [
        execution_waiting(row) for row in Execution.objects.filter(status="pending").order_by("created_at")
    ]
    assert [(one.share, one.turns_before) for one in waits] == [("a", 1), ("a", 2), ("a", 3), ("b", 0)]
    assert "at most 1 run at once. Each data.customer has its turn" in waits[0].text
    assert waits[0].to_json()["turns_before"] == 1


def test_what_waited_for_a_pause_enters_its_lane_in_turn(full):
    made = service("one", "a.happened")
    service("two", "b.happened")
    service_pause(made, actor="ann", now=NOW)
    dispatched(*(of("a") for _ in range(9)))
    service_resume(made, skip=False, actor="ann", now=NOW)
    executions_admit({made.pk: None}, NOW)
    dispatched(of("b", "b.happened"), of("b", "b.happened"), now=LATER)
    assert customers(rung(6)) == "ababaa"


def test_further_attempts_that_become_due_together_do_not_push_others_back(full):
    service("one", "a.happened", precedence=BY_CUSTOMER)
    dispatched(*(of("a") for _ in range(9)))
    Execution.objects.update(status="pending", not_before=NOW, turn=0)
    dispatched(of("b"), of("b"), now=LATER)
    executions_due(NOW)
    assert customers(rung(6)) == "ababaa"


# --- the priority of an event ------------------------------------------------------------------------------


def test_the_priority_comes_from_the_event_and_the_row_says_so():
    service("one", "a.happened", priority=6, precedence=Precedence(PriorityFrom("data.level", {"gold": 2})))
    levels = (1, "gold", 9, 0, "?", None)
    dispatch_at(*((event(data={"level": level}), NOW) for level in levels))
    rows = Execution.objects.order_by("created_at").values_list("priority", "priority_from", "lane")
    assert list(rows) == [
        (1, "event", "priority"),
        (2, "event", "priority"),
        (9, "event", "slow"),
        (6, "invalid", "default"),
        (6, "invalid", "default"),
        (6, "missing", "default"),
    ]


def test_a_priority_set_by_hand_wins_and_is_said_over_rest(api, full):
    service("one", "a.happened", precedence=Precedence(PriorityFrom("data.level")))
    dispatched(event(data={"level": 7}))
    row = Execution.objects.get()
    assert api.get(f"/api/v1/executions/{row.pk}/").json()["priority_from"] == "event"
    assert execution_prioritise(row.pk, 4, now=NOW).priority_from == "person"
    said = api.get(f"/api/v1/executions/{row.pk}/").json()
    assert (said["priority"], said["priority_from"]) == (4, "person")
    assert said["waiting"]["turns_before"] == 0


def test_rows_of_an_older_platform_that_name_no_project_are_served(full):
    service("one", "a.happened")
    dispatched(of("a"), of("a"))
    Execution.objects.update(project=None)
    dispatched(of("b"))
    assert sorted(customers(rung(9))) == ["a", "a", "b"]


def test_the_pages_say_where_priority_and_share_come_from(client, admin_user, full):
    made = service("one", "a.happened", precedence=replace(BY_CUSTOMER, priority=PriorityFrom("data.level")))
    dispatched(of("a"))
    client.force_login(admin_user)
    page = client.get(f"/services/{made.name}/").content.decode()
    assert "data.level" in page
    assert "each <code>data.customer</code> in turn" in page
    page = client.get(f"/executions/{Execution.objects.get().pk}/").content.decode()
    assert "the event has no value where the manifest looks for one" in page
    assert "projects take turns" in page
