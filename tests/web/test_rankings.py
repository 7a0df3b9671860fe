"""Rankings of services: kept as executions end and as time goes on, each counted once, each project for itself."""

from __future__ import annotations

import importlib
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ferris.config import CHANGES
from ferris_web import wiring
from ferris_web.accounts.models import Membership, User
from ferris_web.catalog.models import Project, Service
from ferris_web.executions.figures import PERIODS
from ferris_web.executions.models import Execution, Standing
from ferris_web.executions.rankings import Rankings, service_rankings
from ferris_web.executions.services import execution_claim, reports_apply, rollups, standings
from ferris_web.executions.services.rollups import rollups_piece
from ferris_web.executions.services.standings import standings_slide
from gateway import roller
from gateway.roller import Roller
from tests.web.at_once import at_once
from tests.web.platform import NOW, dispatch, event, report, service

pytestmark = pytest.mark.django_db


def ran(kind: str, count: int = 1, status: str = "completed", seconds: float = 4, at: datetime = NOW) -> None:
    for bell in dispatch(*(event(kind) for _ in range(count)), now=at):
        execution_claim(bell.execution_id, "w", at + timedelta(seconds=1))
        end = at + timedelta(seconds=1 + seconds)
        reports_apply(
            [report(bell.execution_id, f"execution.{status}", now=end, reason="script_failed")], end
        )


def rolled(now: datetime = NOW) -> None:
    while rollups_piece(now):
        pass
    while standings_slide(now):
        pass


def recount(name: str, now: datetime) -> dict[str, tuple[int, int, int, float | None, int]]:
    """What the rows of executions say of a period, by service."""
    found: dict[str, list[Execution]] = {}
    made = Execution.objects.filter(created_at__gte=PERIODS[name].since(now), finished_at__isnull=False)
    for row in made.select_related("service"):
        found.setdefault(row.service.name, []).append(row)
    told = {}
    for name, rows in found.items():
        took = {
            row.pk: round((row.finished_at - row.started_at).total_seconds() * 1000)
            for row in rows
            if row.started_at
        }
        by = Counter(row.status for row in rows)
        done = [took[row.pk] for row in rows if row.status == "completed"]
        mean = sum(done) / len(done) if done else None
        told[name] = (len(rows), by["completed"], by["failed"], mean, max(took.values(), default=0))
    return told


def kept(name: str) -> dict[str, tuple[int, int, int, float | None, int]]:
    rows = Standing.objects.filter(period=name, count__gt=0).order_by()
    read = ("service__name", "count", "completed", "failed", "mean_ms", "took_most_ms")
    return {service: tuple(rest) for service, *rest in rows.values_list(*read)}  # type: ignore[misc]


@pytest.fixture
def services() -> list[Service]:
    return [service(f"s{n}", f"s{n}.asked", project="odd" if n % 2 else "even") for n in range(5)]


def test_they_are_what_a_recount_says_as_executions_end_and_time_goes_on(services: list[Service]) -> None:
    chance = random.Random(7)
    now = NOW
    for hours in (0, 1, 5, 20, 30, 24 * 6, 24 * 8, 24 * 31, 24 * 60):
        now += timedelta(hours=hours)
        for _ in range(6):
            made = now - timedelta(hours=chance.choice((0, 0, 0, 2, 23, 30, 24 * 9, 24 * 45, 24 * 100)))
            status = chance.choice(("completed", "completed", "failed"))
            ran(f"s{chance.randrange(5)}.asked", 1, status, chance.randrange(1, 300), made)
        rolled(now)
        for name in PERIODS:
            assert kept(name) == recount(name, now), (name, hours)
    ended = Execution.objects.filter(finished_at__isnull=False).count()
    assert ended == 54
    assert sum(count for count, *_ in kept("90d").values()) < ended


def test_what_a_period_has_left_behind_is_gone_though_nothing_runs(services: list[Service]) -> None:
    ran("s1.asked", 3)
    ran("s1.asked", 1, "failed")
    rolled()
    for name, hours in (("24h", 24), ("7d", 24 * 7), ("30d", 24 * 30), ("90d", 24 * 90)):
        rolled(NOW + timedelta(hours=hours - 25))
        assert kept(name) == {"s1": (4, 3, 1, 4000, 4000)}, name
        rolled(NOW + timedelta(hours=hours))
        assert kept(name) == {}, name
        found = service_rankings(PERIODS[name], 8)
        assert found == Rankings([], [], []), name
    assert standings_slide(NOW + timedelta(days=400)) == 0


def test_three_orders_and_every_project_for_itself(services: list[Service]) -> None:
    ran("s0.asked", 6, seconds=1)
    ran("s2.asked", 2, "failed")
    ran("s2.asked", 1, seconds=50)
    ran("s4.asked", 4, "failed")
    ran("s4.asked", 36, seconds=3)
    ran("s1.asked", 50, seconds=400)
    ran("s3.asked", 9, "failed")
    rolled()
    day, (even, odd) = PERIODS["24h"], (Project.objects.get(name=name) for name in ("even", "odd"))

    def names(found: Rankings) -> list[list[str]]:
        return [[one.name for one in rows] for rows in (found.frequent, found.slowest, found.failing)]

    whole = [["s1", "s4", "s3"], ["s1", "s2", "s4"], ["s3", "s4", "s2"]]
    mine = [["s4", "s0", "s2"], ["s2", "s4", "s0"], ["s4", "s2"]]
    theirs = [["s1", "s3"], ["s1"], ["s3"]]
    assert names(service_rankings(day, 3)) == whole
    assert names(service_rankings(day, 3, projects=frozenset((even.pk, odd.pk)))) == whole
    for project, expected in ((even, mine), (odd, theirs)):
        assert names(service_rankings(day, 3, project=project)) == expected
        assert names(service_rankings(day, 3, projects=frozenset((project.pk,)))) == expected
    assert service_rankings(day, 3, projects=frozenset()) == Rankings([], [], [])
    failing = service_rankings(day, 3).failing
    assert [(one.failed, one.count, one.failed_part) for one in failing] == [
        (9, 9, 1), (4, 40, 0.1), (2, 3, 2 / 3),
    ]  # fmt: skip


def test_a_view_reads_the_first_rows_of_an_index(services: list[Service]) -> None:
    """However many services and executions there are: a query for each order, and no row that is not shown."""
    shelf = Project.objects.get(name="even")
    for n in range(20):
        more = service(f"more{n}", f"more{n}.asked", project="even" if n % 3 else "odd")
        Standing.objects.create(
            service=more,
            project=more.project,
            period="24h",
            oldest=NOW,
            count=n + 1,
            completed=n + 1,
            mean_ms=n,
        )
    for where in (
        {},
        {"project": shelf},
        {"projects": frozenset(Project.objects.values_list("pk", flat=True))},
    ):
        with CaptureQueriesContext(connection) as queries:
            found = service_rankings(PERIODS["24h"], 8, **where)
        assert [len(found.frequent), len(found.slowest)] == [8, 8]
        assert len(queries) == 3
        for one in queries.captured_queries:
            assert '"executions_rollup"' not in one["sql"]
            if connection.vendor == "sqlite":
                with connection.cursor() as cursor:
                    cursor.execute("EXPLAIN QUERY PLAN " + one["sql"])
                    plan = [row[3] for row in cursor.fetchall()]
                assert any("INDEX standing_" in step for step in plan), plan
                assert not any("SCAN" in step or "TEMP B-TREE FOR ORDER" in step for step in plan), plan


def test_who_dies_between_two_writes_leaves_nothing_behind(
    services: list[Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill before the commit: what was written in the transaction is not there, and is done again, once."""

    def killed_after(place: Any, name: str) -> Callable[[], None]:
        whole = getattr(place, name)

        def dies(*given: Any, **named: Any) -> None:
            whole(*given, **named)
            raise KeyboardInterrupt

        monkeypatch.setattr(place, name, dies)
        return lambda: monkeypatch.setattr(place, name, whole)

    ran("s1.asked", 2)
    for place, name in ((rollups, "_add"), (standings, "_write"), (rollups, "standings_add")):
        mended = killed_after(place, name)
        with pytest.raises(KeyboardInterrupt):
            rollups_piece(NOW)
        mended()
        assert not Standing.objects.exists()
    rolled()
    assert kept("24h") == kept("90d") == {"s1": (2, 2, 0, 4000, 4000)}
    later = NOW + timedelta(hours=30)
    mended = killed_after(standings, "_write")
    with pytest.raises(KeyboardInterrupt):
        standings_slide(later)
    mended()
    assert kept("24h") == {"s1": (2, 2, 0, 4000, 4000)}
    rolled(later)
    assert (kept("24h"), kept("7d")) == ({}, {"s1": (2, 2, 0, 4000, 4000)})


@pytest.mark.django_db(transaction=True)
def test_two_rollers_at_once_count_nothing_twice_and_lose_nothing(backends: Any) -> None:
    """While one counts what ended, another lets the periods go on: both hold the same rows."""
    for n in range(4):
        service(f"s{n}", f"s{n}.asked")
        ran(f"s{n}.asked", 5, at=NOW - timedelta(hours=23))
    rolled()
    later = NOW + timedelta(hours=2)
    for n in range(4):
        ran(f"s{n}.asked", 9, "failed" if n == 2 else "completed", 7 + n, at=later)

    def roll(piece: Callable[[], int]) -> None:
        while piece():
            pass

    pieces = [lambda: rollups_piece(later, 5), lambda: standings_slide(later, 1)] * 2
    at_once(*(lambda piece=piece: roll(piece) for piece in pieces))
    rolled(later)
    for name in PERIODS:
        assert kept(name) == recount(name, later), name


def test_roll_ups_from_before_there_were_rankings_are_ranked(services: list[Service]) -> None:
    ran("s1.asked", 3)
    ran("s2.asked", 2, "failed", at=NOW - timedelta(days=8))
    rolled()
    Standing.objects.all().delete()
    migration = importlib.import_module("ferris_web.executions.migrations.0028_standings_begin")
    migration.begin(apps, None)
    assert kept("24h") == {}
    rolled()
    for name in PERIODS:
        assert kept(name) == recount(name, NOW), name
    assert set(kept("30d")) == {"s1", "s2"}


def test_the_queries_do_not_grow_with_services(django_assert_max_num_queries: Any) -> None:
    for n in range(12):
        service(f"s{n}", "all.asked")
    ran("all.asked", 2)
    with django_assert_max_num_queries(14):
        assert rollups_piece(NOW) == 24
    with django_assert_max_num_queries(8):
        assert standings_slide(NOW + timedelta(hours=30)) == 12


def test_the_roller_lets_periods_go_on_though_nothing_ends(
    backends: Any, services: list[Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran("s1.asked")
    rolled()

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return NOW + timedelta(days=2)

    monkeypatch.setattr(roller, "datetime", Later)
    tail = wiring.event_log().tail([CHANGES])
    role = Roller(wiring.event_log())
    role.longest_rest = 0.05
    role.turn()
    assert (kept("24h"), set(kept("7d"))) == ({}, {"s1"})
    assert [record.value for record in tail.poll(10, timeout=60)] == [b'{"rolled":true}']
    role.turn()
    assert tail.poll(10, timeout=0.05) == []
    role.close()
    tail.close()


# --- what is shown -----------------------------------------------------------------------------------


@pytest.fixture
def today(backends: Any, services: list[Service]) -> datetime:
    now = datetime.now(NOW.tzinfo)
    ran("s0.asked", 3, "failed", at=now)
    ran("s0.asked", 1, at=now)
    ran("s1.asked", 2, "failed", at=now)
    ran("s2.asked", 5, at=now)
    rolled(now)
    return now


def test_the_page_ranks_what_failed_most_with_links_to_it(today: datetime, person: Client) -> None:
    answer = person.get("/?range=30d")
    failing = next(one for one in answer.context["ranks"] if one.key == "failing")
    assert [[cell.text for cell in row] for row in failing.rows] == [
        ["s0", "3", "75%", "4"],
        ["s1", "2", "100%", "2"],
    ]
    failed = person.get(failing.rows[0][1].href)
    assert [row.status for row in failed.context["page"].rows] == ["failed"] * 3
    assert len(person.get(failing.rows[0][3].href).context["page"].rows) == 4
    assert "Most failing services" in answer.content.decode()
    (theirs,) = person.get("/projects/odd/dashboard/").context["ranks"][2].rows
    assert [cell.text for cell in theirs] == ["s1", "2", "100%", "2"]
    assert parse_qs(urlsplit(theirs[1].href).query)["project"] == ["odd"]


def test_when_nothing_failed_or_ran_it_says_so(services: list[Service], person: Client) -> None:
    text = person.get("/").content.decode()
    assert "No service failed in this time." in text
    assert "No service ran in this time." in text


def test_each_person_sees_the_rankings_of_their_projects(today: datetime) -> None:
    user = User.objects.create_user("member", password="x" * 12)
    Membership.objects.filter(user=user).delete()
    Membership.objects.create(user=user, project=Project.objects.get(name="odd"), role="viewer")
    client = Client()
    client.force_login(user)
    ranked = client.get("/").context["ranks"]
    assert {row[0].text for one in ranked for row in one.rows} == {"s1"}
    assert client.get("/projects/even/dashboard/").status_code == 404


def test_over_the_api(today: datetime, api: Any) -> None:
    found = api.get("/api/v1/dashboard/?range=7d").json()
    assert [
        (one["service"], one["count"], one["failed"], one["failed_share"]) for one in found["failing"]
    ] == [
        ("s0", 4, 3, 0.75),
        ("s1", 2, 2, 1.0),
    ]
    assert [one["service"] for one in found["frequent"]] == ["s2", "s0", "s1"]
    assert {one["service"] for one in found["slowest"]} == {"s0", "s2"}
    odd = api.get("/api/v1/projects/odd/dashboard/").json()
    assert [one["service"] for one in odd["failing"]] == ["s1"]
    assert odd["slowest"] == []
