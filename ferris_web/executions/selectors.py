"""Reads of what happened: executions and their steps, flows, events, dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, F, QuerySet
from django.utils import timezone

from ferris import events
from ferris.causality import GATHERED, GATHERING, MAPPED, REPLAYED, Path, Tree, critical_path
from ferris.config import EVENTS
from ferris.errors import NotFound
from ferris_web.executions.backlog import ROUTER, backlog
from ferris_web.executions.flow_tree import flow_tree
from ferris_web.executions.models import (
    OPEN,
    Artifact,
    DeadLetter,
    Event,
    Execution,
    Flow,
    Promise,
    Replay,
    Step,
)
from ferris_web.executions.promised import flow_promises
from ferris_web.executions.settling import flow_settled
from ferris_web.executions.visibility import Projects, scoped, within

LARGEST_GRAPH = 5000  # nodes of one kind
_LONGEST_LOOK = 5000  # records behind the router's place that are read to find a flow's


# --- executions --------------------------------------------------------------------------------------


def executions_shown(found: QuerySet[Execution]) -> QuerySet[Execution]:
    """The same executions with what lists show of them, and without what is long."""
    return found.select_related("service__project", "version", "event").defer(
        "event__data",
        "event__extensions",
        "version__manifest",
        "version__parameters",
        "version__files",
        "version__requirements",
        "version__readme",
        "service__description",
        "service__tags",
    )


def with_names(found: QuerySet[Execution]) -> QuerySet[Execution]:
    """The same rows with the names that programs are told, `service_name project_name version_number event_ident
    event_type`, in place of four more objects each: a third of the time."""
    return (
        found.select_related(None)
        .defer(None)
        .annotate(
            service_name=F("service__name"),
            project_name=F("service__project__name"),
            version_number=F("version__number"),
            event_ident=F("event__event_id"),
            event_type=F("event__type"),
        )
    )


def execution_get(wanted: UUID) -> Execution:
    """The execution of that id, `with_names`; NotFound."""
    found = with_names(Execution.objects.filter(pk=wanted)).first()
    if found is None:
        raise NotFound(f"there is no execution {wanted}")
    return found


def execution_sender(user: Any, causation_id: str | None) -> Execution | None:
    """The execution that an event came from, if it names one that this person sees."""
    try:
        found = Execution.objects.select_related("service").filter(pk=UUID(causation_id or ""))
    except ValueError:
        return None
    return scoped(found, user).first()


def execution_before(row: Execution) -> Execution | None:
    """The execution of the same service that was made before this one, with its version's number at hand."""
    found = Execution.objects.filter(service_id=row.service_id, created_at__lt=row.created_at)
    last = found.order_by("-created_at", "-id").select_related("version")
    return last.only("id", "version_id", "version__number").first()


def execution_steps(execution: Execution) -> QuerySet[Step]:
    """Its steps by attempt and index."""
    return Step.objects.filter(execution=execution).order_by("attempt", "index")


def artifact_list(execution_id: UUID) -> QuerySet[Artifact]:
    """The artifacts of an execution by attempt, step and name."""
    return Artifact.objects.filter(execution_id=execution_id).order_by("attempt", "step", "name")


def artifact_get(
    execution_id: UUID, name: str, *, attempt: int | None = None, step: int | None = None
) -> Artifact:
    """The artifact of that name: that of the attempt and step, else the latest; NotFound."""
    # No file's name holds a NUL, and PostgreSQL refuses to be asked for one.
    found = Artifact.objects.filter(execution_id=execution_id, name=name.replace("\0", "/"))
    if attempt is not None:
        found = found.filter(attempt=attempt)
    if step is not None:
        found = found.filter(step=step)
    row = found.order_by("-attempt", "-step").first()
    if row is None:
        raise NotFound(f"execution {execution_id} has no artifact {name!r}")
    return row


# --- events ------------------------------------------------------------------------------------------


def event_get(key_or_id: str) -> Event:
    """The event of that key, or the latest one with that CloudEvents id; NotFound."""
    try:
        found = Event.objects.filter(pk=UUID(key_or_id)).first()
    except ValueError:
        found = None
    found = found or Event.objects.filter(event_id=key_or_id).order_by("-received_at", "-key").first()
    if found is None:
        raise NotFound(f"there is no event {key_or_id!r}")
    return found


# --- flows -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edge:
    """`triggered`: the event `source` caused the execution `target`. `sent`: the other way round. `gathered`: the
    event was handed to the execution with others. `mapped`, `replayed`: the event was made into another one.

    `flow`: the other flow that one of the two belongs to, and so is no node of this graph.
    """

    kind: str
    source: str
    target: str
    flow: str | None = None


@dataclass(frozen=True)
class FlowGraph:
    """One flow. `flow` is None while its first event waits for the router. `settled`: nothing more will come
    of what was sent so far. `truncated`: it is larger than what is given here."""

    flow_id: str
    flow: Flow | None
    events: list[Event]
    executions: list[Execution]
    edges: list[Edge]
    settled: bool
    truncated: bool
    promises: Sequence[Promise] = ()
    critical_path: Path | None = None


def flow_graph(wanted: str, projects: Projects | None = None) -> FlowGraph:
    """The flow of that id, or the one that the execution with that correlation id belongs to; NotFound. Of its
    executions and promises those in these projects."""
    flow = _flow(wanted)
    if flow is None:
        flow_id = flow_name(wanted)
        return FlowGraph(flow_id, None, [], [], [], settled=False, truncated=False)
    settled = flow_at_rest(flow.pk)  # before the rows: what is settled then is whole in them
    heads = Event.objects.filter(flow_id=flow.pk).defer("data", "extensions").order_by("received_at", "key")
    found = list(heads[: LARGEST_GRAPH + 1])
    named = with_names(within(Execution.objects.filter(flow_id=flow.pk), projects))
    runs = list(named.order_by("sequence")[: LARGEST_GRAPH + 1])
    truncated = len(found) > LARGEST_GRAPH or len(runs) > LARGEST_GRAPH
    found, runs = found[:LARGEST_GRAPH], runs[:LARGEST_GRAPH]
    tree = flow_tree(flow, projects).tree
    edges = [*_edges(found, runs), *_bound(tree)]
    path = critical_path(tree, timezone.now())
    promises = flow_promises(flow.pk, projects)
    return FlowGraph(flow.pk, flow, found, runs, edges, settled, truncated, promises, path)


def flow_name(wanted: str) -> str:
    """The id of the flow that is so called, or that the execution with that correlation id belongs to; NotFound. Its
    first event may still wait for the router."""
    flow = _flow(wanted)
    if flow is not None:
        return flow.pk
    flow_id = events.flow_of(wanted)
    if not flow_pending(flow_id):
        raise NotFound(f"there is no flow {wanted!r}")
    return flow_id


def _flow(wanted: str) -> Flow | None:
    flow = Flow.objects.filter(pk=wanted).first()
    if flow is not None:
        return flow
    flow_id = events.flow_of(wanted)
    if flow_id == wanted:  # the flow has an id of its originator's making
        named = Execution.objects.filter(correlation_id=wanted).values_list("flow_id", flat=True)
        flow_id = named.first() or ""
    return Flow.objects.filter(pk=flow_id).first()


def _edges(found: Iterable[Event], runs: Sequence[Execution]) -> Iterable[Edge]:
    known = {str(run.pk) for run in runs}
    for event in found:
        if event.causation_id in known:
            yield Edge("sent", event.causation_id, str(event.key))
    for run in runs:
        yield Edge("triggered", str(run.event_id), str(run.pk))


def _bound(tree: Tree) -> Iterable[Edge]:
    """What binds events and executions beside triggers and sending, in this flow and to others."""
    for node in tree.nodes.values():
        for cause in node.causes:
            other = tree.nodes.get(cause.key)
            if other is not None and cause.kind in (GATHERED, MAPPED, REPLAYED) and node.kind != GATHERING:
                yield Edge(cause.kind, cause.key, node.key, node.flow or other.flow or None)


def flow_at_rest(flow_id: str) -> bool:
    """True when nothing of the flow runs and nothing that it sent waits to be routed."""
    settled, mark = flow_settled(flow_id)
    if settled or mark is None:
        return settled
    # The router is busy, perhaps with other flows only: look at what waits for it.
    if flow_pending(flow_id):
        return False
    runs = Execution.objects.filter(flow_id=flow_id)
    return runs.count() == mark.executions and not runs.filter(status__in=OPEN).exists()


def flow_pending(flow_id: str) -> bool:
    """True when an event of that flow is on the log and the router has not passed it (or is too far behind to
    look). An event sent straight to the log under another key is not seen."""
    waiting = backlog(EVENTS, ROUTER, most=_LONGEST_LOOK)
    return waiting is None or any(record.key == flow_id for record in waiting)


# --- dead letters ------------------------------------------------------------------------------------


def dead_letter_get(number: int) -> DeadLetter:
    """The dead letter of that number; NotFound."""
    found = DeadLetter.objects.filter(pk=number).first()
    if found is None:
        raise NotFound(f"there is no dead letter {number}")
    return found


def executions_origin(ids: Iterable[UUID]) -> dict[UUID, tuple[str, int]]:
    """By execution: its flow, and how many hops lie before it."""
    rows = Execution.objects.filter(pk__in=list(ids)).values_list("id", "flow_id", "event__hops")
    return {pk: (flow, hops) for pk, flow, hops in rows}


# --- replays -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReplayOutcome:
    """What came of a replay: how many of its events were taken in, and their executions by status."""

    routed: int
    executions: dict[str, int]


def replay_list(*, status: str = "") -> QuerySet[Replay]:
    """Replays, newest first."""
    found = Replay.objects.select_related("service")
    return found.filter(status=status) if status else found


def replay_outcome(replay: Replay) -> ReplayOutcome:
    """What its events came to so far."""
    runs = Execution.objects.filter(event__replay_id=replay.pk).order_by()
    counted = runs.values_list("status").annotate(Count("pk"))
    return ReplayOutcome(Event.objects.filter(replay_id=replay.pk).count(), dict(counted))


def replay_events(replay: Replay) -> QuerySet[Event]:
    """The events of a replay that the router has taken in, the latest first."""
    return Event.objects.filter(replay_id=replay.pk).order_by("-received_at", "-key")
