"""Sends deliveries of subscriptions: signed, over HTTP, and nothing of what is secret in what is noted of them."""

from __future__ import annotations

import email.utils
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from ferris import pushing
from ferris.adapters import http_push
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
from gateway.notices import PUSHES
from gateway.sender import Sender


class Courier(Sender[Job, Outcome]):
    """Pushes what matches subscriptions."""

    own = PUSHES
    at_once = 32
    longest_rest = 15.0

    def release(self, now: datetime) -> None:
        deliveries_release(now)

    def claim(self, now: datetime, room: int) -> tuple[Sequence[Job], datetime | None]:
        subscriptions_tell(now)
        claimed = deliveries_claim(now, room)
        return claimed.jobs, claimed.again

    def send(self, job: Job) -> Outcome:
        return sent(job, self._allowed)

    def failed(self, job: Job, problem: str) -> Outcome:
        return Outcome(job, datetime.now(UTC), 0.0, 0, problem)

    def called(self, job: Job) -> str:
        return f"delivery {job.delivery}"

    def settle(self, outcomes: list[Outcome], now: datetime) -> None:
        deliveries_settle(outcomes, now)


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
