"""What scripts said, measured and left: log lines, metrics, files."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.web.console_rows import Rows

LINES = (
    ("info", "stdout", "reading catalogue of 1707 quakes"),
    ("", "stdout", "\x1b[32mok\x1b[0m rows 1 to 500"),
    ("warning", "log", "3 rows have no magnitude; they are left out"),
    ("", "stderr", "DeprecationWarning: datetime.utcnow() is deprecated"),
    ("error", "log", "alert service answered 503, trying again in 2 s"),
    ("info", "platform", "step alert.py completed"),
)


def stores(rows: Rows, now: datetime, hostile: str) -> None:
    from ferris_web import wiring

    records = [
        {
            "execution": str(rows.executions[name].pk),
            "attempt": rows.executions[name].attempt,
            "seq": n,
            "time": (now - timedelta(minutes=1) + timedelta(milliseconds=37 * n)).astimezone(UTC).isoformat(),
            "step": "report.py",
            "stream": stream,
            "level": level,
            "message": message + hostile,
            "service": "make_report",
            "flow": rows.executions[name].flow_id,
        }
        for name in ("script_failed", "running", "load")
        for n, (level, stream, message) in enumerate(LINES * 6, start=1)
    ]
    wiring.ops_store().write("logs", records)
    store = wiring.object_store()
    page = (
        f"<!doctype html><title>Quakes</title><h1>Report</h1>{hostile}<script>document.title='owned'</script>"
    )
    store.put("reports", "quakes/2026/report.html", page.encode(), "text/html")
    store.put("reports", "quakes/2026/quakes.csv", b"time,magnitude\n2026-11-01,6.4\n", "text/csv")
    store.put(
        "reports", "photo.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    )
    store.put("reports", "data.bin", bytes(range(256)))
    _artifacts(rows.executions["load"], store, now, hostile)


def metrics(execution: Any, now: datetime, hostile: str) -> None:
    """What its scripts recorded."""
    from ferris.metric_points import Point
    from ferris_web.executions.services.metrics import metrics_take

    points = [
        Point(
            uuid.uuid4(), execution.pk, now - timedelta(hours=n), name, value * (n % 7 + 1), unit + hostile[:50],
            {"region": region + hostile[:50]},
        )
        for n in range(20)
        for name, value, unit in (("quakes.magnitude", 1.2, ""), ("quakes.delay", 430, "ms"))
        for region in ("asia", "europe")
    ]  # fmt: skip
    metrics_take(points, now)


def _artifacts(execution: Any, store: Any, now: datetime, hostile: str) -> None:
    """A page, a table and a picture that a step left."""
    from ferris.artifacts import BUCKET
    from ferris_web.executions.models import Artifact

    left = {
        "chart.svg": ("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"),
        "quakes.csv": ("text/csv", f"time,magnitude\n2026-11-01,6.4{hostile}\n"),
        "report.html": ("text/html", f"<title>Quakes</title><h1>Report</h1>{hostile}"),
    }
    for name, (kind, text) in left.items():
        row = Artifact.objects.create(
            execution=execution, attempt=1, step=0, script="load.py", name=name, content_type=kind,
            size=len(text.encode()), day=f"{now:%Y-%m-%d}", created_at=now,
        )  # fmt: skip
        store.put(BUCKET, row.key, text.encode(), kind)
