"""Follows one flow live, for a terminal: what starts, what ends, and how it all came out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ferris import events
from ferris.config import LIFECYCLE
from ferris.errors import EventError
from ferris.events import Event
from ferris.ports import Consumer
from ferris_web.executions.models import Execution
from ferris_web.executions.settling import flow_settled

_STATUSES = ("completed", "failed", "cancelled", "skipped", "in_progress", "queued", "pending")
_PROGRESS_EVERY = 1.0  # seconds between two lines about the progress of one execution
_SHOWN = 10  # executions told of line by line; of more, only failures and a count
_LOOK_AGAIN = 1.0  # seconds between looks at the rows when nothing is heard
_SOON = 0.05  # the router's commit rings no bell; this is how long one waits before looking for it again
_AT_MOST_EVERY = 0.15  # seconds between looks at the rows when much is heard


@dataclass
class Outcome:
    """How a flow came out."""

    settled: bool
    executions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """True when an execution failed or was cancelled."""
        return any(row["status"] in ("failed", "cancelled") for row in self.executions)

    def to_json(self) -> dict[str, Any]:
        """JSON values for programs."""
        return {"settled": self.settled, "executions": self.executions}

    def lines(self) -> Iterator[str]:
        """A table by service, then what went wrong."""
        if not self.executions:
            yield "No execution."
            return
        services: dict[str, Counter[str]] = {}
        for row in self.executions:
            services.setdefault(row["service"], Counter())[row["status"]] += 1
        shown = [status for status in _STATUSES if any(count[status] for count in services.values())]
        width = max(len("service"), *map(len, services))
        yield ""
        yield f"{'service':<{width}}" + "".join(f"  {status:>11}" for status in shown)
        for name, count in services.items():
            yield f"{name:<{width}}" + "".join(f"  {count[status] or '-':>11}" for status in shown)
        for row in self.executions:
            if row["status"] in ("failed", "cancelled"):
                why = ": ".join(filter(None, (row["reason"], row["error"])))
                yield f"{row['correlation_id']} {row['service']} {row['status']}" + (
                    f" ({why})" if why else ""
                )


class Follower:
    """Listens to the reports of one flow. `tail` must have been opened before its first event was sent."""

    def __init__(self, tail: Consumer, flow_id: str, show: Callable[[str], None]) -> None:
        self._tail, self._flow, self._show = tail, flow_id, show
        self._services: dict[str, str] = {}  # of each execution that started
        self._ended = Counter[str]()
        self._told = 0.0
        self._progress: dict[str, float] = {}  # when an execution's progress was told last

    def run(self, timeout: float) -> Outcome:
        """Follow until the flow has settled or `timeout` seconds have passed."""
        deadline = time.monotonic() + timeout
        settled, mark, heard, looked = False, None, True, time.monotonic()
        while not settled and (left := deadline - time.monotonic()) > 0:
            pause = _SOON if mark else _AT_MOST_EVERY if heard else _LOOK_AGAIN
            heard |= self._listen(min(left, pause))
            if mark or not heard or time.monotonic() - looked >= _AT_MOST_EVERY:
                settled, mark = flow_settled(self._flow, mark)
                heard, looked = False, time.monotonic()
        return Outcome(settled, _rows(self._flow))

    def _listen(self, seconds: float) -> bool:
        """Tell what is new of this flow; True when anything at all was heard."""
        now = datetime.now(UTC)
        records = self._tail.poll(timeout=seconds)
        for record in records:
            if record.topic != LIFECYCLE:
                continue
            try:
                report = events.from_record(record.value, record.headers, now=now)
            except EventError:
                continue  # the recorder puts it among the dead letters
            if report.flow_id == self._flow and isinstance(report.data, dict):
                self._tell(report)
        return bool(records)

    def _tell(self, report: Event) -> None:
        said, what = report.data, report.type.removeprefix("ferris.")
        execution = str(said.get("execution", ""))
        if what == "execution.progress":
            self._tell_progress(report, execution)
            return
        if what == "execution.started":
            self._services[execution] = str(said.get("service", ""))
        if what in ("execution.completed", "execution.failed", "execution.cancelled"):
            self._ended[what.removeprefix("execution.")] += 1
        if len(self._services) <= _SHOWN or what.endswith((".failed", ".cancelled")):
            name = said.get("service") or self._services.get(execution, execution)
            self._show(f"{report.time:%H:%M:%S.%f}"[:-3] + f"  {name}  {_words(what, said)}")
        elif time.monotonic() - self._told >= 1:
            self._told = time.monotonic()
            counts = ", ".join(f"{count} {status}" for status, count in self._ended.items())
            self._show(f"  … {len(self._services)} executions started" + (f", {counts}" if counts else ""))

    def _tell_progress(self, report: Event, execution: str) -> None:
        """At most one line a second for each execution, but the one that says that all is done."""
        said, now = report.data, time.monotonic()
        finished = said.get("done") == said.get("total")
        if len(self._services) > _SHOWN or not (text := _how_far(said)):
            return
        if finished or now - self._progress.get(execution, 0.0) >= _PROGRESS_EVERY:
            self._progress[execution] = now
            name = said.get("service") or self._services.get(execution, execution)
            self._show(f"{report.time:%H:%M:%S.%f}"[:-3] + f"  {name}  {text}")


def _how_far(said: dict[str, Any]) -> str:
    done, total = said.get("done"), said.get("total")
    if not isinstance(done, int | float):
        return ""
    text = f"{done:,.12g} done"
    if isinstance(total, int | float) and total:
        part = min(1.0, done / total)
        text = f"[{'#' * int(part * 20):<20}] {part:4.0%} ({done:,.12g} of {total:,.12g})"
    message = "".join(c if c.isprintable() else " " for c in str(said.get("message") or ""))
    return f"{text} {message}".rstrip()


def _words(what: str, said: dict[str, Any]) -> str:
    kind, _, happened = what.partition(".")
    words = [happened.replace("_", " ")]
    if kind == "step":
        words = [f"step {said.get('script', said.get('step', ''))}", *words]
    if said.get("attempt", 1) != 1:
        words.append(f"(attempt {said['attempt']})")
    if said.get("exit_code"):
        words.append(f"with exit status {said['exit_code']}")
    if said.get("signal"):
        words.append(f"by {said['signal']}")
    if said.get("duration_ms") is not None:
        words.append(f"after {said['duration_ms'] / 1000:.2f} s")
    why = ": ".join(str(said[key]) for key in ("reason", "error") if said.get(key))
    return " ".join(words) + (f" ({why})" if why else "")


def _rows(flow: str) -> list[dict[str, Any]]:
    found = Execution.objects.select_related("service").filter(flow_id=flow).order_by("sequence")
    return [
        {
            "id": str(row.id),
            "service": row.service.name,
            "correlation_id": row.correlation_id,
            "status": row.status,
            "attempt": row.attempt,
            "reason": row.reason,
            "error": row.error,
        }
        for row in found.only("id", "service__name", "correlation_id", "status", "attempt", "reason", "error")
    ]
