"""Tells people by the rules of projects: gathers notices into messages and sends these."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from ferris.adapters import apprise_target
from ferris.config import CONTROL
from ferris.ports import EventLog
from ferris.public_addresses import Network
from ferris_web.executions.services.notices import (
    Message,
    messages_claim,
    messages_make,
    messages_release,
    messages_settle,
)
from gateway.role import Role

log = logging.getLogger(__name__)

GROUP = "ferris.notifier"
NOTICES: Final = b'{"changed":"notices"}'
"""A notice on `ferris.control`: there is something to tell."""
AT_ONCE: Final = 4
_LONGEST_WAIT = 30.0  # a look now and then, should a notice be lost or another gateway die


class Notifier(Role):
    """Sleeps until something is to be told, or a quiet period ends. Each message is sent by a process of its own."""

    def __init__(self, event_log: EventLog, allowed: Sequence[Network], *, alone: bool = False) -> None:
        """`alone`: there is no other gateway, so what is being sent was sent by one that died."""
        super().__init__()
        self._allowed = allowed
        self._consumer = event_log.subscribe(GROUP, [CONTROL])
        self._done: queue.SimpleQueue[tuple[Message, str]] = queue.SimpleQueue()
        self._unsettled: list[tuple[Message, str]] = []
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
            messages_release(now)
            self._release = False
        self._settle()
        times = [messages_make(now)]
        found, following = messages_claim(now, AT_ONCE - self._under_way)
        times.append(following)
        for message in found:
            self._under_way += 1
            # At its end the process waits for no receiver: a daemon, where a pool's threads would be joined.
            threading.Thread(target=self._send, args=(message,), daemon=True).start()
        notices = self._consumer.poll(1000, timeout=self._wait([one for one in times if one is not None]))
        if notices:
            self._consumer.commit(notices)

    def _wait(self, times: list[datetime]) -> float:
        if not self._done.empty() or self._unsettled:
            return 0.0
        if not times:
            return _LONGEST_WAIT
        return min(_LONGEST_WAIT, max(0.0, (min(times) - datetime.now(UTC)).total_seconds()))

    def _settle(self) -> None:
        while not self._done.empty():
            self._unsettled.append(self._done.get())
            self._under_way -= 1
        if self._unsettled:
            messages_settle(self._unsettled, datetime.now(UTC))
            self._unsettled = []

    def _send(self, message: Message) -> None:
        try:
            problem = sent(message, self._allowed)
        except Exception as error:  # a fault of ours: it is tried again, and the log says where it was
            log.exception("message %s could not be sent", message.id)
            problem = f"a fault of the platform: {type(error).__name__}"
        self._done.put((message, problem))
        if not self.stopping.is_set():
            self._consumer.wake()


def sent(message: Message, allowed: Sequence[Network]) -> str:
    """Send it; what went wrong, or an empty text."""
    if message.problem:
        return str(message.problem)
    return apprise_target.send(message.url, message.title, message.body, allowed=allowed)
