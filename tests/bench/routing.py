"""How fast events find their services, inside one process: no log, no database."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ferris import events
from ferris.routing import RoutingTable, Trigger

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def events_per_second(services: int, count: int) -> float:
    """Each event is wanted by one service, which a filter picks among those that listen to its type."""
    types = min(100, services)
    table = RoutingTable(_trigger(n, types) for n in range(services))
    sent = [
        events.new(
            f"shop.order.{n % types}",
            "/bench",
            {"customer": n % services, "total": 50 + n % 200, "country": "CH"},
            now=NOW,
        )
        for n in range(count)
    ]
    began = time.perf_counter()
    found = sum(len(table.match(one)) for one in sent)
    took = time.perf_counter() - began
    assert found == count, f"{found} matches for {count} events"
    return count / took


def _trigger(number: int, types: int) -> Trigger:
    name = f"service_{number}"
    wanted = {"customer": [number], "total": [{"numeric": [">=", 50]}], "country": ["CH", "LI"]}
    return Trigger(name, name, f"shop.order.{number % types}", {"data": wanted})
