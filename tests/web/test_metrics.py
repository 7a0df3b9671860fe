"""`context.metrics`: each value is added up once, and drawn on the service's page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ferris_ef import metrics as sdk

from ferris import events, metric_points
from ferris.config import METRICS
from ferris.errors import EventError
from ferris.metric_points import Point, point_of
from ferris_web import wiring
from ferris_web.accounts.models import Membership, User
from ferris_web.catalog.models import Project
from ferris_web.executions.models import Execution, MetricPoint, MetricRollup, MetricSeries
from ferris_web.executions.services import metrics
from ferris_web.executions.services.metrics import metrics_prune, metrics_take
from gateway.meter import Meter
from tests.web.platform import append, dispatch, event, service

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


@pytest.fixture
def execution() -> Execution:
    """The moment is the test's own: the run may have begun on another day."""
    global NOW
    NOW = datetime.now(UTC)
    service("shop", "a.happened", project="mine")
    (bell,) = dispatch(event())
    return Execution.objects.get(pk=bell.execution_id)


class Sent:
    """Takes the place of the wire: what the helper library would send."""

    def __init__(self) -> None:
        self.data: list[Any] = []

    def send(self, kind: str, data: Any, topic: str) -> None:
        assert (kind, topic) == (metric_points.TYPE, METRICS)
        self.data.append(data)


def recorded(
    row: Execution, name: str, value: float, at: datetime | None = None, **labels: str
) -> events.Event:
    """The event that the executor makes of what the helper library sends."""
    sent = Sent()
    sdk.Metrics(sent).put(name, value, unit="EUR", labels=labels)  # type: ignore[arg-type]
    return events.new(
        metric_points.TYPE,
        "shop",
        sent.data[0],
        now=at or NOW,
        correlation_id=row.flow_id,
        causation_id=str(row.pk),
    )


def points(*batch: events.Event) -> list[Point]:
    return [point_of(one) for one in batch]


def sums(**where: Any) -> list[tuple[int, float, float, float, float]]:
    rows = MetricRollup.objects.filter(**{"span": "day", **where}).order_by("series__name", "start")
    return list(rows.values_list("count", "total", "least", "most", "last_value"))


def test_the_library_and_the_gateway_have_the_same_limits() -> None:
    assert (sdk.TYPE, sdk.TOPIC, sdk.MOST_LABELS, sdk.LONGEST_NAME) == (
        metric_points.TYPE, METRICS, metric_points.MOST_LABELS, metric_points.LONGEST_NAME,
    )  # fmt: skip


def test_a_value_is_added_up_once(execution: Execution) -> None:
    batch = points(
        recorded(execution, "total", 5), recorded(execution, "total", 2), recorded(execution, "size", 9)
    )
    assert metrics_take(batch, NOW) == 3
    assert metrics_take(batch, NOW) == 0
    assert (
        metrics_take([*batch, *points(recorded(execution, "total", 11, NOW + timedelta(seconds=1)))], NOW)
        == 1
    )
    assert sums() == sums(span="hour") == [(1, 9, 9, 9, 9), (3, 18, 2, 11, 11)]
    assert MetricSeries.objects.get(name="total").last_value == 11


def test_labels_make_series_and_old_values_change_no_last_one(execution: Execution) -> None:
    late = NOW - timedelta(days=2)
    batch = points(
        recorded(execution, "total", 5, shop="north"), recorded(execution, "total", 7, shop="south")
    )
    metrics_take(batch, NOW)
    metrics_take(points(recorded(execution, "total", 1, late, shop="north")), NOW)
    found = MetricSeries.objects.get(labels={"shop": "north"})
    assert (found.last_value, found.rollups.filter(span="day").count()) == (5, 2)
    assert MetricSeries.objects.count() == 2


def test_who_dies_while_adding_adds_again(execution: Execution, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = points(recorded(execution, "total", 5))
    add = metrics._add

    def killed(kept: Any) -> None:
        add(kept)
        raise KeyboardInterrupt

    monkeypatch.setattr(metrics, "_add", killed)
    with pytest.raises(KeyboardInterrupt):
        metrics_take(batch, NOW)
    assert not MetricPoint.objects.exists()
    monkeypatch.setattr(metrics, "_add", add)
    assert metrics_take(batch, NOW) == 1
    assert sums() == [(1, 5, 5, 5, 5)]


def test_a_service_has_so_many_series_and_no_more(
    execution: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MOST_SERIES", 2)
    batch = points(*(recorded(execution, f"n{number}", number) for number in range(4)))
    assert metrics_take(batch, NOW) == 2
    assert metrics_take(points(recorded(execution, "n5", 1), recorded(execution, "n1", 4)), NOW) <= 1
    assert MetricSeries.objects.count() == 2


def test_the_number_of_queries_does_not_grow(
    execution: Execution, django_assert_max_num_queries: Any
) -> None:
    batch = points(*(recorded(execution, f"n{number}", number) for number in range(15)))
    with django_assert_max_num_queries(13):
        metrics_take(batch, NOW)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ([], "data"),
        ({"name": "a b", "value": 1}, "data.name"),
        ({"name": "a\n", "value": 1}, "data.name"),
        ({"name": "a", "value": True}, "data.value"),
        ({"name": "a", "value": "1"}, "data.value"),
        ({"name": "a", "value": 1, "labels": {"x": 1}}, "data.labels"),
        ({"name": "a", "value": 1, "labels": {str(n): "x" for n in range(9)}}, "data.labels"),
    ],
)
def test_what_is_no_metric(execution: Execution, data: Any, place: str) -> None:
    made = replace(recorded(execution, "total", 1), data=data)
    with pytest.raises(EventError) as found:
        point_of(made)
    assert place in str(found.value)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (("a b", 1), "name"),
        (("a", "1"), "value"),
        (("a", True), "value"),
        (("a", float("nan")), "value"),
        (("a", 1, 5), "unit"),
        (("a", 1, "", {"x y": "z"}), "labels"),
        (("a", 1, "", {"x": 5}), "labels.x"),
        (("a", 1, "", {str(n): "x" for n in range(9)}), "at most 8"),
    ],
)
def test_the_library_refuses_what_would_be_left_out(arguments: Any, place: str) -> None:
    with pytest.raises((ValueError, TypeError), match=place):
        sdk.Metrics(Sent()).put(*arguments)  # type: ignore[arg-type]


def test_a_script_records_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "MOST_POINTS", 2)
    made = sdk.Metrics(Sent())  # type: ignore[arg-type]
    made.put("a", 1)
    made.put("a", 1)
    with pytest.raises(ValueError, match="add them up first"):
        made.put("a", 1)


def test_from_the_log_to_the_page(execution: Execution, backends: Any, client: Any, api: Any) -> None:
    client.force_login(User.objects.get(username="ada"))
    empty = client.get("/services/shop/metrics/").content.decode()
    assert "context.metrics.put" in empty
    meter = Meter(wiring.event_log())
    foreign = replace(recorded(execution, "x", 1), type="somebody.elses")
    broken = replace(recorded(execution, "x", 1), data={"name": 5})
    append(METRICS, recorded(execution, "orders.total", 5, shop="<b>north"), foreign, broken)
    meter.turn()
    meter.close()
    page = client.get("/services/shop/metrics/?of=sum&view=tables&range=7d")
    (plot,) = page.context["plots"]
    assert (plot.title, plot.rows[-1][1].text) == ("orders.total", "5 EUR")
    assert "<b>north" not in page.content.decode()
    found = api.get("/api/v1/services/shop/metrics/").json()
    (one,) = found["results"]
    assert (one["name"], one["labels"], one["unit"], one["last"]) == (
        "orders.total",
        {"shop": "<b>north"},
        "EUR",
        5,
    )
    assert [(span["count"], span["sum"]) for span in one["spans"]] == [(1, 5)]


def test_of_another_project_there_is_nothing(execution: Execution, client: Any) -> None:
    service("other", "b.happened", project="theirs")
    user = User.objects.create_user("member", password="a long password")
    Membership.objects.filter(user=user).delete()
    Membership.objects.create(user=user, project=Project.objects.get(name="theirs"), role="owner")
    client.force_login(user)
    assert client.get("/services/other/metrics/").status_code == 200
    assert client.get("/services/shop/metrics/").status_code == 404
    assert client.get("/api/v1/services/shop/metrics/").status_code == 404


def test_what_is_old_goes(execution: Execution) -> None:
    metrics_take(points(recorded(execution, "total", 5)), NOW)
    metrics_prune(NOW + timedelta(days=11))
    assert (MetricPoint.objects.count(), MetricRollup.objects.count()) == (0, 2)
    metrics_prune(NOW + timedelta(days=101))
    assert list(MetricRollup.objects.values_list("span", flat=True)) == ["day"]
    metrics_prune(NOW + timedelta(days=1102))
    assert not MetricSeries.objects.exists()
