"""Sends deliveries of subscriptions: claims what is due, posts in threads, so many at most, writes what came of it.

These threads only talk HTTP; rows are claimed and settled by the role's own thread, many at a time.
"""

from __future__ import annotations

import email.utils
import json
import logging
import queue
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from ferris import pushing
from ferris.adapters import http_push
from ferris.config import CONTROL
from ferris.ports import EventLog
from ferris.public_addresses import Network
from ferris.signatures import hidden
from ferris.webhooks import masked
from ferris_web.executions.services.pushes import (
    SHOWN,
    Job,
    Outcome,
    deliveries_claim,
    deliveries_release,
    deliveries_settle,
    subscriptions_tell,
)
from gateway.role import Role

log = logging.getLogger(__name__)

GROUP = "ferris.courier"
PUSHES: Final = b'{"changed":"deliveries"}'
"""A notice on `ferris.control`: something is to be sent."""
AT_ONCE: Final = 32
_LONGEST_WAIT = 15.0  # a look now and then, should a notice be lost or another gateway die


class Courier(Role):
    """Never waits for a receiver: what is under way is under way, and whoever is done wakes it."""

    def __init__(self, event_log: EventLog, allowed: Sequence[Network], *, alone: bool = False) -> None:
        """`alone`: there is no other gateway, so what is being sent was sent by one that died."""
        super().__init__()
        self._allowed = allowed
        self._consumer = event_log.subscribe(GROUP, [CONTROL])
        self._done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._unsettled: list[Outcome] = []
        self._under_way = 0
        self._release = alone

    def wake(self) -> None:
        self._consumer.wake()

    def close(self) -> None:
        """What is under way is not waited for: its claim lapses, and it is sent again."""
        self._settle()
        self._consumer.close()

    def turn(self) -> None:
        now = datetime.now(UTC)
        if self._release:
            deliveries_release(now)
            self._release = False
        self._settle()
        subscriptions_tell(now)
        claimed = deliveries_claim(now, AT_ONCE - self._under_way)
        for job in claimed.jobs:
            self._under_way += 1
            # At its end the process waits for no receiver: a daemon, where a pool's threads would be joined.
            threading.Thread(target=self._send, args=(job,), daemon=True).start()
        notices = self._consumer.poll(1000, timeout=self._wait(claimed.again))
        if notices:
            self._consumer.commit(notices)

    def _wait(self, again: datetime | None) -> float:
        if not self._done.empty() or self._unsettled:
            return 0.0
        if again is None:
            return _LONGEST_WAIT
        return min(_LONGEST_WAIT, max(0.0, (again - datetime.now(UTC)).total_seconds()))

    def _settle(self) -> None:
        while not self._done.empty():
            self._unsettled.append(self._done.get())
            self._under_way -= 1
        if self._unsettled:
            deliveries_settle(self._unsettled, datetime.now(UTC))
            self._unsettled = []

    def _send(self, job: Job) -> None:
        try:
            outcome = sent(job, self._allowed)
        except (
            Exception
        ) as error:  # a fault of ours: the delivery is tried again, and the log says where it was
            log.exception("delivery %s could not be sent", job.delivery)
            outcome = Outcome(
                job, datetime.now(UTC), 0.0, 0, f"a fault of the platform: {type(error).__name__}"
            )
        self._done.put(outcome)
        if not self.stopping.is_set():
            self._consumer.wake()


def sent(job: Job, allowed: Sequence[Network]) -> Outcome:
    """Post it, signed as of now, and say what came of it, without what is secret."""
    at = datetime.now(UTC)
    if job.target is None:
        return Outcome(job, at, 0.0, 0, job.problem)
    signature = pushing.signed(job.secrets, job.body, id=job.message_id, now=at)
    answer = http_push.post(
        job.target, {**job.headers, **signature}, job.body, seconds=job.seconds, allowed=allowed
    )
    problem = answer.problem
    if 300 <= answer.status < 400:
        problem = "a redirect, which is not followed: give the subscription the address that it leads to"
    return Outcome(
        job,
        at,
        answer.seconds,
        answer.status,
        hidden(problem, job.private),
        _shown(answer.body, job.private),
        _retry_after(answer.headers.get("retry-after", ""), at) if answer.status in (429, 503) else None,
    )


def _shown(body: bytes, private: Sequence[str]) -> str:
    text = body.decode("utf-8", "replace").replace("\0", "�")
    try:
        text = json.dumps(masked(json.loads(text)), ensure_ascii=False, indent=1)
    except (ValueError, RecursionError):
        pass
    return hidden(text, private)[:SHOWN]


def _retry_after(text: str, now: datetime) -> float | None:
    """Seconds, given so or as a date."""
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return max(0.0, moment.timestamp() - now.timestamp()) if moment.tzinfo else None
