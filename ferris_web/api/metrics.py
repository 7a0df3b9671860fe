"""Figures for Prometheus: what this process did, and what stands in the database and on the log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

from django.db import connections
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from ferris.adapters import prometheus
from ferris.config import Settings
from ferris_web import live, wiring
from ferris_web.accounts.permissions import Action, require
from ferris_web.api import problems
from ferris_web.api.authentication import known_user
from ferris_web.executions.models import DeadLetter, Execution

log = logging.getLogger(__name__)

REGISTRY = CollectorRegistry()
EVENTS_ACCEPTED = Counter(
    "ferris_events_accepted_total", "Events that this process took in by the API.", registry=REGISTRY
)
_REQUESTS = Counter(
    "ferris_http_requests_total", "Requests answered.", ("method", "route", "status"), registry=REGISTRY
)
_SECONDS = Histogram(
    "ferris_http_request_seconds",
    "Time to answer a request (of a stream: to begin it), without waiting for a thread.",
    ("method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_CACHE_SECONDS = 5.0


def observe(request: HttpRequest | None, response: HttpResponseBase, seconds: float) -> None:
    """Count an answered request under its route, never under its address: addresses hold ids."""
    match = getattr(request, "resolver_match", None)
    route = match.route if match is not None else ""
    method = request.method if request is not None and request.method in _METHODS else "other"
    _REQUESTS.labels(method, route, str(response.status_code)).inc()
    _SECONDS.labels(method, route).observe(seconds)


class _Platform(Collector):
    """Reads rows and offsets when asked, at most every few seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._held: list[Metric] = []

    def describe(self) -> Iterable[Metric]:
        return ()  # so that registering reads nothing

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            if time.monotonic() - self._read_at > _CACHE_SECONDS:
                self._held = [*_executions(), *_topics(), _dead_letters()]
                self._read_at = time.monotonic()
            return [*self._held, _followers()]


def _executions() -> Iterable[Metric]:
    metric = GaugeMetricFamily("ferris_executions", "Executions in the database.", labels=("status",))
    for status, count in Execution.objects.order_by().values_list("status").annotate(n=Count("id")):
        metric.add_metric((status,), count)
    yield metric


def _topics() -> Iterable[Metric]:
    end = GaugeMetricFamily(
        "ferris_topic_end_offset", "Offset that the next record gets.", labels=("topic", "partition")
    )
    records = GaugeMetricFamily("ferris_topic_records", "Records that are kept.", labels=("topic",))
    lag = GaugeMetricFamily(
        "ferris_group_lag", "Records that a group has not taken up yet.", labels=("group", "topic")
    )
    for topic in wiring.event_log().topics():
        records.add_metric((topic.name,), sum(part.end - part.begin for part in topic.partitions))
        for part in topic.partitions:
            end.add_metric((topic.name, str(part.partition)), part.end)
        for group, behind in topic.groups.items():
            lag.add_metric((group, topic.name), behind)
    return [end, records, lag]


def _dead_letters() -> Metric:
    metric = GaugeMetricFamily("ferris_dead_letters", "Records that were put aside.", labels=("reason",))
    for reason, count in DeadLetter.objects.order_by().values_list("reason").annotate(n=Count("id")):
        metric.add_metric((reason,), count)
    return metric


def _followers() -> Metric:
    return GaugeMetricFamily("ferris_live_followers", "Open live pages and streams.", live.subscribers())


_platform = _Platform()
REGISTRY.register(_platform)
ProcessCollector(namespace="ferris", registry=REGISTRY)


engine_at: str | None = None  # the socket at which the embedded engine tells its figures


def figures() -> bytes:
    """Those of this process, and the engine's where both are one platform."""
    return generate_latest(REGISTRY) + (prometheus.ask(engine_at) if engine_at else b"")


def listen(settings: Settings) -> None:
    """Also tell everyone who can reach FERRIS_METRICS_PORT, without a token; off when it is not set."""

    def told() -> bytes:
        try:
            return figures()
        finally:
            connections.close_all()  # of the listener's thread, which ends with its answer

    prometheus.listen(settings.metrics_host, settings.metrics_port, told)


def metrics(request: HttpRequest) -> HttpResponse:
    """GET /metrics, for known users only: `authorization` in Prometheus's scrape configuration."""
    user = known_user(request)
    if user is None:
        return problems.problem("not-authenticated", "Metrics are for known users: send a token.")
    require(user, Action.VIEW)
    return HttpResponse(figures(), content_type=CONTENT_TYPE_LATEST)
