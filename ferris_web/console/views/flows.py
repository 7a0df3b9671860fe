"""Flows: all that grew out of one event, as a graph and as a table."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from ferris.errors import NotFound
from ferris.promises import OVERDUE
from ferris_web.console import filters, flowgraph
from ferris_web.console.paging import page
from ferris_web.executions import overview, promised, selectors
from ferris_web.executions.models import OPEN, Event, Execution, Flow

ROWS = 100  # of the table on one page
_PROMISES = (("", "any"), ("overdue", "overdue"))
DRAWN_AT_MOST = 20_000  # rows read for the graph


def flow_list(request: HttpRequest) -> HttpResponse:
    """Flows, newest first."""
    query = request.GET
    found = Flow.objects.all()
    if q := filters.text(query, "q"):
        found = found.filter(pk=q)
    if kind := filters.text(query, "type"):
        found = found.filter(root_type=kind)
    if since := filters.since(query, timezone.now()):
        found = found.filter(started_at__gte=since)
    if filters.chosen(query, "promise", _PROMISES):
        found = promised.flows_overdue(found)
    shown = page(found, query, time="started_at")
    counts = overview.flow_counts(shown.rows)
    overdue = promised.overdue_among(shown.rows)
    context = {
        "page": shown,
        "rows": [(flow, counts[flow.pk], flow.pk in overdue) for flow in shown],
        "q": q,
        "type": kind,
        "periods": filters.choices(query, "since", filters.PERIODS),
        "promises": filters.choices(query, "promise", _PROMISES),
        "filtered": any(value for name, value in query.items() if name != "cursor"),
    }
    return render(request, "console/flows.html", context)


def _open(counts: dict[str, int]) -> int:
    return sum(counts.get(status, 0) for status in OPEN)


def flow_by_name(request: HttpRequest) -> HttpResponse:
    """A flow whose id cannot stand in a path."""
    return flow(request, request.GET.get("name", "")[:512])


def flow(request: HttpRequest, flow_id: str) -> HttpResponse:
    """One flow."""
    found = Flow.objects.filter(pk=flow_id.replace("\0", "")).first()
    if found is None:
        one = Execution.objects.filter(correlation_id=flow_id.replace("\0", "")).only("id").first()
        if one is not None:  # somebody pasted an execution's correlation id
            return redirect("console:execution", pk=one.pk)
        if "new" in request.GET or selectors.flow_pending(flow_id):
            return render(request, "console/wait.html", {"what": "The event", "list": "console:flows"})
        raise NotFound(f"there is no flow {flow_id!r}")
    executions = Execution.objects.filter(flow_id=found.pk)
    counts = overview.flow_counts([found])[found.pk]
    promises = promised.flow_promises(found.pk)
    opened = _open(counts)
    context = {
        "flow": found,
        "counts": counts,
        "open": opened,
        "promises": [(row, promised.by_of(row), promised.took(row)) for row in promises],
        "overdue": any(row.state == OVERDUE for row in promises),
        "status": _status(counts, opened),
        "event_count": Event.objects.filter(flow_id=found.pk).count(),
        "replayed": Event.objects.filter(flow_id=found.pk, replay_id__isnull=False).first(),
        "graph": _graph(found, executions),
        "width": flowgraph.BOX_WIDTH,
        **_table(request, executions),
    }
    return render(request, "console/flow.html", context)


def _status(counts: dict[str, int], opened: int) -> str:
    if opened:
        return "in_progress"
    for status in ("failed", "cancelled", "completed", "skipped"):
        if counts.get(status):
            return status
    return "completed"


def _graph(found: Flow, executions: QuerySet[Execution]) -> flowgraph.Graph:
    sent = Event.objects.filter(flow_id=found.pk).order_by("received_at", "key")
    events = [
        flowgraph.EventItem(str(key), kind, cause or None)
        for key, kind, cause in sent.values_list("key", "type", "causation_id")[:DRAWN_AT_MOST]
    ]
    rows = executions.order_by("sequence").values_list(
        "id", "service__name", "status", "event_id", "sequence"
    )
    items = [
        flowgraph.ExecutionItem(str(pk), name, status, str(event), f"number {sequence}")
        for pk, name, status, event, sequence in rows[:DRAWN_AT_MOST]
    ]
    return flowgraph.layout(events, items)


def _table(request: HttpRequest, executions: QuerySet[Execution]) -> dict[str, Any]:
    service, status = filters.text(request.GET, "service", 200), filters.text(request.GET, "status", 20)
    found = executions.select_related("service", "event").defer("event__data", "event__extensions")
    found = found.order_by("sequence")
    if service:
        found = found.filter(service__name=service)
    if status:
        found = found.filter(status=status)
    shown = Paginator(found, ROWS).get_page(request.GET.get("page"))
    return {"page": shown, "service_filter": service, "status_filter": status}
