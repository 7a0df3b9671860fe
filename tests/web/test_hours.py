"""Pages of executions by several filters, found by the hours in which roll-ups say that something fits: each is what a
plain look at the rows finds, and what lies between is not read."""

from __future__ import annotations

import re
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from ferris_web import keyset
from ferris_web.catalog.models import Project
from ferris_web.executions import visibility
from ferris_web.executions.listings import EXECUTIONS, hours
from ferris_web.executions.listings.histogram import histogram
from ferris_web.executions.models import Execution, Rollup
from ferris_web.executions.services.rollups import rollups_piece
from tests.web.platform import dispatch, event, service

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC).replace(minute=40, second=0, microsecond=0)
HOUR = timedelta(hours=1)
FREQUENT = (("triggered", "default"), ("scheduled", "scheduled"), ("manual", "slow"))
PAIRS = (
    "trigger_type=scheduled&lane=default",
    "trigger_type=manual&lane=scheduled",
    "trigger_type=scheduled,manual&lane=slow",
    "status=cancelled&trigger_type=manual",
    "status=failed,open&lane=priority",
    "service=s0&lane=priority",
    "service=s1&status=failed&trigger_type=triggered",
    "project=p1&lane=priority",
    "project=nothing&lane=priority",
    "trigger_type=scheduled&lane=default&since=14d&until=36h",
)


NOTHING = ("trigger_type=manual&lane=scheduled", "project=nothing&lane=priority")


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility, "_owned", False)
    monkeypatch.setattr(hours, "_LITTLE", 10)


def _copied(run: Execution, at: datetime, **attributes: Any) -> Execution:
    made = copy(run)
    made.pk, made.created_at, made.finished_at, made.counted = uuid4(), at, at, None
    for name, value in {
        "status": "completed",
        "trigger_type": "triggered",
        "lane": "default",
        **attributes,
    }.items():
        setattr(made, name, value)
    return made


def _rolled() -> None:
    while rollups_piece(NOW):
        pass


@pytest.fixture
def runs() -> list[Execution]:
    """One of each project, of which others are copies."""
    found = []
    for n in range(2):
        service(f"s{n}", f"s{n}.asked", project=f"p{n}")
        (bell,) = dispatch(event(f"s{n}.asked"), now=NOW)
        found.append(Execution.objects.get(pk=bell.execution_id))
    return found


@pytest.fixture
def many(runs: list[Execution]) -> list[Execution]:
    """Some each hour of what never meets; and now and then, in bursts and long ago, what does."""
    made = [
        _copied(runs[n % 2], NOW - n * timedelta(minutes=170), trigger_type=trigger, lane=lane)
        for n, (trigger, lane) in enumerate(FREQUENT * 40)
    ]
    rare = {"trigger_type": "scheduled", "lane": "default"}, {"lane": "priority", "status": "failed"}
    for day in (0, 2, 3, 9, 13):
        for n in range(7):
            at = NOW - timedelta(days=day, minutes=n * 19)
            made += [_copied(runs[n % 2], at, **rare[n % 2]), _copied(runs[1], at, lane="priority")]
    made += [
        _copied(runs[0], NOW - timedelta(days=5, hours=n), status="cancelled", trigger_type="manual")
        for n in range(5)
    ]
    Execution.objects.bulk_create(made)
    _rolled()
    # What the roll-ups do not hold: in the middle, and now.
    late = NOW - timedelta(days=6)
    Execution.objects.bulk_create(
        _copied(runs[n % 2], late - n * HOUR / 2, trigger_type="scheduled", status="failed") for n in range(3)
    )
    running = [
        _copied(runs[n % 2], NOW - n * 31 * HOUR, lane="priority", status="in_progress") for n in range(3)
    ]
    for one in running:
        one.finished_at = None
    Execution.objects.bulk_create(running)
    return made


def _pages(text: str, whose: frozenset[int] | None, size: int) -> list[list[Any]]:
    """All pages to the end, and back again."""
    asked = EXECUTIONS.read(QueryDict(text), NOW)
    assert not asked.errors
    rows, way = EXECUTIONS.found(asked, whose), EXECUTIONS.way(whose, asked)
    assert isinstance(way, hours.Hours) or not rows.exists(), way
    pages, cursor = [], ""
    while True:
        page = keyset.cut(rows, EXECUTIONS.order, cursor, size, way)
        pages.append([row.pk for row in page.rows])
        if not page.after:
            break
        cursor = page.after
    turned, back = [pages[-1]], page.before
    while back:
        page = keyset.cut(rows, EXECUTIONS.order, back, size, way)
        turned.append([row.pk for row in page.rows])
        back = page.before
    assert _all(turned[::-1]) == _all(pages)
    return pages


def _all(pages: list[list[Any]]) -> list[Any]:
    return [pk for page in pages for pk in page]


def _plainly(text: str, whose: frozenset[int] | None) -> list[Any]:
    found = EXECUTIONS.found(EXECUTIONS.read(QueryDict(text), NOW), whose)
    return [row.pk for row in found.order_by(*EXECUTIONS.order)]


def test_pages_found_by_hours_show_what_a_plain_look_shows(many: list[Execution]) -> None:
    one, other = (Project.objects.get(name=f"p{n}").pk for n in range(2))
    for text in PAIRS:
        found = 0
        for whose in (None, frozenset((one,)), frozenset((one, other))):
            wanted = _plainly(text, whose)
            for size in (7, 50):
                pages = _pages(text, whose, size)
                assert _all(pages) == wanted, (text, whose)
                assert all(len(page) == size for page in pages[:-1])
            found += len(wanted)
        assert found or text in NOTHING, text


def test_hours_of_which_rows_have_gone_shorten_no_page(many: list[Execution]) -> None:
    """Roll-ups stay longer than what they counted."""
    text = "trigger_type=scheduled&lane=default"
    wanted = _plainly(text, None)
    gone = wanted[1:6]
    Execution.objects.filter(pk__in=gone).delete()
    assert _pages(text, None, 4)[0] == [pk for pk in wanted if pk not in gone][:4]


def test_rows_from_before_the_hours_that_are_kept_are_found(
    many: list[Execution], runs: list[Execution], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [_copied(runs[0], NOW - timedelta(days=400 + n), trigger_type="scheduled") for n in range(5)]
    for one in old:
        one.counted = True
    Execution.objects.bulk_create(old)
    text = "trigger_type=scheduled&lane=default"
    assert _all(_pages(text, None, 4))[-5:] == [one.pk for one in old]


def test_what_is_counted_while_a_page_is_read_is_not_missed(
    many: list[Execution], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "trigger_type=scheduled&lane=default&status=failed"
    asked = EXECUTIONS.read(QueryDict(text), NOW)
    wanted = _plainly(text, None)
    assert len(wanted) == 3
    read = hours.Hours._spans

    def spans(*arguments: Any) -> Any:
        found = list(read(*arguments))  # of the hours as they were before
        _rolled()
        return iter(found)

    monkeypatch.setattr(hours.Hours, "_spans", spans)
    page = keyset.cut(EXECUTIONS.found(asked, None), EXECUTIONS.order, "", 50, EXECUTIONS.way(None, asked))
    assert [row.pk for row in page.rows] == wanted


def test_only_hours_in_which_something_fits_are_read(many: list[Execution]) -> None:
    """Take one away from the sums, and its rows are not found: nothing looked for them."""
    text = "trigger_type=scheduled&lane=default&status=completed"
    wanted = _plainly(text, None)
    hidden = Execution.objects.get(pk=wanted[-1]).created_at.replace(minute=0)
    Rollup.objects.filter(span="hour", start=hidden, trigger_type="scheduled", lane="default").delete()
    assert set(wanted) - set(_all(_pages(text, None, 50))) == {
        pk for pk in wanted if Execution.objects.get(pk=pk).created_at.replace(minute=0) == hidden
    }


def test_a_page_takes_few_queries_however_little_fits(many: list[Execution]) -> None:
    for text in PAIRS:
        asked = EXECUTIONS.read(QueryDict(text), NOW)
        with CaptureQueriesContext(connection) as queries:
            way = EXECUTIONS.way(None, asked)
            keyset.cut(EXECUTIONS.found(asked, None), EXECUTIONS.order, "", 50, way)
        assert len(queries) <= 13, (text, [query["sql"][:200] for query in queries])


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has statistics")
def test_spans_are_read_by_their_bounds_and_the_rest_by_keys(many: list[Execution]) -> None:
    with CaptureQueriesContext(connection) as queries:
        for text in PAIRS:
            asked = EXECUTIONS.read(QueryDict(text), NOW)
            keyset.cut(EXECUTIONS.found(asked, None), EXECUTIONS.order, "", 7, EXECUTIONS.way(None, asked))
            if "since" not in asked.values:
                histogram(EXECUTIONS, asked, NOW, whose=None)
    for query in queries:
        if "ORDER BY" not in query["sql"] or "executions_execution" not in query["sql"]:
            continue
        with connection.cursor() as cursor:
            plan = [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")]
        read = [line for line in plan if re.match("(SEARCH|SCAN) (executions_execution|U0|V0)", line)]
        assert all(
            re.search(r"created_at>\? AND created_at<\?|\(id=\?\)|COVERING|uncounted", line) for line in read
        ), "\n".join((query["sql"], *plan))


def test_hours_are_found_by_an_index_that_has_what_is_asked_for(many: list[Execution]) -> None:
    """Of roll-ups there are many for each hour."""
    fields = next(one.fields for one in Rollup._meta.indexes if one.name == "rollup_project")
    assert {"span", "project", "start", "status", "trigger_type", "lane"} == set(fields)
    way = EXECUTIONS.way(None, EXECUTIONS.read(QueryDict("trigger_type=manual&lane=scheduled"), NOW))
    assert isinstance(way, hours.Hours)
    assert "rollup_project" in way.sums.order_by("-start").explain()


def test_of_a_backlog_rows_are_read_as_ever(many: list[Execution], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hours, "_FRESH", 2)
    both = frozenset(Project.objects.filter(name__in=("p0", "p1")).values_list("pk", flat=True))
    asked = EXECUTIONS.read(QueryDict("lane=priority"), NOW)
    with CaptureQueriesContext(connection) as queries:
        page = keyset.cut(EXECUTIONS.found(asked, both), EXECUTIONS.order, "", 4, EXECUTIONS.way(both, asked))
    assert [row.pk for row in page.rows] == _plainly("lane=priority", both)[:4]
    assert "UNION ALL" in queries[-1]["sql"]  # each project for itself
    assert "rollup" not in str(list(queries))


@pytest.mark.parametrize(
    "text", ["", "lane=slow", "status=failed", "trigger_type=manual&reason=x", "correlation_id=A"]
)
def test_what_an_index_has_is_read_by_it(many: list[Execution], text: str) -> None:
    asked = EXECUTIONS.read(QueryDict(text), NOW)
    assert EXECUTIONS.way(None, asked) is None


def test_a_service_that_ran_little_is_looked_through(
    many: list[Execution], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = EXECUTIONS.read(QueryDict("service=s0&lane=slow"), NOW)
    assert EXECUTIONS.way(None, asked) is not None
    monkeypatch.setattr(hours, "_LITTLE", 5000)
    assert EXECUTIONS.way(None, asked) is None


def test_the_histogram_of_what_never_meets_says_so_without_a_look_at_all(many: list[Execution]) -> None:
    asked = EXECUTIONS.read(QueryDict("trigger_type=manual&lane=scheduled"), NOW)
    assert histogram(EXECUTIONS, asked, NOW, whose=None) is None
    asked = EXECUTIONS.read(QueryDict("trigger_type=scheduled&lane=default"), NOW)
    found = histogram(EXECUTIONS, asked, NOW, whose=None)
    assert found is not None
    assert found.total
