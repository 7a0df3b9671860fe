"""One flow as a tree of causes, with what was gathered, mapped and replayed. A fixed number of queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db.models import Max, Min

from ferris import gathering
from ferris.causality import (
    EVENT,
    EXECUTION,
    GATHERED,
    GATHERING,
    MAPPED,
    REPLAYED,
    SENT,
    TRIGGERED,
    Cause,
    Node,
    Tree,
)
from ferris.event_maps import MARK as MAPPED_FROM
from ferris.replaying import ORIGINAL_FLOW, flow_of, id_of
from ferris_web.executions.models import Event, Execution, Flow, GatheredEvent, Replay, Step
from ferris_web.executions.visibility import Projects, within

LARGEST = 20_000  # rows of one kind that are read
_REPLAYS = 200  # that are asked whether they sent events of the flow again
_COUNTS = (
    gathering.DEBOUNCED,
    gathering.BATCHED,
    gathering.JOINED,
    gathering.HELD,
    gathering.RELEASED,
)


@dataclass(frozen=True)
class FlowTree:
    """The tree, and whether it is all: `complete` is False for a flow of more rows than are read."""

    tree: Tree
    complete: bool


def flow_tree(flow: Flow, projects: Projects | None = None) -> FlowTree:
    """The causes within a flow as it stands, with its executions in these projects. At its edges stand events and
    executions of other flows that are bound to it by a gathering or a replay."""
    events = list(_events(flow))
    runs = list(
        within(Execution.objects.filter(flow_id=flow.pk), projects)
        .order_by("sequence")
        .values_list(
            "id", "service__name", "status", "event_id", "sequence", "created_at", "started_at", "finished_at",
            "gathering_id", "attempt",
        )[: LARGEST + 1]
    )  # fmt: skip
    complete = len(events) <= LARGEST and len(runs) <= LARGEST
    events, runs = events[:LARGEST], runs[:LARGEST]
    gathered = _Gathered(flow, {run[0] for run in runs}, {run[8] for run in runs if run[8]}, projects)
    known = {str(run[0]) for run in runs}
    gaps = _gaps(flow) if any(run[9] > 1 for run in runs) else {}
    nodes = [_event(row, known) for row in events]
    for pk, name, status, event, sequence, created, started, ended, _, _ in runs:
        causes = [Cause(str(event), TRIGGERED)]
        causes += [Cause(key, GATHERED) for key in gathered.of(pk) if key != str(event)]
        nodes.append(
            Node(
                str(pk), EXECUTION, name, created, tuple(causes), status, started, ended, sequence,
                gaps=gaps.get(pk, ()),
            )
        )  # fmt: skip
    nodes = [*nodes, *gathered.nodes()]
    return FlowTree(Tree(_with_replays(flow, events, nodes)), complete)


def _gaps(flow: Flow) -> dict[UUID, tuple[tuple[datetime, datetime], ...]]:
    """When no script of an execution ran between two of its attempts: it waited for its time, and in line again."""
    steps = Step.objects.filter(
        execution__flow_id=flow.pk, execution__attempt__gt=1, started_at__isnull=False
    )
    attempts = (
        steps.order_by("execution_id", "attempt")
        .values_list("execution_id", "attempt")
        .annotate(begun=Min("started_at"), ended=Max("finished_at"))
    )
    found: dict[UUID, tuple[tuple[datetime, datetime], ...]] = {}
    for (pk, _, _, ended), (later, _, begun, _) in pairwise(attempts):
        if pk == later and ended is not None and ended < begun:
            found[pk] = (*found.get(pk, ()), (ended, begun))
    return found


def _events(flow: Flow) -> Iterator[Any]:
    sent = Event.objects.filter(flow_id=flow.pk).order_by("received_at", "key")
    fields = ("key", "type", "causation_id", "received_at", "replay_id", f"extensions__{MAPPED_FROM}")
    yield from sent.values_list(*fields)[: LARGEST + 1]


def _event(row: Any, known: set[str]) -> Node:
    key, kind, cause, at, _, mapped = row
    causes = []
    if isinstance(mapped, str):
        causes.append(Cause(mapped, MAPPED))
    elif cause in known:
        causes.append(Cause(cause, SENT))
    return Node(str(key), EVENT, kind, at, tuple(causes))


class _Gathered:
    """Who ran for several events, and what still waits: also across flows."""

    def __init__(self, flow: Flow, runs: set[UUID], boxes: set[UUID], projects: Projects | None) -> None:
        self._flow, self._runs, self._projects = flow, runs, projects
        self._rows: dict[UUID, Any] = {}
        for found in (self._members(event__flow_id=flow.pk), self._members(gathering_id__in=boxes)):
            self._rows |= {row[0]: row for row in found}
        self._events_of: dict[UUID, list[Any]] = {}
        self._waits: dict[UUID, list[Any]] = {}
        for row in sorted(self._rows.values(), key=lambda row: row[0]):
            target = row[3] or row[4]
            if target is not None:
                self._events_of.setdefault(target, []).append(row)
            elif row[5] == gathering.OPEN and row[8] == flow.pk:
                self._waits.setdefault(row[2], []).append(row)

    def _members(self, **which: Any) -> Iterable[Any]:
        if which.get("gathering_id__in") == set():
            return []
        rows = within(GatheredEvent.objects.filter(decision__in=_COUNTS, **which), self._projects).order_by(
            "id"
        )
        return rows.values_list(
            "id", "event_id", "gathering_id", "execution_id", "gathering__execution_id", "gathering__state",
            "gathering__kind", "service__name", "event__flow_id", "event__type", "event__received_at",
            "gathering__opened_at",
        )[:LARGEST]  # fmt: skip

    def of(self, execution: UUID) -> list[str]:
        """The events that it ran for."""
        return [str(row[1]) for row in self._events_of.get(execution, ())]

    def nodes(self) -> Iterator[Node]:
        """What stands at the edges: events of other flows, executions in other flows, gatherings that wait."""
        seen = set()
        for target, rows in self._events_of.items():
            if target in self._runs:
                for row in rows:
                    if row[8] != self._flow.pk and row[1] not in seen:
                        seen.add(row[1])
                        yield Node(str(row[1]), EVENT, row[9], row[10], flow=row[8])
        elsewhere = [target for target in self._events_of if target not in self._runs]
        found = Execution.objects.filter(pk__in=elsewhere).order_by("created_at", "id") if elsewhere else ()
        for run in found and found.select_related("service").defer("error"):
            causes = tuple(Cause(key, GATHERED) for key in self.of(run.pk))
            yield Node(
                str(run.pk), EXECUTION, run.service.name, run.created_at, causes, run.status, run.started_at,
                run.finished_at, run.sequence, run.flow_id,
            )  # fmt: skip
        for box, rows in self._waits.items():
            causes = tuple(Cause(str(row[1]), GATHERED) for row in rows)
            yield Node(str(box), GATHERING, f"{rows[0][7]} ({rows[0][6]})", rows[0][11], causes, "pending")


def _with_replays(flow: Flow, events: list[Any], nodes: list[Node]) -> list[Node]:
    """The same with the originals of events that a replay sent, and with what replays made of events of this flow."""
    made = _originals(flow, events, nodes) if any(row[4] for row in events) else nodes
    spans = Replay.objects.filter(since__lte=flow.last_event_at, until__gte=flow.started_at)
    replays = {
        flow_of(pk, flow.pk): pk
        for pk in spans.order_by("-created_at").values_list("id", flat=True)[:_REPLAYS]
    }
    if not replays:
        return made
    keys = {id_of(pk, row[0]): str(row[0]) for pk in replays.values() for row in events}
    again = Event.objects.filter(flow_id__in=replays, replay_id__isnull=False).order_by("received_at", "key")
    for key, ident, kind, at, name in again.values_list("key", "event_id", "type", "received_at", "flow_id")[
        :LARGEST
    ]:
        if ident in keys:
            made.append(Node(str(key), EVENT, kind, at, (Cause(keys[ident], REPLAYED),), flow=name))
    return made


def _originals(flow: Flow, events: list[Any], nodes: list[Node]) -> list[Node]:
    replay = next(row[4] for row in events if row[4])
    first = Event.objects.filter(flow_id=flow.pk, replay_id=replay).order_by("received_at", "key").first()
    name = first.extensions.get(ORIGINAL_FLOW) if first else None
    ours = dict(
        Event.objects.filter(flow_id=flow.pk, replay_id=replay).values_list("event_id", "key")[:LARGEST]
    )
    old = Event.objects.filter(flow_id=name).order_by("received_at", "key") if isinstance(name, str) else ()
    found: dict[str, Node] = {}
    for key, kind, at in old.values_list("key", "type", "received_at")[:LARGEST] if old != () else ():
        if (copy := ours.get(id_of(replay, key))) is not None:
            found[str(copy)] = Node(str(key), EVENT, kind, at, flow=str(name))
    made = list(found.values())
    for node in nodes:
        if (original := found.get(node.key)) is not None:
            causes = (Cause(original.key, REPLAYED), *node.causes)
            node = Node(node.key, node.kind, node.name, node.at, causes)
        made.append(node)
    return made
