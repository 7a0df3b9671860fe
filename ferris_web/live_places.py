"""Places on `ferris.changes`: who comes back to a stream goes on where it was, without a gap or a repetition.

What a follower misses (it was away, or too slow) is read from the log, which keeps notices for an hour.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Final

from ferris.config import CHANGES
from ferris.errors import FerrisError
from ferris.ports import PartitionInfo
from ferris_web import live, wiring
from ferris_web.live import Notice

MOST_BEHIND: Final = 20_000  # notices; reading what is stored anew is less work then
_AT_ONCE: Final = 1000
_PART: Final = re.compile(r"(\d{1,6})-(\d{1,18})", re.ASCII)

Place = Mapping[int, int]
"""By partition the offset of the next notice."""


class Gone(FerrisError):
    """What lies behind a place is no longer on the log, or too much: read what is stored, then go on with `get`."""


def written(place: Place) -> str:
    """A place as the id of a message."""
    return ".".join(f"{partition}-{offset}" for partition, offset in sorted(place.items()))


def read(text: str) -> Place:
    """The place of a message's id; ValueError for what is none."""
    parts = [_PART.fullmatch(part) for part in text.split(".")]
    if len(text) > 4000 or not all(parts):
        raise ValueError(f"is {text[:40]!r}; expected the `id` of a message of this stream")
    return {int(part[1]): int(part[2]) for part in parts if part}


def here() -> Place:
    """Behind everything that is on the log now. Touches the log."""
    return {one.partition: one.end for one in _partitions()}


def _partitions() -> tuple[PartitionInfo, ...]:
    found = next((topic for topic in wiring.event_log().topics() if topic.name == CHANGES), None)
    return found.partitions if found else (PartitionInfo(0, 0, 0),)


class Follower:
    """The changes behind a place that are `wanted`, each once. Closes its subscription with itself: a context.

    The subscription must have been made before the place was taken by `here`.
    """

    def __init__(
        self,
        subscription: live.Subscription,
        place: Place | None = None,
        wanted: Callable[[Notice], bool] = lambda notice: True,
    ) -> None:
        self._subscription = subscription
        self._behind = place is not None
        self._place = dict(here() if place is None else place)
        self._wanted = wanted

    @property
    def id(self) -> str:
        """The place behind all that `get` has given."""
        return written(self._place)

    def close(self) -> None:
        """Leave. May be called twice."""
        self._subscription.close()

    async def get(self, timeout: float) -> list[Notice]:
        """The next ones; [] when none came within `timeout` seconds, or none that is wanted. Gone."""
        if not self._behind:
            try:
                return self._new(await self._subscription.get(timeout))
            except live.Overrun:
                pass
        self._behind = False
        return await asyncio.to_thread(self._caught_up)

    def _caught_up(self) -> list[Notice]:
        """What is on the log behind the place."""
        there = _partitions()
        starts = {one.partition: self._place.get(one.partition, one.begin) for one in there}
        kept = all(one.begin <= starts[one.partition] <= one.end for one in there)
        if not kept or sum(one.end - starts[one.partition] for one in there) > MOST_BEHIND:
            self._place = {one.partition: one.end for one in there}
            raise Gone("what happened meanwhile is not kept")
        found: list[Notice] = []
        for one in there:
            at = starts[one.partition]
            while at < one.end:
                records = wiring.event_log().browse(
                    CHANGES, partition=one.partition, offset=at, limit=_AT_ONCE
                )
                found += filter(None, map(live.notice_of, records))
                at = records[-1].offset + 1 if records else one.end
            self._place[one.partition] = max(at, self._place.get(one.partition, 0))
        return [notice for notice in found if self._wanted(notice)]

    def _new(self, notices: list[Notice]) -> list[Notice]:
        """Those that were not read from the log already."""
        found = []
        for notice in notices:
            if notice.topic == CHANGES and notice.offset >= self._place.get(notice.partition, 0):
                self._place[notice.partition] = notice.offset + 1
                if self._wanted(notice):
                    found.append(notice)
        return found
