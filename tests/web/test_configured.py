"""Which configuration an execution was given: noted at the claim, shown whatever has become of it since."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from ferris_web import wiring
from ferris_web.accounts.models import Membership, Role, User
from ferris_web.accounts.services import token_create
from ferris_web.catalog import secrets
from ferris_web.catalog.models import Service, ValueChange
from ferris_web.catalog.value_history import changes_prune
from ferris_web.catalog.values import Kind, Place
from ferris_web.executions.models import Execution
from ferris_web.executions.services import reports_apply
from ferris_web.executions.services.values import value_remove, value_set
from tests.web.calling import Caller, problem_of
from tests.web.platform import dispatch, event, report, service

pytestmark = pytest.mark.django_db


def put(place: Place, value: object) -> None:
    assert value_set(place, value, actor="ada", now=datetime.now(UTC))


@pytest.fixture
def mailer(backends: None) -> Service:
    return service("mailer", "x")


def run(executor: Caller, *kinds: str, attempt: int = 1, row: Execution | None = None) -> Execution:
    """An attempt as its executor makes it: claimed, then these reports. A new execution unless it is of one."""
    if row is None:
        [bell] = dispatch(event("x"))
        row = Execution.objects.get(pk=bell.execution_id)
    answer = executor.post("/control/claim", {"execution": str(row.pk), "worker": "w"}).json()
    marks = answer["order"]["config_marks"]
    reports = []
    for kind in kinds:
        about: dict[str, Any] = {"step": 0, "script": "run.py"} if kind.startswith("step") else {}
        if kind == "step.started":
            about["config"] = marks
        reports.append(report(row, kind, attempt, datetime.now(UTC), **about))
    reports_apply(reports, datetime.now(UTC))
    return row


ENDED = ("step.started", "step.completed", "execution.completed")


def told(caller: Caller, row: Execution) -> list[dict[str, Any]]:
    answer = caller.get(f"/api/v1/executions/{row.pk}/config/")
    assert answer.status_code == 200, answer.content
    return list(answer.json()["attempts"])


def shown(client: Client, row: Execution) -> str:
    page = client.get(f"/executions/{row.pk}/").content.decode()
    return page[page.index('id="surroundings"') : page.index("<h2>Input</h2>")]


def test_each_attempt_shows_what_it_was_given(executor, api, admin_client, mailer):
    put(Place(Kind.CONFIG), {"region": "eu", "team": "x"})
    put(Place(Kind.CONFIG, mailer), {"port": 25})
    row = run(executor, "step.started", "step.failed", "execution.retry_scheduled")
    Execution.objects.filter(pk=row.pk).update(status="queued")
    put(Place(Kind.CONFIG, mailer), {"port": 587, "team": "shop"})
    run(executor, *ENDED, attempt=2, row=row)
    put(Place(Kind.CONFIG, mailer.project), {"region": "us"})
    second, first = told(api, row)
    assert (first["attempt"], first["config"]) == (1, {"port": 25, "region": "eu", "team": "x"})
    assert second["config"] == {"port": 587, "region": "eu", "team": "shop"}
    assert [(one["name"], one["scope"], one["hides"]) for one in second["values"]] == [
        ("port", "service", []), ("region", "platform", []), ("team", "service", ["platform"]),
    ]  # fmt: skip
    said = ("scope", "known", "change", "newest", "changed_since", "replaced_meanwhile")
    assert [tuple(one[name] for name in said) for one in first["sources"]] == [
        ("service", True, 1, 2, True, False),
        ("project", True, None, 1, True, False),
        ("platform", True, 1, 1, False, False),
    ]
    assert [one["changed_since"] for one in second["sources"]] == [False, True, False]
    page = shown(admin_client, row)
    assert "As attempt 2" in page
    assert "As attempt 1" in page
    assert "587" in page
    assert '/services/mailer/config/history/2/?with=1"' in page


def test_what_was_replaced_while_it_ran_is_said(executor, api, admin_client, mailer):
    put(Place(Kind.CONFIG, mailer), {"port": 25})
    row = run(executor, "step.started")
    put(Place(Kind.CONFIG, mailer), {"port": 587})
    put(Place(Kind.CONFIG), {"new": 1})
    [attempt] = told(api, row)
    assert attempt["config"] == {"port": 25}
    assert [one["replaced_meanwhile"] for one in attempt["sources"]] == [True, False, True]
    assert "before the attempt had ended" in shown(admin_client, row)


def test_back_and_forth_is_told_apart_by_time(executor, api, mailer):
    place = Place(Kind.CONFIG, mailer)
    for value in (1, 2, 1):
        put(place, {"n": value})
    row = run(executor, *ENDED)
    for value in (2, 1):
        put(place, {"n": value})
    [own, *_] = told(api, row)[0]["sources"]
    assert (own["change"], own["newest"], own["changed_since"]) == (3, 5, False)


def test_what_lay_in_the_store_unnoticed_is_known_until_it_is_replaced_there(
    executor, api, admin_client, mailer
):
    """Written and overwritten behind our back: the mark tells that nothing we have is what it was."""
    put(Place(Kind.CONFIG), {"region": "eu"})
    put(Place(Kind.CONFIG, mailer), {"port": 25})
    wiring.config_store().put("mailer", b'{"port": 26}')
    row = run(executor, *ENDED)
    [attempt] = told(api, row)
    assert attempt["config"] == {"port": 26, "region": "eu"}
    assert (attempt["sources"][0]["change"], attempt["sources"][0]["changed_since"]) == (None, False)
    wiring.config_store().put("mailer", b'{"port": 27}')
    [attempt] = told(api, row)
    assert attempt["config"] is None
    assert attempt["values"] == [], "the service may have hidden any name of the platform's"
    assert (attempt["sources"][0]["known"], attempt["sources"][0]["changed_since"]) == (False, True)
    page = shown(admin_client, row)
    assert "its history does not have any more" in page
    assert "region" not in page


def test_what_is_pruned_is_not_guessed(executor, api, mailer):
    put(Place(Kind.CONFIG, mailer), {"port": 25})
    row = run(executor, *ENDED)
    put(Place(Kind.CONFIG, mailer), {"port": 587})
    assert changes_prune(datetime.now(UTC) + timedelta(days=1)) == 1
    [attempt] = told(api, row)
    assert (attempt["config"], attempt["sources"][0]["known"]) == (None, False)


def test_a_secret_in_it_is_not_shown(executor, api, admin_client, mailer):
    secrets.secret_set("service", "key", "a-very-secret-text", service=mailer)
    put(Place(Kind.CONFIG, mailer), {"password": "a-very-secret-text"})
    row = run(executor, *ENDED)
    [attempt] = told(api, row)
    assert (attempt["config"], attempt["sources"][0]["masked"]) == (None, True)
    page = shown(admin_client, row)
    assert "a secret stood in it" in page
    assert "a-very-secret-text" not in page


def test_ferris_env_is_for_administrators(executor, api, admin_client, mailer):
    put(Place(Kind.ENV), {"DB_HOST": "old.example"})
    row = run(executor, *ENDED)
    put(Place(Kind.ENV), {"DB_HOST": "new.example"})
    assert told(api, row)[0]["env"] is None, "ada is no administrator"
    User.objects.filter(username="ada").update(is_superuser=True)
    env = told(api, row)[0]["env"]
    assert (env["value"], env["changed_since"], env["change"]) == ({"DB_HOST": "old.example"}, True, 1)
    page = shown(admin_client, row)
    assert "old.example" in page
    assert "/platform/ferris-env/history/2/?with=1" in page
    browser = Client()
    viewer = User.objects.create_user("vic", password="a long password")
    Membership.objects.filter(user=viewer).update(project=mailer.project, role=Role.VIEWER)
    browser.force_login(viewer)
    page = shown(browser, row)
    assert "old.example" not in page
    assert "Administrators see" in page


def test_who_does_not_see_the_execution_does_not_see_it(executor, mailer):
    row = run(executor, *ENDED)
    stranger = User.objects.create_user("eve", password="a long password")
    Membership.objects.filter(user=stranger).delete()
    problem_of(Caller(token_create(stranger)).get(f"/api/v1/executions/{row.pk}/config/"), 404)


def test_what_has_not_begun_shows_what_is_there_now_and_says_so(executor, api, admin_client, mailer):
    put(Place(Kind.CONFIG, mailer), {"port": 25})
    [bell] = dispatch(event("x"))
    row = Execution.objects.get(pk=bell.execution_id)
    assert told(api, row) == []
    page = shown(admin_client, row)
    assert "no script has begun yet" in page
    assert "25" in page
    Execution.objects.filter(pk=row.pk).update(status="cancelled")
    assert "No script of it began" in shown(admin_client, row)


def test_what_an_older_executor_ran_says_that_nobody_noted_it(executor, api, admin_client, mailer):
    put(Place(Kind.CONFIG, mailer), {"port": 25})
    row = run(executor)
    reports_apply([report(row, "step.started", step=0, script="run.py")], datetime.now(UTC))
    [attempt] = told(api, row)
    assert (attempt["recorded"], attempt["config"], attempt["values"]) == (False, None, [])
    assert "was not noted" in shown(admin_client, row)


def test_removed_since(executor, api, mailer):
    put(Place(Kind.CONFIG, mailer), {"port": 25})
    row = run(executor, *ENDED)
    assert value_remove(Place(Kind.CONFIG, mailer), actor="ada", now=datetime.now(UTC))
    [own, *_] = told(api, row)[0]["sources"]
    assert (own["known"], own["change"], own["newest"], own["changed_since"]) == (True, 1, 2, True)


def test_many_attempts_and_changes_cost_the_same_queries(
    executor, api, mailer, django_assert_max_num_queries
):
    row = None
    for attempt in range(1, 6):
        put(Place(Kind.CONFIG, mailer), {"n": attempt})
        row = run(
            executor, "step.started", "step.failed", "execution.retry_scheduled", attempt=attempt, row=row
        )
        Execution.objects.filter(pk=row.pk).update(status="queued")
    with django_assert_max_num_queries(12) as many:
        assert [one["config"]["n"] for one in told(api, row)] == [5, 4, 3, 2, 1]
    ValueChange.objects.filter(number=3).delete()
    row.steps.filter(attempt__gt=1).delete()
    with django_assert_max_num_queries(len(many.captured_queries)):
        assert len(told(api, row)) == 1
