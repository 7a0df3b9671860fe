"""Tells people by the rules of projects: gathers notices into messages and sends these."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ferris.adapters import apprise_target
from ferris.public_addresses import Network
from ferris_web.executions.services.notices import (
    Message,
    messages_claim,
    messages_make,
    messages_release,
    messages_settle,
)
from gateway.notices import NOTICES
from gateway.sender import Sender


class Notifier(Sender[Message, tuple[Message, str]]):
    """Sleeps until something is to be told, or a quiet period ends. Each message is sent by a process of its own."""

    own = NOTICES
    at_once = 4

    def release(self, now: datetime) -> None:
        messages_release(now)

    def claim(self, now: datetime, room: int) -> tuple[Sequence[Message], datetime | None]:
        ripe = messages_make(now)
        found, following = messages_claim(now, room)
        return found, min((one for one in (ripe, following) if one is not None), default=None)

    def send(self, message: Message) -> tuple[Message, str]:
        return message, sent(message, self._allowed)

    def failed(self, message: Message, problem: str) -> tuple[Message, str]:
        return message, problem

    def called(self, message: Message) -> str:
        return f"message {message.id}"

    def settle(self, outcomes: list[tuple[Message, str]], now: datetime) -> None:
        messages_settle(outcomes, now)


def sent(message: Message, allowed: Sequence[Network]) -> str:
    """Send it; what went wrong, or an empty text."""
    if message.problem:
        return str(message.problem)
    return apprise_target.send(message.url, message.title, message.body, allowed=allowed)
