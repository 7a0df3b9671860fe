"""Charts of events: what is counted, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ferris_web.catalog.models import Project, Service
from ferris_web.executions.charted import TRIED, charted, tried
from ferris_web.executions.models import ChartEntry, ChartSum
from ferris_web.executions.services import charts
from ferris_web.executions.services.chart_counting import AT_ONCE, entries_piece, fill_piece
from tests.web.charts.charting import DAY, fill, made, now, orders, shown, whole
from tests.web.platform import dispatch, event, service

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


def test_what_comes_counts_once_whatever_is_done_twice(shop: Service) -> None:
    chart = made(aggregate="sum", value_path="data.total", group_path="data.shop")
    batch = orders(3, 4, shop="north") + orders(5, shop="south") + orders("none", True, shop="north")
    dispatch(*batch, now=now())  # the router reads them again
    assert ChartEntry.objects.count() == 5
    with pytest.raises(RuntimeError), connection.execute_wrapper(_dies_at("DELETE")):
        entries_piece()  # killed between the sums and their end
    assert entries_piece() == 5
    assert entries_piece() == 0
    dispatch(*batch, now=now())
    assert entries_piece() == 0
    found = shown(chart)
    assert {one.name: sum(v or 0 for v in one.values) for one in found.drawn.series} == {
        "north": 7,
        "south": 5,
    }
    assert (found.left_out, found.row.feed.counted) == (2, 3)
    assert ChartSum.objects.filter(span="day").count() == 2


def _dies_at(word: str) -> Any:
    def wrap(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(word):
            raise RuntimeError("killed")
        return execute(sql, params, many, context)

    return wrap


def test_the_past_and_what_comes_meanwhile_count_once_each(shop: Service) -> None:
    begin = now() - timedelta(hours=30)
    for n in range(3):
        orders(*[1] * 150, at=begin + timedelta(hours=n))
    chart = made()
    orders(1, 1)
    assert entries_piece() == 2
    assert shown(chart).filled == 0.0
    later = now() + timedelta(seconds=1)
    assert fill_piece(later).read == AT_ONCE  # of 450
    assert 0 < shown(chart).filled < 1
    with pytest.raises(RuntimeError), connection.execute_wrapper(_dies_at("UPDATE")):
        fill_piece(later)
    assert fill(later) == 150
    waits = fill_piece(later).again  # what the router may still have under way with the older catalog
    assert waits > later
    assert fill(waits) == 0
    assert fill_piece(waits).again is None
    assert shown(chart).filled is None
    assert charts.chart_get(chart.pk).feed.counted == 452
    assert sum(ChartSum.objects.filter(span="day").values_list("count", flat=True)) == 452
    live = made(past=False)
    assert fill(waits + timedelta(minutes=1)) == 0
    orders(1)
    entries_piece()
    assert (whole(live), whole(chart)) == (1, whole(chart))


def test_a_chart_that_asks_for_something_else_begins_anew(shop: Service) -> None:
    chart = made(group_path="data.shop")
    orders(1, 2, shop="north")
    entries_piece()
    same = charts.chart_save({"kind": "pie", "title": "New"}, now=now(), chart=chart)
    assert same.feed.counted == 2
    orders(9)  # with an entry that was written for what the chart was
    charts.chart_save({"aggregate": "most", "value_path": "data.total"}, now=now(), chart=chart)
    assert entries_piece() == 1
    assert ChartSum.objects.count() == 0
    fill(now() + timedelta(minutes=1))
    assert charts.chart_get(chart.pk).feed.counted == 3
    charts.chart_remove(chart)
    assert ChartSum.objects.count() == 0
    orders(1)
    assert not ChartEntry.objects.exists()


def test_a_project_counts_the_events_of_its_flows_and_the_platform_all(shop: Service) -> None:
    service("other", "bank.*", project="bank")
    mine, platform = made(event_type="*"), made(None, event_type="*")
    bank = event("bank.paid", id="b")
    dispatch(bank, event("nobody.listens", id="n"), now=now())
    orders(1)
    entries_piece()
    assert (whole(mine), whole(platform)) == (1, 3)
    project = Project.objects.get(name="shop")
    draft = charts.chart_draft(
        {"title": "x", "kind": "kpi", "source": "events", "event_type": "*"}, project=project
    )
    assert tried(draft, DAY, now() + timedelta(seconds=1)).drawn.series[0].values == (1,)
    assert TRIED == 2_000


def test_groups_are_bounded_and_a_view_takes_few_queries(shop: Service) -> None:
    chart = made(group_path="data.total", groups_shown=3)
    orders(*range(60))
    entries_piece()
    assert len(charts.chart_get(chart.pk).feed.groups) == 50
    assert [one.name for one in shown(chart).drawn.series] == ["0", "1", "10", "other"]
    assert whole(chart) == 60
    for kind in ("pie", "table", "kpi", "line"):
        made(kind=kind)
    rows = list(charts.chart_list(Project.objects.get(name="shop")))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        charted(rows, DAY, now())
    assert len(queries) == 1
