"""`python -m tests.bench.journal [EVENTS [SERVICES]]`: why-queries and backtests over a large journal, on SQLite.

Fills a database of its own with that many events and services (by default 1,000,000 and 10,000, of which a tenth
listen for each type) and measures, in this process, by CPU time: one verdict, the first page of verdicts of an
event, a backtest of one type and one of everything. Prints one JSON document.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

TYPES = 10


def main() -> None:
    numbers = [int(text) for text in sys.argv[1:]]
    count, services = (numbers + [1_000_000, 10_000][len(numbers) :])[:2]
    with tempfile.TemporaryDirectory(prefix="ferris-bench-") as home:
        os.environ["FERRIS_HOME"] = home
        os.environ["DJANGO_SETTINGS_MODULE"] = "ferris_web.settings"
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        began = datetime.now(UTC) - timedelta(days=7)
        figures: dict[str, Any] = {"events": count, "services": services}
        figures["catalog_seconds"] = _timed(lambda: _catalog(services))
        figures["fill_seconds"] = _timed(lambda: _fill(count, began))
        figures |= _measure(count, began)
    print(json.dumps(figures, indent=2))


def _catalog(services: int) -> None:
    from ferris_web.catalog.changes import revision_bump
    from ferris_web.catalog.models import Project, Service, ServiceVersion, Trigger

    project = Project.objects.create(name="bench")
    rows = Service.objects.bulk_create(
        [Service(project=project, name=f"service_{n:06d}") for n in range(services)], batch_size=500
    )
    versions = ServiceVersion.objects.bulk_create(
        [ServiceVersion(service=row, number=1, digest="0" * 64) for row in rows], batch_size=500
    )
    for row, version in zip(rows, versions, strict=True):
        row.version = version
    Service.objects.bulk_update(rows, ["version"], batch_size=200)
    Trigger.objects.bulk_create(
        [
            Trigger(service=row, event_type=f"bench.type{n % TYPES}", filter={"data": {"n": [n]}})
            for n, row in enumerate(rows)
        ],
        batch_size=500,
    )
    revision_bump()


def _fill(count: int, began: datetime) -> None:
    from django.db import connection

    columns = [
        "key",
        "event_id",
        "source",
        "type",
        "subject",
        "time",
        "received_at",
        "flow_id",
        "causation_id",
        "hops",
        "datacontenttype",
        "data",
        "extensions",
        "fingerprint",
        "topic",
        "partition",
        '"offset"',
        "revision",
        "matched",
        "copies",
    ]
    marks = ", ".join(["?"] * len(columns))
    connection.ensure_connection()
    database = connection.connection
    step = timedelta(days=7) / count
    database.execute("BEGIN")
    database.executemany(
        f"INSERT INTO executions_event ({', '.join(columns)}) VALUES ({marks})", _rows(count, began, step)
    )
    database.execute("COMMIT")


def _rows(count: int, began: datetime, step: timedelta) -> Iterator[tuple[Any, ...]]:
    for n in range(count):
        at = (began + step * n).strftime("%Y-%m-%d %H:%M:%S.%f")
        data = f'{{"n": {n % 20_000}, "customer": "c{n % 977}", "total": {n % 500}}}'
        flow = f"FLOW{n:08d}"
        yield (
            uuid.uuid4().hex, f"event-{n}", "/bench", f"bench.type{n % TYPES}", "", at, at, flow, "", 0,
            "application/json", data, f'{{"correlationid": "{flow}"}}', "0" * 64, "ferris.events", 0, n, 1, 0, 0,
        )  # fmt: skip


def _measure(count: int, began: datetime) -> dict[str, Any]:
    from ferris_web.catalog.candidate import sides_of_manifests
    from ferris_web.catalog.selectors import service_get
    from ferris_web.executions import why
    from ferris_web.executions.backtesting import backtest_run
    from ferris_web.executions.selectors import event_get

    until = datetime.now(UTC) + timedelta(minutes=1)
    places = [count * share // 50 for share in range(50)]

    def one(n: int) -> None:
        why.verdict_of(event_get(f"event-{n}"), service_get("service_000007"))

    def page(n: int) -> None:
        why.verdict_page(event_get(f"event-{n}"), limit=50)

    def everything(n: int) -> None:
        why.verdict_page(
            event_get(f"event-{n}"), stages=why.STAGES, after=("rest", "service_000500"), limit=50
        )

    def test(*triggers: Any) -> dict[str, Any]:
        sides = sides_of_manifests({"service_000007": {"trigger_events": list(triggers)}})
        cpu = time.process_time()
        found = backtest_run(sides, since=began, until=until)
        used = time.process_time() - cpu
        return {
            "events": found.backtest.events,
            "events_per_cpu_second": round(found.backtest.events / used),
            "events_per_second": round(found.backtest.events / found.seconds),
        }

    import resource

    return {
        "why_one_ms": _percentiles(one, places),
        "why_page_of_50_ms": _percentiles(page, places),
        "why_page_of_the_rest_ms": _percentiles(everything, places),
        "backtest_one_type": test({"event_type": "bench.type7", "filter": {"data": {"n": [7, 17]}}}),
        "backtest_everything": test("*"),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _percentiles(call: Callable[[int], None], places: list[int]) -> dict[str, float]:
    call(places[0])
    took = []
    for place in places:
        cpu = time.process_time()
        call(place)
        took.append((time.process_time() - cpu) * 1000)
    return {"p50": round(statistics.median(took), 2), "max": round(max(took), 2)}


def _timed(call: Callable[[], None]) -> float:
    began = time.process_time()
    call()
    return round(time.process_time() - began, 1)


if __name__ == "__main__":
    main()
