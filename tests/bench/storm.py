"""`python -m tests.bench.storm [EVENTS]`: a storm of events through filters, concurrency and batches, counted.

All events (by default 100,000) are on the log before the router begins; some of them twice, and the router dies twice
between its transaction and its offset. Then everything is claimed and ended, several at a time. What ran is compared
with what had to, event by event: one that is lost, runs twice or runs beside too many others is an error. Runs in this
process, on SQLite; prints one JSON document. Scripts are not started: see `tests.bench.executions`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

SIZE, AT_ONCE, CUSTOMERS, REGIONS = 100, 3, 17, 5
KINDS = ("red", "blue", *["grey"] * 8)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(prefix="ferris-bench-") as home:
        os.environ["FERRIS_HOME"] = home
        os.environ["DJANGO_SETTINGS_MODULE"] = "ferris_web.settings"
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        print(json.dumps(storm(count), indent=2))


def storm(count: int) -> dict[str, Any]:
    """Everything from the log to the last execution's end; AssertionError when a count is wrong."""
    from ferris_web.executions.models import Event, Execution, Gathering

    _services()
    began = time.perf_counter()
    sent = _send(count)
    routed = time.perf_counter()
    _route(count)
    ended = time.perf_counter()
    assert Event.objects.count() == count
    assert sum(Event.objects.filter(copies__gt=0).values_list("copies", flat=True)) >= sent - count

    most, runs, handed = _run()
    colours = Counter(KINDS[n % len(KINDS)] for n in range(count))
    assert runs["filtered"] == colours["red"], runs
    assert runs["bound"] == colours["blue"], runs
    assert max(most.values()) <= AT_ONCE, most
    regions = Counter(n % REGIONS for n in range(count))
    assert runs["batched"] == sum(-(-held // SIZE) for held in regions.values()), runs
    assert handed == Counter(range(count)), "an event was handed over twice, or never"
    assert not Execution.objects.exclude(status="completed").exists()
    assert not Gathering.objects.filter(state="open").exists()
    return {
        "events": count,
        "with_copies": sent,
        "sent_per_second": sent / (routed - began),
        "routed_per_second": count / (ended - routed),
        "executions": dict(runs),
        "most_at_once": max(most.values()),
        "ended_per_second": sum(runs.values()) / (time.perf_counter() - ended),
    }


def _services() -> None:
    from ferris.intake import Batch, Intake
    from ferris.limits import Concurrency, Limits
    from tests.web.platform import service

    service(
        "filtered",
        {"event_type": "storm.*", "filter": {"data": {"kind": ["red"], "n": [{"numeric": [">=", 0]}]}}},
    )
    service(
        "bound",
        {"event_type": "storm.wind", "filter": {"data": {"kind": ["blue"]}}},
        limits=Limits(Concurrency(AT_ONCE, "data.customer")),
    )
    service("batched", "storm.wind", intake=Intake(batch=Batch(SIZE, 3600, "data.region")))


def _events(count: int) -> Iterator[Any]:
    from ferris import events

    now = datetime.now(UTC)
    for n in range(count):
        data = {
            "n": n,
            "kind": KINDS[n % len(KINDS)],
            "customer": n // len(KINDS) % CUSTOMERS,
            "region": n % REGIONS,
        }
        yield events.with_flow(events.new("storm.wind", "/storm", data, now=now, id=str(n)))


def _send(count: int) -> int:
    """All of them onto the log, every fiftieth a second time."""
    from ferris.config import EVENTS
    from tests.web.platform import append

    made, sent = _events(count), 0
    while some := list(islice(made, 1000)):
        copies = some[::50]
        append(EVENTS, *some, *copies)
        sent += len(some) + len(copies)
    return sent


class _Died(Exception):
    """A router that is gone after its transaction and before its offset."""


def _route(count: int) -> None:
    """Until nothing is left on the log, and the clock has closed what is not full."""
    from ferris.config import EVENTS
    from ferris_web import wiring
    from ferris_web.executions.services.gathering_due import gatherings_close
    from gateway.router import Router

    class Mortal(Router):
        dies = False

        def settle(self) -> None:
            if self.dies:
                raise _Died
            super().settle()

        def vanish(self) -> None:
            self._consumer.close()  # as a process that is gone leaves it: nothing is settled any more

    deaths, router = {3, 9}, Mortal(wiring.event_log(), 100)
    turn = 0
    while _lag(EVENTS, router.group):
        turn += 1
        router.dies = turn in deaths
        try:
            router.turn()
        except _Died:
            router.vanish()
            router = Mortal(wiring.event_log(), 100)
    router.close()
    late = datetime.now(UTC) + timedelta(days=1)
    while gatherings_close(late, late).more:
        pass


def _lag(topic: str, group: str) -> int:
    from ferris_web import wiring

    info = next(found for found in wiring.event_log().topics() if found.name == topic)
    return info.groups.get(group, sum(part.end - part.begin for part in info.partitions))


def _run() -> tuple[Counter[str], Counter[str], Counter[int]]:
    """Claim and end everything, as executors and the recorder do: the most that ran at once by customer, executions
    by service, and how often each event was handed over in a batch."""
    from ferris_web.executions.models import Execution
    from ferris_web.executions.services import reports_apply
    from ferris_web.executions.services.admission import executions_admit, gates_waiting
    from ferris_web.executions.services.claims import executions_claim
    from tests.web.platform import report

    most: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    handed: Counter[int] = Counter()
    executions_admit(dict.fromkeys(gates_waiting()), datetime.now(UTC))
    while ids := list(
        Execution.objects.filter(status="queued").order_by("created_at").values_list("id", flat=True)[:200]
    ):
        now = datetime.now(UTC)
        orders = [
            order for order in executions_claim([*ids, ids[0]], "storm", now) if not isinstance(order, str)
        ]
        assert len(orders) == len(ids), "a second claim of the same won, or one was refused"
        busy = Execution.objects.filter(status__in=("queued", "in_progress"), service__name="bound")
        most |= Counter(busy.values_list("slot", flat=True))
        for order in orders:
            runs[order.service] += 1
            handed.update(one["data"]["n"] for one in order.params.get("events", ()))
        reports = [report(UUID(order.execution_id), "execution.completed", now=now) for order in orders]
        done = reports_apply([*reports, *reports[:3]], now)
        executions_admit(done.held, now)
    return most, runs, handed


if __name__ == "__main__":
    main()
