"""Feeds replays to the log, each at its rate; with none running it sleeps until a notice comes."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from uuid import UUID

from ferris.config import EVENTS
from ferris.ports import EventLog
from ferris_web.executions.backlog import ROUTER
from ferris_web.executions.models import Replay
from ferris_web.executions.services import replays
from gateway.listener import Listener
from gateway.notices import Notices

_LONGEST_HOLD = 5.0  # within the lease on what this gateway feeds
_SLICE = 0.25  # seconds' worth of events at once
MOST_UNROUTED = 2_000
"""So many events may wait for the router: a replay without a rate must not keep live events from it."""


class Replayer(Listener):
    """One batch of each replay in turn. A replay is fed by one gateway as long as that lives."""

    def __init__(self, event_log: EventLog, notices: Notices, *, alone: bool = False) -> None:
        """`alone`: there is no other gateway, so what is being fed was fed by one that died."""
        super().__init__(notices)
        self._log = event_log
        self._owner = uuid.uuid4().hex
        self._due: dict[UUID, float] = {}
        self._room = 0
        self._release = alone

    def turn(self) -> None:
        now = datetime.now(UTC)
        if self._release:
            replays.replays_release()
            self._release = False
        replays.replays_from_the_start(now)
        mine = replays.replays_claim(self._owner, now)
        self._due = {replay.pk: self._due.get(replay.pk, 0.0) for replay in mine}
        for replay in mine:
            if self._due[replay.pk] <= time.monotonic():
                self._due[replay.pk] = time.monotonic() + self._feed(replay)
        self.rest(self._wait())

    def _feed(self, replay: Replay) -> float:
        """Seconds until its next batch."""
        now = datetime.now(UTC)
        if replay.before_revision is not None and now < replay.until + replays.SETTLING:
            return float((replay.until + replays.SETTLING - now).total_seconds())
        if not replay.rate:
            self._room = self._room if self._room > 0 else MOST_UNROUTED - self._unrouted()
            if self._room <= 0:
                return 0.1
            self._room -= replays.replay_feed(replay, min(self._room, replays.MOST_AT_ONCE), now).sent
            return 0.0
        at_most = max(1, min(replays.MOST_AT_ONCE, round(replay.rate * _SLICE)))
        return float(replays.replay_feed(replay, at_most, now).sent / replay.rate)

    def _unrouted(self) -> int:
        info = next((topic for topic in self._log.topics() if topic.name == EVENTS), None)
        return 0 if info is None else info.groups.get(ROUTER, 0)

    def _wait(self) -> float:
        if self._due:
            return min(_LONGEST_HOLD, max(0.0, min(self._due.values()) - time.monotonic()))
        return max(0.5, self.until(replays.replays_next_free()))
