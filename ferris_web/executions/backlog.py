"""What is on the log and was not yet taken up by a consumer group: for answers that must not miss it."""

from __future__ import annotations

from datetime import datetime

from ferris.ports import LogRecord
from ferris_web import wiring

ROUTER = "ferris.router"
RECORDER = "ferris.recorder"
INDEXER = "ferris.indexer"

_PAGE = 1000


def backlog(topic: str, group: str, *, most: int) -> list[LogRecord] | None:
    """The records behind the group's place, oldest first; None when there are more than `most`.

    On a log of several partitions some records before that place may be among them: of a lag only the sum
    over the partitions is known.
    """
    log = wiring.event_log()
    info = next((found for found in log.topics() if found.name == topic), None)
    if info is None:
        return []
    found: list[LogRecord] = []
    for part in info.partitions:
        lag = min(info.groups.get(group, part.end), part.end - part.begin)
        if lag + len(found) > most:
            return None
        at = part.end - lag
        while at < part.end:
            page = log.browse(topic, partition=part.partition, offset=at, limit=min(_PAGE, part.end - at))
            if not page:
                break
            found += page
            at = page[-1].offset + 1
    return found


def passed(topic: str, group: str, now: datetime) -> datetime:
    """A time before which every record of the topic, as far as it is there at `now`, was taken up by the group."""
    log = wiring.event_log()
    info = next((found for found in log.topics() if found.name == topic), None)
    if info is None or info.groups.get(group) == 0:
        return now
    soonest = now
    for part in info.partitions:
        lag = min(info.groups.get(group, part.end), part.end - part.begin)
        if lag:
            oldest = log.browse(topic, partition=part.partition, offset=part.end - lag, limit=1)
            soonest = min([soonest, *(record.timestamp for record in oldest)])
    return soonest
