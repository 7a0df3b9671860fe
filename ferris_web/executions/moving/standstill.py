"""When a platform may be read or filled: nothing runs, nothing waits on the log, nobody else is at work."""

from __future__ import annotations

import time

from ferris.config import CONTROL, DEAD_LETTER, EVENTS, LIFECYCLE, LOGS
from ferris.errors import Conflict
from ferris.ports import Record, TopicInfo
from ferris_web import wiring
from ferris_web.executions.backlog import INDEXER, RECORDER, ROUTER
from ferris_web.executions.models import Execution

_SCHEDULER = "ferris.scheduler"
_ANSWER_SECONDS = 4.0
_READERS = (
    (EVENTS, ROUTER),
    (LIFECYCLE, RECORDER),
    (DEAD_LETTER, RECORDER),
    *((topic, INDEXER) for topic in (EVENTS, LIFECYCLE, LOGS)),
)


def no_gateway() -> None:
    """Conflict when a gateway is at work, on any machine: it takes notice of a record on `ferris.control`."""
    log = wiring.event_log()
    if _SCHEDULER not in {group for topic in log.topics() for group in topic.groups}:
        return  # there never was one
    log.append(CONTROL, [Record(b'{"changed":"standstill"}')])
    deadline = time.monotonic() + _ANSWER_SECONDS
    tail = log.tail([CONTROL])
    try:
        while time.monotonic() < deadline:
            if not sum(topic.groups.get(_SCHEDULER, 0) for topic in log.topics()):
                raise Conflict(
                    "a gateway is at work on this platform: stop web, gateways and executors first"
                )
            tail.poll(timeout=0.2)
    finally:
        tail.close()


def nothing_under_way() -> None:
    """Conflict when the tables do not tell everything yet."""
    running = Execution.objects.filter(status="in_progress").count()
    if running:
        raise Conflict(
            f"{running} executions are in progress: start the platform, wait for their end or cancel them, "
            "stop it, then export again"
        )
    topics = {topic.name: topic for topic in wiring.event_log().topics()}
    for name, group in _READERS:
        if (behind := _behind(topics.get(name), group)) > 0:
            raise Conflict(
                f"{behind} records of {name} have not been taken up by {group}: start the platform, wait until "
                "the console's page of topics shows that its readers are up to date, stop it, then export again"
            )


def _behind(topic: TopicInfo | None, group: str) -> int:
    if topic is None:
        return 0
    return topic.groups.get(group, sum(p.end - p.begin for p in topic.partitions))


def log_occupied() -> str:
    """What is on the log of a platform that is to be filled, in words; "" for nothing."""
    for topic in wiring.event_log().topics():
        count = sum(p.end - p.begin for p in topic.partitions)
        if count and topic.name in (EVENTS, LIFECYCLE, LOGS, DEAD_LETTER):
            return f"{count} records of {topic.name} on its event log"
    return ""
