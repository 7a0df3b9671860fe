"""Subscriptions, a courier's turn, and what is on the log."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from ferris.public_addresses import networks
from ferris_web import wiring
from ferris_web.catalog import subscriptions
from ferris_web.catalog.models import Project, Subscription
from ferris_web.executions.services import (
    pushes,
)
from gateway.courier import sent

HERE = networks(["127.0.0.0/8"])
KEYS = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]


def now() -> datetime:
    return datetime.now(UTC)


def made(url: str, name: str = "orders", event_type: str = "shop.*", **more: Any) -> Subscription:
    project, _ = Project.objects.get_or_create(name="shop")
    more.setdefault("secret", KEYS[0])
    return subscriptions.subscription_set(
        name, now=now(), project=project, event_type=event_type, url=url, **more
    ).subscription


def push(at: datetime | None = None, allowed: Any = HERE) -> list[pushes.Outcome]:
    """What a courier does once."""
    at = at or now()
    outcomes = [sent(job, allowed) for job in pushes.deliveries_claim(at, 32).jobs]
    pushes.deliveries_settle(outcomes, at)
    pushes.subscriptions_tell(at)
    return outcomes


def on_the_log(type: str) -> list[dict[str, Any]]:
    log = wiring.event_log()
    found = [
        json.loads(record.value)
        for topic in log.topics()
        if topic.name == "ferris.events"
        for number in range(len(topic.partitions))
        for record in log.browse("ferris.events", partition=number)
    ]
    return [one for one in found if one["type"] == type]
