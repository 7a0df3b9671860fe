"""Flows: all that grew out of one event, as a graph and as a table."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext

from ferris.causality import EVENT, critical_path
from ferris.errors import NotFound
from ferris.promises import OVERDUE
from ferris_web.accounts.permissions import Action, reach
from ferris_web.console import filterbar, filters, flowgraph, flownodes, graphs
from ferris_web.console.paging import page
from ferris_web.console.views import lists
from ferris_web.executions import overview, promised, selectors
from ferris_web.executions.flow_tree import flow_tree
from ferris_web.executions.listings import FLOWS
from ferris_web.executions.models import OPEN, Event, Execution, Flow
from ferris_web.executions.visibility import allow


def flow_list(request: HttpRequest) -> HttpResponse:
    """Flows, newest first."""
    bar = filterbar.bar(FLOWS, request, timezone.now(), ("flow_id", "root_type", "overdue"))
    shown = page(lists.found(request, FLOWS, bar.asked), request.GET, time="started_at")
    counts = overview.flow_counts(shown.rows, reach(request.user))
    overdue = promised.overdue_among(shown.rows)
    context = {
        "page": shown,
        "rows": [(flow, counts[flow.pk], flow.pk in overdue) for flow in shown],
        "bar": bar,
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
            return render(
                request, "console/wait.html", {"what": gettext("The event"), "list": "console:flows"}
            )
        raise NotFound(f"there is no flow {flow_id!r}")
    allow(request.user, Action.VIEW, "flow", found.pk)
    now, projects = timezone.now(), reach(request.user)
    counts = overview.flow_counts([found], projects)[found.pk]
    promises = promised.flow_promises(found.pk, projects)
    opened = _open(counts)
    grown = flow_tree(found, projects)
    path = critical_path(grown.tree, now)
    chosen = filters.text(request.GET, "node", 40)
    graph = flowgraph.layout(grown.tree, path, chosen, filters.text(request.GET, "open", 400).split("."))
    context = {
        "flow": found,
        "counts": counts,
        "open": opened,
        "promises": [(row, promised.by_of(row), promised.took(row)) for row in promises],
        "overdue": any(row.state == OVERDUE for row in promises),
        "status": _status(counts, opened),
        "event_count": sum(1 for node in grown.tree.nodes.values() if node.kind == EVENT and not node.flow),
        "replayed": Event.objects.filter(flow_id=found.pk, replay_id__isnull=False).first(),
        "graph": graph,
        "boxes": graphs.flow_boxes(graph, found.started_at, request.GET),
        "whole": graph.complete and grown.complete,
        "path": path,
        "chain": flownodes.chain(grown.tree, path),
        "node": flownodes.chosen(graph.chosen, chosen) if graph.chosen else None,
        **flownodes.table(request, found, grown.tree, path),
    }
    return render(request, "console/flow.html", context)


def _status(counts: dict[str, int], opened: int) -> str:
    if opened:
        return "in_progress"
    for status in ("failed", "cancelled", "completed", "skipped"):
        if counts.get(status):
            return status
    return "completed"
