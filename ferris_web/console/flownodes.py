"""The nodes of a flow one by one: the one that was chosen in its graph, the critical path, and the same tree as a
table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.urls import reverse

from ferris.causality import EVENT, EXECUTION, Node, Path, Tree
from ferris.events import RETRY_REQUESTED, RUN_REQUESTED, SCHEDULE_DUE, rfc3339
from ferris.replaying import MARK
from ferris_web.console import filters
from ferris_web.console.flowgraph import Box
from ferris_web.executions.models import Event, Execution, Flow

ROWS = 60  # of the table on one page
_MEMBERS = 12  # of a group that its panel names
_CHAIN = 40  # links of the critical path that are named
_DEEPEST = 12  # steps of indentation
_COMMANDS = (RUN_REQUESTED, RETRY_REQUESTED, SCHEDULE_DUE)


@dataclass(frozen=True)
class Chosen:
    """What the panel under the graph tells of a box. `event` and `execution` are full rows when it is one item.

    `replay` is the address of the form that sends its event again from here, empty when it may not be.
    """

    box: Box
    event: Event | None = None
    execution: Execution | None = None
    replay: str = ""
    members: Sequence[Node] = ()

    @property
    def rest(self) -> int:
        """How many members are not named."""
        return len(self.box.items) - len(self.members)


def chosen(box: Box, key: str) -> Chosen:
    """The panel for a box, or for one item of it."""
    node = box.only
    if node is None:
        # What failed is what one looks for in a crowd.
        found = sorted(box.items, key=lambda item: (item.status != "failed", not item.open))
        return Chosen(box, members=found[:_MEMBERS])
    if node.kind == EXECUTION:
        rows = Execution.objects.select_related("service", "event")
        row = rows.filter(pk=node.key).first()
        return Chosen(box, execution=row, replay=_replay(row.event, row.service.name) if row else "")
    event = Event.objects.filter(pk=node.key).first() if node.kind == EVENT else None
    return Chosen(box, event=event, replay=_replay(event) if event else "")


def _replay(event: Event, service: str = "") -> str:
    """The form of a replay of this one event, and so of all that it causes."""
    if event.type in _COMMANDS or MARK in event.extensions:
        return ""
    words = {
        "event_type": event.type,
        "filter": f'{{"id": [{_quoted(event.event_id)}], "source": [{_quoted(event.source)}]}}',
        "flow_id": event.flow_id,
        "derived": "1",
        "since": rfc3339(event.received_at),
        "until": rfc3339(event.received_at + timedelta(milliseconds=1)),
    }
    return f"{reverse('console:replay-new')}?{urlencode(words | ({'service': service} if service else {}))}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True)
class Link:
    """One link of the critical path, and when it began, counted from the beginning of the path."""

    node: Node
    after: timedelta


def chain(tree: Tree, path: Path | None) -> tuple[list[Link], int]:
    """The critical path, and how many links of its middle are left out."""
    if path is None:
        return [], 0
    nodes = [tree.nodes[key] for key in path.keys]
    links = [Link(node, node.at - nodes[0].at) for node in nodes]
    left_out = max(0, len(links) - _CHAIN)
    return (links[: _CHAIN // 2] + links[-_CHAIN // 2 :] if left_out else links), left_out


@dataclass
class Row:
    """A line of the table: a node, how deep it stands, and when it was there, counted from the flow's beginning."""

    node: Node
    depth: int
    after: timedelta
    critical: bool
    because: str = ""
    subject: str = ""
    error: str = ""

    @property
    def indent(self) -> int:
        """Its depth, as far as it is drawn."""
        return min(self.depth, _DEEPEST)


def table(request: HttpRequest, flow: Flow, tree: Tree, path: Path | None) -> dict[str, Any]:
    """The tree as rows, each before what it caused; of one service or status only its executions."""
    service, status = filters.text(request.GET, "service", 200), filters.text(request.GET, "status", 20)
    kind = filters.text(request.GET, "type", 512)
    critical = set(path.keys) if path else set()
    found = [
        Row(node, depth, node.at - flow.started_at, node.key in critical)
        for depth, node in tree.walk()
        if (not service or (node.kind == EXECUTION and node.name == service))
        and (not status or (node.kind == EXECUTION and node.status == status))
        and (not kind or (node.kind == EVENT and node.name == kind))
    ]
    shown = Paginator(found, ROWS).get_page(request.GET.get("page"))
    _tell(shown.object_list, tree)
    return {
        "page": shown,
        "service_filter": service,
        "status_filter": status,
        "type_filter": kind,
        "flat": bool(service or status or kind),
    }


def _tell(rows: Sequence[Row], tree: Tree) -> None:
    """What only the rows in sight need."""
    runs = [row.node.key for row in rows if row.node.kind == EXECUTION]
    sent = [row.node.key for row in rows if row.node.kind == EVENT]
    errors = (
        dict(Execution.objects.filter(pk__in=runs).exclude(error="").values_list("id", "error"))
        if runs
        else {}
    )
    subjects = dict(Event.objects.filter(pk__in=sent).values_list("key", "subject")) if sent else {}
    said = {str(key): text for key, text in [*errors.items(), *subjects.items()]}
    for row in rows:
        if row.node.kind == EXECUTION:
            row.error = said.get(row.node.key, "")
        else:
            row.subject = said.get(row.node.key, "")
        cause = next((tree.nodes[c.key] for c in row.node.causes if c.key in tree.nodes), None)
        row.because = cause.name if cause else ""
