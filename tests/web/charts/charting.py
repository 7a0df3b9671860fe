"""Charts, orders, and what is drawn of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ferris.public_addresses import networks
from ferris_web.catalog.models import Project
from ferris_web.executions.charted import Charted, charted
from ferris_web.executions.figures import PERIODS
from ferris_web.executions.models import Chart
from ferris_web.executions.services import charts
from ferris_web.executions.services.chart_counting import fill_piece
from tests.web.platform import dispatch, event

HERE = networks(["127.0.0.0/8"])
DAY = PERIODS["24h"]


def now() -> datetime:
    return datetime.now(UTC)


def made(project: str | None = "shop", past: bool = True, **given: Any) -> Chart:
    owner = None if project is None else Project.objects.get(name=project)
    said = {"title": "Orders", "kind": "bar", "source": "events", "event_type": "shop.order", **given}
    return charts.chart_save(said, now=now(), project=owner, past=past)


def orders(*totals: Any, at: datetime | None = None, **more: Any) -> list[Any]:
    batch = [event("shop.order", {"total": total, **more}, id=uuid4().hex) for total in totals]
    dispatch(*batch, now=at or now())
    return batch


def shown(chart: Chart, at: datetime | None = None) -> Charted:
    [found] = charted([charts.chart_get(chart.pk)], DAY, at or now())
    return found


def whole(chart: Chart) -> float:
    return sum(value or 0 for one in shown(chart).drawn.series for value in one.values)


def fill(at: datetime) -> int:
    read = 0
    while piece := fill_piece(at).read:
        read += piece
    return read
