"""What a service records by `context.metrics`, drawn."""

from __future__ import annotations

from itertools import groupby
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ferris_web.catalog import selectors as catalog
from ferris_web.console import dashboards
from ferris_web.executions.figures import FIRST, PERIODS
from ferris_web.executions.metrics import AGGREGATES, metric_list


def metrics(request: HttpRequest, name: str) -> HttpResponse:
    """A chart for each name, a line for each combination of labels."""
    service = catalog.service_get(name)
    now = timezone.now()
    asked = {
        "range": request.GET.get("range", "") if request.GET.get("range") in PERIODS else FIRST,
        "of": request.GET.get("of", "") if request.GET.get("of") in AGGREGATES else "average",
        "view": "tables" if request.GET.get("view") == "tables" else "",
    }

    def address(**other: str) -> str:
        return "?" + urlencode({key: value for key, value in {**asked, **other}.items() if value})

    period = PERIODS[asked["range"]]
    found = metric_list(service, period, now)
    context = {
        "service": service,
        "tab": "metrics",
        "period": period,
        "periods": [(one, address(range=one.name)) for one in PERIODS.values()],
        "of": asked["of"],
        "aggregates": [(one, address(of=one)) for one in AGGREGATES],
        "tables": bool(asked["view"]),
        "tables_url": address(view="" if asked["view"] else "tables"),
        "plots": [
            dashboards.metric(metric, list(series), asked["of"], period, now)
            for metric, series in groupby(found, lambda one: one.series.name)
        ],
    }
    return render(request, "console/service-metrics.html", context)
