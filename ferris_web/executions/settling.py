"""When a flow has come to rest: nothing in it runs, and nothing that was sent can start anything more."""

from __future__ import annotations

from dataclasses import dataclass

from ferris.config import EVENTS
from ferris.ports import TopicInfo
from ferris_web import wiring
from ferris_web.executions.backlog import ROUTER
from ferris_web.executions.gathered import flow_gathers
from ferris_web.executions.models import OPEN, Execution


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment at which all of a flow's executions had ended: how many there were, and the log's end."""

    executions: int
    end: int


def flow_settled(flow_id: str, mark: Mark | None = None) -> tuple[bool, Mark | None]:
    """Whether the flow has settled, and a mark to ask again with (None: something still runs).

    What a script sends is on the log before its execution is reported as ended. So: when all executions of
    the flow have ended, everything that they sent lies before the end of the log at that moment (the mark).
    Once the router has passed the mark, the executions that those events cause have rows; if none was added
    and all have ended, nothing is left. Never waits: ask again after records on `ferris.hpsm` or
    `ferris.changes`, or, with a mark, a moment later. What a script put on the schedule for later does not
    count, nor what waits in a join.
    """
    if mark is None:
        # In this order: a row that comes between the count and the look at the log changes the count later.
        count = _count(flow_id)
        if _open(flow_id):
            return False, None
        mark = Mark(count, _end(_events_topic()))
    if not _router_passed(mark.end):
        return False, mark
    if _open(flow_id) or _count(flow_id) != mark.executions:
        return False, None
    return True, mark


def _open(flow_id: str) -> bool:
    return Execution.objects.filter(flow_id=flow_id, status__in=OPEN).exists() or flow_gathers(flow_id)


def _count(flow_id: str) -> int:
    return Execution.objects.filter(flow_id=flow_id).count()


def _events_topic() -> TopicInfo | None:
    return next((topic for topic in wiring.event_log().topics() if topic.name == EVENTS), None)


def _end(topic: TopicInfo | None) -> int:
    return sum(partition.end for partition in topic.partitions) if topic else 0


def _router_passed(end: int) -> bool:
    topic = _events_topic()
    if topic is None:
        return end == 0
    lag = topic.groups.get(ROUTER)
    if lag is None:
        return end == 0
    # A lag is a sum over partitions: with several, only "no lag at all" says that each of them was passed.
    return lag == 0 or (len(topic.partitions) == 1 and _end(topic) - lag >= end)
