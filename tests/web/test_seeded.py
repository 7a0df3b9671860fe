"""A platform with many rows: how it is made, and that no page asks the database a question per row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count, Sum
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.plugin import DjangoDbBlocker

from ferris_web.catalog.models import Project, Schedule, Service, ServiceHistory
from ferris_web.executions.models import DeadLetter, Event, Execution, Flow, Rollup, Standing, Step
from tests.web.console_fixtures import _stores_cleared

EXECUTIONS, EVENTS, SERVICES = 1200, 1300, 120
FIRST_LOAD = 300_000  # bytes


@pytest.fixture(scope="module")
def seeded(django_db_setup: None, django_db_blocker: DjangoDbBlocker, ferris_home: Path) -> Iterator[None]:
    _stores_cleared(ferris_home)
    with django_db_blocker.unblock():
        call_command(
            "seed_large", executions=EXECUTIONS, events=EVENTS, services=SERVICES, days=2, verbosity=0
        )
        yield
        call_command("flush", interactive=False, verbosity=0)
    _stores_cleared(ferris_home)


@pytest.mark.usefixtures("db")
def test_it_makes_what_was_asked_for(seeded: None) -> None:
    assert Execution.objects.count() == EXECUTIONS
    assert Event.objects.count() == EVENTS
    assert Service.objects.count() == ServiceHistory.objects.count() == SERVICES
    assert DeadLetter.objects.exists()
    assert Schedule.objects.filter(next_due_at__isnull=False).exists()
    assert set(Execution.objects.order_by().values_list("status", flat=True)) == {
        "completed", "failed", "cancelled", "skipped",
    }  # fmt: skip
    ran = Execution.objects.exclude(status="skipped")
    assert Step.objects.count() == ran.count()
    flow = Flow.objects.order_by("-sequence").first()
    assert flow
    runs = Execution.objects.filter(flow_id=flow.pk)
    assert runs.count() == flow.sequence
    assert set(runs.values_list("sequence", flat=True)) == set(range(1, flow.sequence + 1))
    assert all(row.event.flow_id == row.flow_id for row in runs.select_related("event"))


@pytest.mark.usefixtures("db")
def test_dashboards_show_what_was_made(seeded: None, person: Client) -> None:
    assert not Execution.objects.filter(counted=None, finished_at__isnull=False).exists()
    days = Rollup.objects.filter(span="day", project=None, service=None).aggregate(n=Sum("count"))["n"]
    assert days == EXECUTIONS == Standing.objects.filter(period="30d").aggregate(n=Sum("count"))["n"]
    failed = Execution.objects.filter(status="failed").values("service__name").annotate(n=Count("pk"))
    most = max(row["n"] for row in failed)
    for ranked in person.get("/?range=7d").context["ranks"]:
        assert len(ranked.rows) == 8, ranked.key
    assert ranked.rows[0][1].text == str(most)


@pytest.mark.usefixtures("db")
def test_it_refuses_a_platform_that_is_in_use(seeded: None) -> None:
    with pytest.raises(CommandError, match="--anyway"):
        call_command("seed_large", executions=10)
    with pytest.raises(CommandError, match="more than 0"):
        call_command("seed_large", executions=0)


def _pages() -> dict[str, int]:
    """Every page with rows, and the most queries that it may take: session and user are two of them."""
    service = Service.objects.order_by("name").first()
    row = Execution.objects.filter(status="failed").order_by("-created_at", "-id").first()
    flow = Flow.objects.order_by("-sequence", "pk").first()
    project = Project.objects.order_by("name").first()
    assert service
    assert row
    assert flow
    assert project
    return {
        "/": 19,
        f"/projects/{project.name}/dashboard/?range=30d": 22,
        "/executions/": 8,
        "/executions/?status=failed&since=24h": 8,
        # Of several filters it is asked first in which hours they meet: decision 54.
        f"/executions/?project={project.name}&trigger=triggered": 13,
        f"/executions/?service={row.service.name}": 9,
        "/events/": 8,
        "/events/?type=orders.*": 8,
        "/flows/": 8,
        "/services/": 11,
        "/services/?q=invoice&state=active": 11,
        "/dead-letters/": 9,
        "/failures/": 6,
        "/failures/?since=": 6,
        "/event-types/": 6,
        "/schedules/": 6,
        "/projects/": 6,
        f"/projects/{project.name}/": 14,
        f"/services/{service.name}/": 24,
        f"/flows/{flow.pk}/": 24,
        f"/executions/{row.pk}/": 24,
        f"/events/{row.event_id}/": 16,
        f"/event-types/{row.event.type}/": 24,
    }


def test_a_page_is_few_queries_and_light(seeded: None, person: Client) -> None:
    for address, most in _pages().items():
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            answer = person.get(address)
        count = len(queries)
        assert answer.status_code == 200, address
        assert count <= most, (address, count, [q["sql"][:200] for q in queries.captured_queries])
        assert len(answer.content) < FIRST_LOAD, (address, len(answer.content))


def test_no_list_counts_all_its_rows(seeded: None, person: Client) -> None:
    for address in ("/executions/", "/events/", "/flows/", "/services/", "/dead-letters/?q=NOFLOW0001"):
        with CaptureQueriesContext(connection) as queries:
            person.get(address)
        counts = [q["sql"] for q in queries.captured_queries if "COUNT(*)" in q["sql"]]
        assert not counts, (address, counts)


def test_the_api_takes_as_many_queries_for_many_rows_as_for_few(seeded: None, api: Client) -> None:
    api.get("/api/v1/executions/")  # notes when the token was last used
    for name in ("executions", "events", "flows", "services", "dead-letters", "event-types", "schedules"):
        costs = []
        for limit in (2, 100):
            with CaptureQueriesContext(connection) as queries:
                answer = api.get(f"/api/v1/{name}/?limit={limit}")
            assert answer.status_code == 200, name
            costs.append(len(queries))
        assert costs[0] == costs[1] <= 6, (name, costs)


def test_lists_are_walked_both_ways(seeded: None, person: Client) -> None:
    for name in ("executions", "services", "flows"):
        forth, back, address = [], [], f"/{name}/"
        while address:
            answer = person.get(address)
            forth.append([str(getattr(r, "pk", r)) for r in answer.context["page"].rows])
            page = answer.context["page"]
            address = f"/{name}/{page.older}" if page.older else ""
            last = f"/{name}/{page.newer}" if page.newer else ""
        while last:
            page = person.get(last).context["page"]
            back.insert(0, [str(r.pk) for r in page.rows])
            last = f"/{name}/{page.newer}" if page.newer else ""
        assert len(forth) > 2, name
        assert back == forth[:-1], name
        assert len({pk for page in forth for pk in page}) == sum(map(len, forth)), name
