"""What keeps lists fast with many rows: indexes that fit their filters, sums that were kept, and rows of some projects
read without walking past everybody else's. Each must find what a plain look at the rows finds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from ferris import events
from ferris_web import keyset
from ferris_web.accounts.models import Membership, User
from ferris_web.accounts.permissions import reach
from ferris_web.catalog.models import EventType, Project, Service
from ferris_web.catalog.selectors import tag_list
from ferris_web.executions import overview, visibility
from ferris_web.executions.buckets import hour_of
from ferris_web.executions.failures import FailureGroup, FailureGroups, failure_groups
from ferris_web.executions.figures import PERIODS, figures
from ferris_web.executions.listings import EVENTS, EXECUTIONS, FLOWS, Listing, lists
from ferris_web.executions.listings import histogram as histograms
from ferris_web.executions.listings.histogram import Histogram, histogram
from ferris_web.executions.models import DeadLetter, Event, Execution, FailureKind, Flow, Tally
from ferris_web.executions.services import Catalog, execution_claim, reports_apply
from ferris_web.executions.services.failure_kinds import failure_kinds_prune, failures_piece, failures_retried
from ferris_web.executions.services.owners import owners_piece
from ferris_web.executions.services.rollups import rollups_piece
from ferris_web.executions.services.tallies import tallied, tallies_piece, tallies_prune
from ferris_web.executions.visibility import executions_apart, within
from gateway.catalog_view import CatalogView
from tests.web.platform import dispatch, event, report, service

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC).replace(minute=40, second=0, microsecond=0)
HOUR = timedelta(hours=1)
Made = TypeVar("Made")


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "_owned", False)
    monkeypatch.setattr(histograms.cache, "get", lambda key: None)


def ran(
    kind: str,
    at: datetime,
    status: str = "completed",
    error: str = "",
    catalog: Catalog | None = None,
    **attributes: Any,
) -> list[Execution]:
    made = dispatch(event(kind, **attributes), now=at, catalog=catalog)
    for bell in made:
        execution_claim(bell.execution_id, "w", at)
        if status != "in_progress":
            said = {"reason": "script_failed", "error": error} if status == "failed" else {}
            reports_apply([report(bell.execution_id, f"execution.{status}", now=at, **said)], at)
    return list(Execution.objects.filter(pk__in=[bell.execution_id for bell in made]))


def rolled() -> None:
    while rollups_piece(NOW):
        pass
    while tallies_piece(NOW):
        pass
    while failures_piece():
        pass


_made: dict[Callable[[], Any], tuple[Any, list[list[Model]]]] = {}


def made_once(make: Callable[[], Made]) -> Made:
    """What `make` gives, and its rows: the first test has them made as the platform does, which takes a second, and
    the others are given copies."""
    if make not in _made:
        tables = [one for one in apps.get_models() if one._meta.app_label in ("catalog", "executions")]
        _made[make] = make(), [list(table._base_manager.all()) for table in tables]
        return _made[make][0]
    given, tables = _made[make]
    for rows in filter(None, tables):
        about = rows[0]._meta
        others = [field.name for field in about.concrete_fields if not field.primary_key]
        type(rows[0])._base_manager.bulk_create(
            rows, update_conflicts=True, update_fields=others, unique_fields=[about.pk.name]
        )
    return given


# --- plans -------------------------------------------------------------------------------------------


def _plan(rows: QuerySet[Any]) -> str:
    """How the database would read them; PostgreSQL as if there were many."""
    sql, parameters = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for off in ("seqscan", "sort", "bitmapscan"):
                cursor.execute(f"SET LOCAL enable_{off} = off")
            cursor.execute(f"EXPLAIN {sql}", parameters)
            return "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
        return "\n".join(row[3] for row in cursor.fetchall())


def _known_to_postgresql(count: int) -> None:
    """So many rows of somebody else, and statistics of them. Those of an empty table are of whatever rows of other
    tests it held when PostgreSQL last looked: by them one project had all there was, and any index would do."""
    service("other", "b.happened", project="large")
    (run,) = ran("b.happened", NOW)
    flow, event = Flow.objects.get(pk=run.flow_id), run.event
    made: list[tuple[Flow, Event, Execution]] = []
    for n in range(count):
        flow.pk = event.event_id = event.flow_id = run.flow_id = f"other-{n}"
        event.pk, run.pk = uuid4(), uuid4()
        run.event_id = event.pk
        made.append((copy(flow), copy(event), copy(run)))
    for rows in zip(*made, strict=True):
        type(rows[0])._default_manager.bulk_create(rows)
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {rows[0]._meta.db_table}")


def _shown_rows(listing: Listing, text: str, *, everyones: bool = True) -> QuerySet[Any]:
    asked = listing.read(QueryDict(text), NOW)
    rows = listing.found(asked, None)
    return listing.along(rows, asked.values, everyones) if listing.along else rows


@pytest.mark.parametrize(
    ("listing", "asked", "index"),
    [
        (EXECUTIONS, "reason=timeout", "execution_reason"),
        (EXECUTIONS, "project=small", "execution_project"),
        (EXECUTIONS, "lane=slow", "execution_lane"),
        (EXECUTIONS, "trigger_type=manual", "execution_trigger"),
        (EXECUTIONS, "lane=slow&until=2030-01-01T00:00:00Z", "execution_lane"),
        (EVENTS, "source=/rare", "event_source"),
        (EVENTS, "subject=nobody", "event_subject"),
        (FLOWS, "root_type=a.happened", "flow_root_type"),
    ],
)
def test_a_page_is_the_first_rows_of_an_index(listing: Listing, asked: str, index: str) -> None:
    service("only", "a.happened", project="small")
    if connection.vendor == "postgresql":
        _known_to_postgresql(1000)
    plan = _plan(_shown_rows(listing, asked).order_by(*listing.order)[:51])
    assert index in plan, plan
    assert not re.search(r"SCAN executions|Seq Scan|TEMP B-TREE FOR ORDER|Sort  ", plan), plan


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics")
@pytest.mark.parametrize(
    ("listing", "asked", "index"),
    [
        (EVENTS, "source=/s", "event_flow_id"),
        (EVENTS, "type=s0.asked", "event_flow_id"),
        (EVENTS, "type=s0.*", "event_flow_id"),
        (EVENTS, "subject=order-1&matched=some", "event_flow_id"),
        (EVENTS, "source=/s&until=2d", "event_flow_id"),
        (FLOWS, "root_type=s0.asked", "autoindex_executions_flow_1"),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_of_a_small_project_its_few_flows_are_looked_up_whatever_else_is_asked_for(
    busy: list[Project], listing: Listing, asked: str, index: str, named: bool
) -> None:
    """Of a source or a type there may be any number."""
    mine = frozenset((busy[0].pk,))
    if named and any(one.name == "project" for one in listing.fields):
        asked, mine = f"{asked}&project=p0", None
    values = listing.read(QueryDict(asked), NOW)
    assert not values.errors
    with CaptureQueriesContext(connection) as queries:
        keyset.cut(listing.found(values, mine), listing.order, "", 50)
        histogram(listing, listing.read(QueryDict(f"since=30d&{asked}"), NOW), NOW, whose=mine)
    table = listing.model._meta.db_table
    read = [query["sql"] for query in queries if f'FROM "{table}"' in query["sql"]]
    assert len(read) >= 3
    with connection.cursor() as cursor:
        for sql in read:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = [row[3] for row in cursor.fetchall()]
            assert any(table in line and index in line for line in plan), (sql, plan)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics")
@pytest.mark.parametrize(
    "asked",
    [
        "status=open",
        "status=open&project=p0",
        "status=open&service=s0",
        "status=in_progress&trigger_type=manual&since=7d",
    ],
)
@pytest.mark.parametrize("many", [1, 2, 0])
def test_what_is_open_is_listed_by_its_status_and_not_along_what_projects_or_services_ran(
    busy: list[Project], asked: str, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = User.objects.create_user("somebody", is_staff=not many)
    Membership.objects.filter(user=user).delete()
    for one in busy[:many]:
        Membership.objects.create(user=user, project=one, role="viewer")
    ran("s0.asked", NOW - timedelta(minutes=7), "in_progress")
    values = EXECUTIONS.read(QueryDict(asked), NOW)

    def plans() -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            way = EXECUTIONS.way(reach(user), values)
            keyset.cut(EXECUTIONS.shown(user, values), EXECUTIONS.order, "", 50, way)
            histogram(EXECUTIONS, values, NOW, whose=reach(user))
        with connection.cursor() as cursor:
            read = [
                query["sql"]
                for query in queries
                if '"created_at"' in query["sql"] and "ORDER BY" in query["sql"]
            ]
            return ["\n".join(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}")) for sql in read]

    found = plans()
    assert found
    assert all("(status=?" in plan and "project" not in plan for plan in found), found
    monkeypatch.setattr(lists, "_RARE", 0)  # of a backlog somebody's few are not looked for
    if asked == "status=open" and many == 1:
        assert any("project" in plan for plan in plans())


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL looks up rows that were changed lately")
@pytest.mark.parametrize(
    "also", ["", "&status=failed", "&trigger_type=manual", "&lane=slow&status=failed", "&project=p0"]
)
def test_a_histogram_of_failures_for_a_reason_looks_no_row_up(busy: list[Project], also: str) -> None:
    values = EXECUTIONS.read(QueryDict(f"reason=script_failed&since=30d{also}"), NOW)
    with CaptureQueriesContext(connection) as queries:
        found = histogram(EXECUTIONS, values, NOW, whose=None)
    assert found is not None
    assert found.total or "manual" in also or "slow" in also
    read = [query["sql"] for query in queries if '"reason" =' in query["sql"]]
    assert len(read) == 2
    with connection.cursor() as cursor:
        for sql in read:
            plan = [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}")]
            assert any("COVERING INDEX execution_reason" in line for line in plan), (sql, plan)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics")
@pytest.mark.parametrize("asked", ["status=completed", "status=completed&lane=slow", "project=p0"])
def test_a_flow_is_looked_up_whatever_else_is_asked_for(busy: list[Project], asked: str) -> None:
    values = EXECUTIONS.read(QueryDict(f"{asked}&correlation_id=NONE000001&since=30d"), NOW)
    with CaptureQueriesContext(connection) as queries:
        keyset.cut(EXECUTIONS.found(values, None), EXECUTIONS.order, "", 50)
        histogram(EXECUTIONS, values, NOW, whose=None)
    read = [query["sql"] for query in queries if "UNION" in query["sql"]]
    assert len(read) >= 3
    with connection.cursor() as cursor:
        for sql in read:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = [row[3] for row in cursor.fetchall()]
            assert any("SEARCH executions_execution USING" in line and "(id=?)" in line for line in plan), (
                plan
            )
            assert not any("status=?" in line or "execution_project" in line for line in plan), plan


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics")
@pytest.mark.parametrize("asked", ["type=rare.*&source=/s", "type=rare.one&source=/s&since=7d"])
def test_a_rare_type_is_read_by_its_index_and_not_along_a_frequent_source(hourly: None, asked: str) -> None:
    EventType.objects.create(name="rare.one", count=3, last_seen_at=NOW)
    rows = EVENTS.found(EVENTS.read(QueryDict(asked), NOW), None).order_by(*EVENTS.order)[:51]
    assert "(type=?" in _plan(rows)
    frequent = EVENTS.found(EVENTS.read(QueryDict("type=a.b&source=/s"), NOW), None).order_by(*EVENTS.order)
    assert "TEMP B-TREE" not in _plan(frequent[:51])


@pytest.mark.parametrize(
    "asked", ["lane=priority", "trigger_type=retried", "trigger_type=retried,manual&lane=priority"]
)
@pytest.mark.parametrize("rare", [0, 5000])
def test_a_lane_and_a_trigger_are_found_looked_up_or_walked(
    worked: Catalog, asked: str, rare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "_RARE", rare)
    values = EXECUTIONS.read(QueryDict(asked), NOW).values
    some = [row.pk for row in Execution.objects.order_by("created_at")[:40]]
    Execution.objects.exclude(pk__in=some).update(lane="slow", trigger_type="scheduled")
    Execution.objects.filter(pk__in=some[::2]).update(trigger_type="retried", lane="priority")
    wanted = {
        row.pk
        for row in Execution.objects.all()
        if row.lane == values.get("lane", row.lane)
        and row.trigger_type in values.get("trigger_type", (row.trigger_type,))
    }
    assert wanted
    for everyones in (True, False):
        with CaptureQueriesContext(connection) as queries:
            assert {row.pk for row in _shown_rows(EXECUTIONS, asked, everyones=everyones)} == wanted
        assert len(queries) <= 1 + len(values)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics")
def test_what_is_frequent_is_not_read_along_its_index_when_more_is_asked_for(
    worked: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rare, index in ((0, "service"), (5000, "lane")):
        monkeypatch.setattr(lists, "_RARE", rare)
        plan = _plan(_shown_rows(EXECUTIONS, "service=s0&lane=priority").order_by("-created_at", "-id")[:50])
        assert index in plan.split("INDEX ")[1], plan


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics")
def test_the_indexes_of_lanes_and_triggers_are_taken_for_nothing_else() -> None:
    """SQLite, which has none, would take one where another answers at once."""
    for asked in ({"lane": "slow", "service": uuid4()}, {"trigger_type": "manual", "status": "failed"},
                  {"lane": "slow"}):  # fmt: skip
        plan = _plan(Execution.objects.filter(**asked).order_by("-created_at", "-id")[:50])
        assert not re.search("execution_lane|execution_trigger", plan), plan


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics")
def test_dashboards_read_what_is_open_and_a_service_its_own_executions(three: list[Project]) -> None:
    """And not all that a project ran, or all that completed."""
    mine = frozenset((three[0].pk,))
    its = Service.objects.get(name="s0")
    for read, index in (
        (lambda: overview.running_now(6, mine), "executions__status"),
        (lambda: overview.open_counts(mine), "executions__status"),
        (lambda: overview.duration_average(its, NOW - 24 * HOUR), "executions__service"),
    ):
        with CaptureQueriesContext(connection) as queries, connection.cursor() as cursor:
            read()
            cursor.execute(f"EXPLAIN QUERY PLAN {queries[-1]['sql']}")
            plan = "\n".join(row[3] for row in cursor.fetchall())
        assert index in plan, plan


def test_failures_are_read_along_their_kinds() -> None:
    latest = FailureKind.objects.filter(last_at__isnull=False).order_by("-last_at", "pk")
    assert "failure_last" in _plan(latest[:50])
    assert "failure_its_last" in _plan(within(latest, frozenset((1,)))[:50])
    of_kind = Execution.objects.filter(failure=1).order_by("-created_at", "-id").values("pk")
    assert "execution_failure" in _plan(of_kind[:1])
    unsorted = Execution.objects.filter(status="failed", failure=None, retried=None).order_by("-created_at")
    if (
        connection.vendor == "sqlite"
    ):  # PostgreSQL knows by its statistics which is smaller: here both are empty
        assert "execution_unsorted" in _plan(unsorted[:300])
        unowned = Execution.objects.filter(project=None).order_by("-created_at")
        assert "execution_project" in _plan(unowned[:300])


# --- of some projects --------------------------------------------------------------------------------


def _three() -> None:
    for n in range(3):
        service(f"s{n}", f"s{n}.asked", "all.asked", project=f"p{n}")
    catalog = CatalogView().current()
    for n in range(30):
        ran(
            f"s{n % 3}.asked" if n % 5 else "all.asked",
            NOW - HOUR * n,
            "failed" if n % 4 == 0 else "completed",
            catalog=catalog,
        )


@pytest.fixture
def three() -> list[Project]:
    """Three projects, and what they ran."""
    made_once(_three)
    return [Project.objects.get(name=f"p{n}") for n in range(3)]


def test_executions_of_some_projects_are_merged_in_their_order(three: list[Project]) -> None:
    mine = frozenset((three[0].pk, three[2].pk))
    apart = executions_apart(mine)
    assert apart is not None
    order = ("-created_at", "-id")
    for rows in (
        Execution.objects.all(),
        Execution.objects.filter(status="failed").select_related("service"),
    ):
        wanted = [row.pk for row in rows.order_by(*order) if row.project_id in mine]
        seen, cursor, back = [], "", ""
        while True:
            with CaptureQueriesContext(connection) as queries:
                page = keyset.cut(within(rows, mine), order, cursor, 4, apart)
            assert len(queries) == 1
            seen += [row.pk for row in page.rows]
            back, cursor = page.before, page.after
            if not cursor:
                break
        assert seen == wanted
        before = keyset.cut(within(rows, mine), order, back, 4, apart)
        assert [row.pk for row in before.rows] == wanted[-len(page.rows) - 4 : -len(page.rows)]


def test_who_sees_all_one_or_very_many_projects_reads_along_one_index(three: list[Project]) -> None:
    assert executions_apart(None) is None
    assert executions_apart(frozenset((three[0].pk,))) is None
    assert executions_apart(frozenset(range(1000))) is None
    assert executions_apart(frozenset((1, 2)), {"service"}) is None
    assert executions_apart(frozenset((1, 2)), {"status"}) is not None


@pytest.mark.parametrize("few", [0, 3000])
def test_what_flows_through_a_project_is_the_same_looked_up_or_walked(
    three: list[Project], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility, "_FEW", few)
    for mine in (frozenset((three[0].pk,)), frozenset((three[0].pk, three[1].pk))):
        flows = set(Execution.objects.filter(project__in=mine).values_list("flow_id", flat=True))
        assert set(within(Flow.objects.all(), mine).values_list("pk", flat=True)) == flows
        assert {row.flow_id for row in within(Event.objects.all(), mine)} == flows
    assert not within(Event.objects.all(), frozenset()).exists()


def test_what_flows_through_projects_that_ran_much_is_looked_at_row_by_row(
    three: list[Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL would make a join of it with all that they ever ran, SQLite look through all that for each row."""
    flows = {row.pk: row.flow_id for row in Execution.objects.all()}
    for n, flow in enumerate(sorted(set(flows.values()))):
        DeadLetter.objects.create(
            topic="t", offset=n, reason="schema", flow_id=flow, value=b"", created_at=NOW
        )
    mine = frozenset((three[0].pk,))
    wanted = {flows[pk] for pk in Execution.objects.filter(project__in=mine).values_list("pk", flat=True)}
    for few in (3000, 0):
        monkeypatch.setattr(visibility, "_FEW", few)
        found = within(DeadLetter.objects.all(), mine)
        assert {row.flow_id for row in found} == wanted
    if connection.vendor == "postgresql":
        _known_to_postgresql(1000)
    for model in (DeadLetter, Event, Flow):
        plan = _plan(within(model._default_manager.all(), mine).order_by())
        assert re.search("SubPlan|CORRELATED SCALAR SUBQUERY", plan), plan
        assert re.search(
            "COVERING INDEX execution_flow_project|Index Only Scan using execution_flow_project", plan
        )
        assert not re.search("Join|execution_project", plan), plan


def test_executions_from_before_get_their_project_and_are_seen_meanwhile(three: list[Project]) -> None:
    mine = frozenset((three[1].pk,))
    count = within(Execution.objects.all(), mine).count()
    Execution.objects.update(project=None)
    visibility._owned = False
    assert within(Execution.objects.all(), mine).count() == count > 0
    assert within(Event.objects.all(), mine).exists()
    assert executions_apart(frozenset((1, 2))) is None
    total = Execution.objects.count()
    assert [owners_piece(total - 3), owners_piece(), owners_piece()] == [total - 3, 3, 0]
    assert all(
        row.project_id == row.service.project_id for row in Execution.objects.select_related("service")
    )
    assert within(Execution.objects.all(), mine).count() == count


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL knows what is open")
def test_what_is_open_is_read_by_its_status_and_not_along_all_that_a_project_ran(
    three: list[Project],
) -> None:
    for whose in ({"projects": frozenset((three[0].pk,))}, {"project": three[0]}):
        with CaptureQueriesContext(connection) as queries:
            figures(PERIODS["90d"], NOW, **whose)
        asked = queries[-1]["sql"]
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {asked}")
            plan = " ".join(row[3] for row in cursor.fetchall())
        assert "(status=? AND created_at>?" in plan, plan


def test_a_dashboard_reads_a_row_for_each_day_and_lane_however_many_outcomes(busy: list[Project]) -> None:
    for whose in ({}, {"projects": frozenset(one.pk for one in busy)}, {"project": busy[0]}):
        with CaptureQueriesContext(connection) as queries:
            found = figures(PERIODS["30d"], NOW, **whose)
        assert len(found.statuses) >= 3
        with connection.cursor() as cursor:
            cursor.execute(queries[0]["sql"])
            places = [row[:2] for row in cursor.fetchall()]
        assert len(places) == len(set(places)) > 10
        ran("s0.asked", NOW - timedelta(minutes=5))
        rolled()  # with the one that has ended and was not counted
        assert figures(PERIODS["30d"], NOW, **whose).took.count == found.took.count + 2
        ran("s0.asked", NOW - timedelta(minutes=5))


# --- places ------------------------------------------------------------------------------------------


def _steps(look: Callable[[], object]) -> int:
    """How many hundreds of instructions SQLite needs for it."""
    steps: list[None] = []
    connection.connection.set_progress_handler(lambda: steps.append(None), 100)
    try:
        look()
    finally:
        connection.connection.set_progress_handler(None, 0)
    return len(steps)


@pytest.fixture
def hourly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of a frequent type, one an hour."""
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL takes the nearer of two bounds by itself")
    monkeypatch.setattr(lists, "_FEW", 100)
    Event.objects.bulk_create(
        Event(key=uuid4(), event_id=str(n), source="/s", type="a.b", time=NOW - n * HOUR,
              received_at=NOW - n * HOUR, flow_id=f"F{n}", offset=n)
        for n in range(1500)
    )  # fmt: skip
    EventType.objects.update_or_create(name="a.b", defaults={"count": 1500, "last_seen_at": NOW})


def _page(asked: str, cursor: str = "") -> keyset.Slice:
    rows = EVENTS.found(EVENTS.read(QueryDict(asked), NOW), None)
    return keyset.cut(rows, EVENTS.order, cursor, 10)


@pytest.mark.parametrize("asked", ["until={now}", "type=a.*", "type=a.*&until={now}"])
def test_a_late_page_does_not_walk_from_the_first(hourly: None, asked: str) -> None:
    asked = asked.format(now=f"{NOW + HOUR:%Y-%m-%dT%H:%M:%SZ}")
    late = keyset.written(Event.objects.order_by("received_at")[20], EVENTS.order)
    assert len(_page(asked, late).rows) == 10
    assert _steps(lambda: _page(asked, late)) <= 2 * _steps(lambda: _page(asked)) + 2


def test_types_before_a_time_are_walked_from_there(hourly: None) -> None:
    until = f"&until={NOW - 1400 * HOUR:%Y-%m-%dT%H:%M:%SZ}"
    assert _page("type=a.*" + until).rows[0].received_at < NOW - 1400 * HOUR
    assert _steps(lambda: _page("type=a.*" + until)) <= 2 * _steps(lambda: _page("type=a.*")) + 2


def test_hours_are_counted_without_a_look_at_those_that_wait(hourly: None) -> None:
    assert tallies_piece(NOW) == 6
    many = _steps(lambda: tallies_piece(NOW))
    Tally.objects.create(listing="events", start=hour_of(NOW) - 10 * HOUR, outcome="all", count=0)
    few = _steps(lambda: tallies_piece(NOW))
    assert many <= 1.5 * few


# --- failures ----------------------------------------------------------------------------------------


def _told(found: FailureGroups) -> list[tuple[Any, ...]]:
    return [(g.service, g.reason, g.kind, g.count, g.first_at, g.last_at, g.example) for g in found.groups]


@pytest.fixture
def failing() -> list[Execution]:
    service("mailer", "mail.asked", project="p0")
    service("loader", "load.asked", project="p1")
    made = []
    for n in range(9):
        kind = "mail.asked" if n % 3 else "load.asked"
        error = f"ValueError: order {n}" if n % 2 else "KeyError: 'customer'"
        made += ran(kind, NOW - HOUR * n, "failed", error)
    return made


def test_sorted_failures_make_the_same_groups(failing: list[Execution]) -> None:
    p0 = frozenset(Project.objects.filter(name="p0").values_list("pk", flat=True))
    asked = [
        (FailureGroup(), None),
        (FailureGroup(service="mailer"), None),
        (FailureGroup(reason="script_failed", since=NOW - 4 * HOUR), None),
        (FailureGroup(since=NOW - 6 * HOUR, until=NOW - 2 * HOUR), None),
        (FailureGroup(kind=failing and failure_groups(FailureGroup()).groups[0].kind), None),
        (FailureGroup(), p0),
        (FailureGroup(), frozenset()),
    ]
    plain = [_told(failure_groups(group, projects=projects)) for group, projects in asked]
    assert len(plain[0]) == 4
    assert plain[5]
    assert plain[6] == []
    for most in (2, 1, 100, 100):
        failures_piece(most)
        for (group, projects), wanted in zip(asked, plain, strict=True):
            assert _told(failure_groups(group, projects=projects)) == wanted, group
            shown = failure_groups(group, most=2, projects=projects)
            assert _told(shown) == wanted[:2]
            assert shown.more == max(0, len(wanted) - 2)
    assert failures_piece() == 0


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics")
@pytest.mark.parametrize("since", [None, NOW - 720 * HOUR])
@pytest.mark.parametrize("everyones", [True, False])
def test_what_is_not_sorted_yet_is_found_by_its_index(
    failing: list[Execution], since: datetime | None, everyones: bool
) -> None:
    """And not by a walk past all that failed, or all that a project ran."""
    projects = None if everyones else frozenset((failing[0].project_id or 0,))
    with CaptureQueriesContext(connection) as queries, connection.cursor() as cursor:
        failure_groups(FailureGroup(since=since), most=50, projects=projects)
        fresh = next(query["sql"] for query in queries if '"failure_id" IS NULL' in query["sql"])
        cursor.execute(f"EXPLAIN QUERY PLAN {fresh}")
        plan = "\n".join(row[3] for row in cursor.fetchall())
    assert "execution_unsorted" in plan
    assert "TEMP B-TREE" not in plan


def test_sorted_failures_cost_the_same_however_many_they_are(failing: list[Execution]) -> None:
    rolled()
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            failure_groups(FailureGroup(since=NOW - 30 * HOUR), most=50)
        counts.append(len(queries))
        for n in range(20):
            ran("mail.asked", NOW - HOUR * (n % 7), "failed", f"OSError: {n}")
        rolled()
    assert counts == [2, 2]


def _retried(row: Execution, at: datetime = NOW) -> None:
    dispatch(
        event(
            events.RETRY_REQUESTED, service=str(row.service_id), trigger="retried", correlation_id=row.flow_id,
            causation_id=str(row.pk),
        ),
        now=at,
    )  # fmt: skip


def test_who_is_retried_leaves_its_group_at_once(failing: list[Execution]) -> None:
    rolled()
    before = {g.kind: g for g in failure_groups(FailureGroup(service="loader")).groups}
    newest = max((row for row in failing if row.service.name == "loader"), key=lambda row: row.created_at)
    _retried(newest)
    _retried(newest)  # twice is once
    after = {g.kind: g for g in failure_groups(FailureGroup(service="loader")).groups}
    assert sum(g.count for g in after.values()) == sum(g.count for g in before.values()) - 1
    assert all(g.example != newest.pk and g.last_at < newest.created_at for g in after.values())
    for row in failing:
        _retried(row)
    assert failure_groups(FailureGroup()).groups == []
    assert not FailureKind.objects.filter(last_at__isnull=False).exists()
    assert failures_piece() == 0


def test_who_was_retried_before_it_was_sorted_is_no_failure(failing: list[Execution]) -> None:
    """By a script that asked for another run and then failed; or before there were kinds."""
    row = failing[0]
    Execution.objects.filter(pk=row.pk).update(status="in_progress")
    _retried(row)
    Execution.objects.filter(pk=row.pk).update(status="failed")
    wanted = _told(failure_groups(FailureGroup()))
    rolled()
    assert _told(failure_groups(FailureGroup())) == wanted
    row.refresh_from_db()
    assert (row.retried, row.failure_id) == (True, None)
    failures_retried([row.pk])


def test_kinds_of_which_nothing_is_left_go(failing: list[Execution]) -> None:
    rolled()
    Execution.objects.filter(service__name="loader").update(failure=None)
    failure_kinds_prune(NOW + HOUR)
    assert set(FailureKind.objects.values_list("service__name", flat=True)) == {"mailer"}
    assert {g.service for g in failure_groups(FailureGroup(service="mailer")).groups} == {"mailer"}


# --- histograms --------------------------------------------------------------------------------------


def _asked(listing: Listing, text: str, whose: frozenset[int] | None = None) -> Histogram:
    found = histogram(listing, listing.read(QueryDict(text), NOW), NOW, whose=whose)
    assert found is not None
    return found


def _plainly(listing: Listing, text: str, found: Histogram, whose: frozenset[int] | None = None) -> list[Any]:
    """What a look at each row says."""
    asked = listing.read(QueryDict(text), NOW)
    rows = listing.found(asked, whose, without=("since", "until"))
    told = []
    for one in found.buckets:
        counts: Counter[str] = Counter()
        for row in rows:
            at = getattr(row, listing.time)
            if max(one.start, found.since) <= at < min(one.end, found.until):
                if listing is EXECUTIONS:
                    counts[row.status] += 1
                else:
                    counts[("something" if row.matched else "nothing") if listing is EVENTS else "all"] += 1
        told.append((one.start, dict(counts)))
    return told


def _shown(found: Histogram) -> list[Any]:
    return [(one.start, {k: n for k, n in one.counts.items() if n}) for one in found.buckets]


def _worked() -> Catalog:
    for n in range(2):
        service(f"s{n}", f"s{n}.asked", project=f"p{n}", priority=2 + 3 * n)
    catalog = CatalogView().current()
    for n in range(60):
        status = ("completed", "failed", "cancelled")[n % 3]
        ran(f"s{n % 2}.asked", NOW - timedelta(hours=n * 7, minutes=n * 11), status, catalog=catalog)
        if n % 4 == 0:
            ran("nobody.listens", NOW - timedelta(hours=n * 7, minutes=3), catalog=catalog)
    return catalog


def _busy() -> None:
    catalog = _worked()
    rolled()
    ran("s0.asked", NOW - timedelta(minutes=5), catalog=catalog)


@pytest.fixture
def worked() -> Catalog:
    """What two services of two projects ran."""
    return made_once(_worked)


@pytest.fixture
def busy() -> list[Project]:
    """Two projects of a service each, and what these ran; all is counted but for what came last."""
    made_once(_busy)
    return [Project.objects.get(name=f"p{n}") for n in range(2)]


def test_kept_sums_show_what_a_count_shows(busy: list[Project]) -> None:
    for listing in (EVENTS, FLOWS):
        for text in ("since=3d", "since=16d", "matched=some&since=7d", "type=s0.asked&since=24h",
                     "until=2d&since=9d"):  # fmt: skip
            found = _asked(listing, text)
            assert _shown(found) == _plainly(listing, text, found), (listing.name, text)
    ran("s1.asked", NOW - timedelta(hours=50), "in_progress")  # open, and long ago
    ran("s0.asked", NOW - timedelta(hours=70), "failed")  # ended, and not counted yet
    mine = frozenset((busy[1].pk,))
    queries_of: dict[str, int] = {}
    for period in ("24h", "7d", "20d"):
        for text in ("", "status=failed", "status=open", "lane=priority", "project=p0", "service=s1",
                     "trigger_type=triggered", "project=nobody", "status=failed&service=s0"):  # fmt: skip
            for whose in (None, mine, frozenset(one.pk for one in busy)):
                asked = f"{text}&since={period}"
                with CaptureQueriesContext(connection) as queries:
                    found = _asked(EXECUTIONS, asked, whose)
                assert _shown(found) == _plainly(EXECUTIONS, asked, found, whose), (asked, whose)
                queries_of[asked] = len(queries)
                assert not found.cut
    assert max(queries_of.values()) <= 5, queries_of


def test_sums_are_read_and_rows_only_at_the_edges(busy: list[Project]) -> None:
    """What the sums hold is not counted: change them, and it shows."""
    Tally.objects.filter(listing="events").update(count=1000)
    found = _asked(EVENTS, "since=7d")
    assert found.total >= 1000 * 5
    assert Event.objects.count() < 100


def test_an_hour_is_tallied_once_it_is_over_and_forgotten_with_its_rows(busy: list[Project]) -> None:
    tallied = Tally.objects.filter(listing="events", count__gt=0)
    last = tallied.order_by("-start")[0].start
    assert last < NOW - HOUR
    assert tallies_piece(NOW) == 0
    total = sum(Tally.objects.filter(listing="events").values_list("count", flat=True))
    assert total == Event.objects.filter(received_at__lt=NOW.replace(minute=0)).count()
    with CaptureQueriesContext(connection) as queries:
        assert tallies_piece(NOW + 3 * HOUR) > 0
    assert len(queries) <= 2 * (2 + 1 + 2 + 6 + 1)
    tallies_prune(last)
    assert set(Tally.objects.filter(start__lt=last)) == set()


def test_hours_in_which_nothing_came_are_passed_at_once(busy: list[Project]) -> None:
    """As on a platform that was not used for months: the next look is no walk along all of them."""
    pieces = 0
    while tallies_piece(NOW + timedelta(days=300)):
        pieces += 1
    assert pieces <= 2
    assert tallied("events") == tallied("flows")
    assert (known := tallied("events")) is not None
    assert known[1] == (NOW + timedelta(days=300)).replace(minute=0)


def test_a_histogram_of_too_much_begins_later_and_says_so(
    busy: list[Project], monkeypatch: pytest.MonkeyPatch, person: Any
) -> None:
    monkeypatch.setattr(histograms, "COUNTED", 5)
    found = _asked(EVENTS, "type=s0.asked&since=20d")
    assert found.cut
    assert found.total == 5
    assert found.since > NOW - timedelta(days=20)
    monkeypatch.setattr(histograms, "WALKED", 4)
    assert _asked(EVENTS, "type=s0.*&since=20d").cut
    monkeypatch.setattr(histograms, "COUNTED", 1000)
    looked_at = _asked(EVENTS, "type=s0.asked&matched=none&since=20d")  # none of which there is
    assert looked_at.cut
    assert _asked(EVENTS, "type=s0.asked&matched=some&since=20d").total == 4
    text = person.get("/lists/events/histogram/?type=s0.*&since=20d").content.decode()
    assert "too many before" in text


def test_dead_letters_and_flows_of_a_project_have_their_histogram(busy: list[Project]) -> None:
    mine = frozenset((busy[0].pk,))
    for listing in (EVENTS, FLOWS):
        found = _asked(listing, "since=20d", mine)
        plain = [sum(counts.values()) for _, counts in _plainly(listing, "since=20d", found, mine)]
        assert [one.total for one in found.buckets] == plain
        assert found.total > 20


def test_tags_are_read_once_for_all_services_that_carry_the_same() -> None:
    for n in range(12):
        row = service(f"tagged_{n}", "a.happened")
        row.tags = ["daily", "finance"] if n % 3 else ["etl"]
        row.save()
    with CaptureQueriesContext(connection) as queries, connection.cursor() as cursor:
        assert tag_list() == ["daily", "etl", "finance"]
        cursor.execute(queries[0]["sql"])
        assert len(cursor.fetchall()) == 2
