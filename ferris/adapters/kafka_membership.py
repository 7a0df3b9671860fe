"""What a reader has from Kafka and not handed out yet, and which partitions it may commit.

It may commit those that it has had without a break since it read them. Kafka itself takes a commit of any
partition from any live member: a partition that went to another one and came back would let an old batch
move the group's offset past what the other one left unfinished.

Only the driver says what went to others. That a commit fails does not: while the group shares its partitions out anew
every commit does, also of those that stay here. What was read ahead of such a partition must be kept, for the
driver goes on behind it: dropped, it would never be read by anybody.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from ferris.ports import FencedError, LogRecord

Place = tuple[str, int]


AHEAD = 2000  # records
_SETTLED_WITHIN = 30.0


class Membership:
    """What was read and what was handed out, by partition; changed by the driver's thread and by the reader's.

    Reading ahead is what makes it fair: drivers give one partition's whole backlog before the next one's.
    """

    def __init__(self, group: str) -> None:
        self._group = group
        self._lock = threading.Lock()
        self._ahead: dict[Place, deque[LogRecord]] = {}
        self._handed: dict[Place, int] = {}  # the offset behind the last record that was handed out

    @property
    def room(self) -> int:
        """How many records more may be read ahead."""
        with self._lock:
            return max(0, AHEAD - sum(len(waiting) for waiting in self._ahead.values()))

    def read(self, records: Iterable[LogRecord]) -> None:
        """These came from the driver, each partition's in order."""
        with self._lock:
            for record in records:
                self._ahead.setdefault((record.topic, record.partition), deque()).append(record)

    def take(self, most: int) -> list[LogRecord]:
        """What goes to the reader now: of each partition its share, those with more to come last next time."""
        found: list[LogRecord] = []
        with self._lock:
            for place in list(self._ahead):
                if len(found) >= most:
                    break
                waiting = self._ahead.pop(place)
                share = min(max(1, most // (len(self._ahead) + 1)), most - len(found), len(waiting))
                found += [waiting.popleft() for _ in range(share)]
                self._handed[place] = found[-1].offset + 1
                if waiting:
                    self._ahead[place] = waiting
        return found

    def lost(self, places: Iterable[Place]) -> None:
        """These partitions are another member's from now on."""
        with self._lock:
            for place in places:
                self._handed.pop(place, None)
                self._ahead.pop(place, None)

    def commit(
        self,
        records: Sequence[LogRecord],
        send: Callable[[Mapping[Place, int]], str],
        settle: Callable[[], None],
    ) -> None:
        """Commit what these records end at. FencedError when one of the partitions went to another member.

        `send` commits, or says why the group must settle first; `settle` lets the driver take part in that for a
        moment, and keeps what it reads.
        """
        deadline = time.monotonic() + _SETTLED_WITHIN
        while ends := self.ends(records):
            problem = send(ends)
            if not problem:
                return
            if time.monotonic() > deadline:
                raise self.fenced(problem)
            settle()

    def ends(self, records: Sequence[LogRecord]) -> dict[Place, int]:
        """The offsets to commit for these records; FencedError if one of the partitions was lost meanwhile."""
        ends: dict[Place, int] = {}
        for record in records:
            place = (record.topic, record.partition)
            ends[place] = max(ends.get(place, 0), record.offset + 1)
        with self._lock:
            for place, end in ends.items():
                if self._handed.get(place, 0) < end:
                    raise self.fenced(f"{place[0]}/{place[1]} went to another member")
        return ends

    def fenced(self, why: str) -> FencedError:
        return FencedError(f"{self._group} cannot commit here: {why}")
