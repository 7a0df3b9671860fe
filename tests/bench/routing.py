"""How fast events find their services, inside one process: no log, no database."""

from __future__ import annotations

import dataclasses
import gc
import time
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ferris import events
from ferris.routing import RoutingTable, Trigger

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIZES = (10, 1_000, 10_000, 100_000)

# Ten kinds of filters over ten event types, each service with operands of its own.
_KINDS: tuple[Callable[[int], dict[str, Any]], ...] = (
    lambda n: {"filter": {"data": {"customer": [n], "country": ["CH", "LI"]}}},
    lambda n: {"filter": {"source": [{"prefix": f"/shops/{n}/"}], "data": {"total": [{"numeric": [">=", 50]}]}}},
    lambda n: {"filter": {"data": {"reading": [{"numeric": [">=", 10 * n, "<", 10 * n + 10]}]}}},
    lambda n: {"filter": {"data": {"file": [{"wildcard": f"in/{n}/*.csv"}]}}},
    lambda n: {"filter": {"data": {"file": [{"suffix": f"/{n}.xml"}]}}},
    lambda n: {"filter": {"data": {"state": [{"anything-but": "draft"}], "customer": [n]}}},
    lambda n: {"filter": {"data": {"name": [{"equals-ignore-case": f"Name-{n}"}]}}},
    lambda n: {"cesql": f"subject = 'order-{n}' AND EXISTS source"},
    lambda n: {"cesql": f"source LIKE '/shops/{n}/%' AND LENGTH(subject) > 3"},
    lambda n: {"filter": {"$or": [{"subject": [f"order-{n}"]}, {"data": {"customer": [n]}}]}},
)  # fmt: skip


def measure(sizes: Sequence[int], count: int) -> dict[int, dict[str, float]]:
    """By number of services: events per second and per event what matched, seconds to build the table and to change
    ten services of it, bytes per service.

    CPU time. The sizes take turns, so that whatever else the machine does meets them alike.
    """
    mixes = {services: mixed(services) for services in sizes}
    tables, figures = dict[int, RoutingTable](), dict[int, dict[str, float]]()
    for services, triggers in mixes.items():
        began = time.process_time()
        tables[services] = RoutingTable(triggers)
        figures[services] = {
            "build_seconds": time.process_time() - began,
            "change_seconds": _changing(tables[services], triggers[: min(10, services)]),
        }
    sent = {services: [event(n, services) for n in range(count)] for services in sizes}
    rates: dict[int, list[float]] = {services: [] for services in sizes}
    for _ in range(_ROUNDS):
        for services, table in tables.items():
            rates[services].append(_rate(table, sent[services]))
    for services in sizes:
        found = sum(len(tables[services].match(one)) for one in sent[services])
        figures[services]["events_per_second"] = max(rates[services])
        figures[services]["matches_per_event"] = found / count
    tables.clear()
    for services, triggers in mixes.items():
        figures[services]["bytes_per_service"] = _memory(triggers) / services
    return figures


_ROUNDS = 7


def _changing(table: RoutingTable, triggers: Sequence[Trigger]) -> float:
    changed = [dataclasses.replace(one, event_type=f"{one.event_type}.changed") for one in triggers]
    began = time.process_time()
    table.replace([one.service_id for one in changed], changed)
    table.replace([one.service_id for one in changed], triggers)
    return (time.process_time() - began) / 2


def _rate(table: RoutingTable, sent: Sequence[events.Event]) -> float:
    began = time.process_time()
    for one in sent:
        table.match(one)
    return len(sent) / (time.process_time() - began)


def mixed(services: int) -> list[Trigger]:
    kinds = len(_KINDS)
    return [
        Trigger(f"service_{n}", f"service_{n}", f"shop.order.{n // kinds % 10}", **_KINDS[n % kinds](n))
        for n in range(services)
    ]


def event(number: int, services: int) -> events.Event:
    """One that some of the services want, each by another of its fields."""
    n = number * 7 % services
    data = {
        "customer": n, "country": "CH", "total": 50 + n % 200, "reading": 10 * n + 3, "file": f"in/{n}/{n}.csv",
        "state": "open", "name": f"NAME-{n}",
    }  # fmt: skip
    subject = f"order-{n}"
    return events.new(f"shop.order.{n // 10 % 10}", f"/shops/{n}/till", data, now=NOW, subject=subject)


def _memory(triggers: Sequence[Trigger]) -> int:
    gc.collect()
    tracemalloc.start()
    table = RoutingTable(triggers)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(table) == len(triggers)
    return taken


if __name__ == "__main__":
    for size, found in measure(SIZES, 20_000).items():
        figures = ", ".join(
            f"{name} {value:,.{4 if name.startswith('change') else 2}f}" for name, value in found.items()
        )
        print(f"{size:>7,} services: {figures}", flush=True)
