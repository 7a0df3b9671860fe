"""`emit --wait`: follows a flow through the gateway's real roles; only the executor is played by the test."""

from __future__ import annotations

import io
import json
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection

from ferris import events
from ferris.config import EVENTS, LIFECYCLE
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.executions.models import Execution
from ferris_web.executions.services import Doorbell, execution_claim
from ferris_web.executions.settling import flow_settled
from gateway import recorder, router
from gateway.recorder import Recorder
from gateway.router import Router
from tests.web.platform import service

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]

Work = Callable[[Execution], tuple[str, Sequence[str]]]


class Engine:
    """Router and recorder in their threads, and an executor that does what a test says."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.bells: queue.Queue[UUID | None] = queue.Queue()
        log = wiring.event_log()
        self.roles = [Router(log, 100), Recorder(log)]
        self.thread = threading.Thread(target=self._execute)

    def ring(self, doorbells: Sequence[Doorbell]) -> None:
        for bell in doorbells:
            self.bells.put(bell.execution_id)

    def start(self) -> None:
        for role in self.roles:
            role.start()
        self.thread.start()

    def stop(self) -> None:
        self.bells.put(None)
        self.thread.join(60)
        for role in self.roles:
            role.stop()
        for role in self.roles:
            role.join(60)

    def _execute(self) -> None:
        while (pk := self.bells.get()) is not None:
            order = execution_claim(pk, "tests", datetime.now(UTC))
            if not isinstance(order, str):
                row = Execution.objects.select_related("service").get(pk=pk)
                self._report(row, "execution.started")
                self._report(row, "step.started", step=0, script="run.py")
                outcome, sends = self.work(row)
                for kind in sends:
                    self._append(EVENTS, kind, row, {}, causation_id=str(row.pk))
                ended = "completed" if outcome == "completed" else "failed"
                self._report(
                    row,
                    f"step.{ended}",
                    step=0,
                    script="run.py",
                    duration_ms=1,
                    exit_code=int(ended == "failed"),
                )
                why = {"reason": "script_failed", "error": "exit status 1"} if outcome == "failed" else {}
                self._report(row, f"execution.{outcome}", **why)
        connection.close()

    def _report(self, row: Execution, kind: str, **said: Any) -> None:
        data = {"execution": str(row.pk), "attempt": row.attempt, "service": row.service.name, **said}
        self._append(LIFECYCLE, f"ferris.{kind}", row, data)

    def _append(self, topic: str, kind: str, row: Execution, data: Any, **more: Any) -> None:
        event = events.new(kind, "/tests", data, now=datetime.now(UTC), correlation_id=row.flow_id, **more)
        key = row.flow_id if topic == EVENTS else str(row.pk)
        wiring.event_log().append(topic, [Record(events.encode(event), key=key)])


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Starts on `start`; every script completes and sends nothing unless a test says otherwise."""
    made = Engine(lambda row: ("completed", ()))
    for module in (router, recorder):
        monkeypatch.setattr(module, "ring", made.ring)
    made.start()
    yield made
    made.stop()


def emit(*arguments: str, **options: Any) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("emit", *arguments, wait=True, timeout=60, stdout=out, stderr=err, **options)
        return 0, out.getvalue(), err.getvalue()
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue(), err.getvalue()


def test_a_flow_is_followed_to_its_end(engine: Engine) -> None:
    service("first", "a.happened")
    service("left", "b.happened")
    service("right", "b.happened")
    service("last", "c.happened")
    sends = {"first": ["b.happened"], "left": ["c.happened"], "right": ["c.happened"]}
    engine.work = lambda row: ("completed", sends.get(row.service.name, ()))
    status, out, _ = emit("a.happened")
    assert status == 0
    assert "first  started" in out
    assert "first  step run.py completed" in out
    table = {line.split()[0]: line.split()[1:] for line in out.splitlines()[-5:]}
    assert table == {"service": ["completed"], "first": ["1"], "left": ["1"], "right": ["1"], "last": ["2"]}


def test_a_failure_is_1_and_told(engine: Engine) -> None:
    service("good", "a.happened")
    service("bad", "a.happened")
    engine.work = lambda row: ("failed" if row.service.name == "bad" else "completed", ())
    status, out, _ = emit("a.happened")
    assert status == 1
    assert "bad  failed (script_failed: exit status 1)" in out
    assert out.splitlines()[-1].endswith("bad failed (script_failed: exit status 1)")


def test_the_outcome_for_programs(engine: Engine) -> None:
    service("good", "a.happened")
    status, out, _ = emit("a.happened", json=True, correlation_id="FLOW")
    said = json.loads(out)
    assert (status, said["correlation_id"], said["settled"]) == (0, "FLOW", True)
    [row] = said["executions"]
    assert (row["service"], row["status"], row["correlation_id"]) == ("good", "completed", "FLOW_01")


def test_nothing_ran_and_why(engine: Engine) -> None:
    service("large", {"event_type": "order.*", "filter": {"data": {"total": [{"numeric": [">", 100]}]}}})
    status, out, _ = emit("order.placed", data='{"total": 5}')
    assert status == 0
    assert "No execution." in out
    assert "large: data.total is 5" in out
    status, out, _ = emit("nobody.listens")
    assert (status, "No service listens for nobody.listens." in out) == (0, True)


def test_many_executions_are_counted_not_listed(engine: Engine) -> None:
    for number in range(30):
        service(f"s{number:02}", "a.happened")
    engine.work = lambda row: ("failed" if row.service.name == "s29" else "completed", ())
    status, out, _ = emit("a.happened")
    assert status == 1
    assert out.count("  started") <= 21
    assert "s29  failed" in out


def test_a_flow_that_only_looks_finished_has_not_settled() -> None:
    """All rows have ended, but an event that was sent lies unread before the mark."""
    assert flow_settled("FLOW") == (True, flow_settled("FLOW")[1])
    log = wiring.event_log()
    event = events.new("a.happened", "/tests", now=datetime.now(UTC), correlation_id="FLOW")
    log.append(EVENTS, [Record(events.encode(event), key="FLOW")])
    settled, mark = flow_settled("FLOW")
    assert not settled
    assert mark is not None
    assert mark.end == 1
    service("one", "a.happened")
    routing = Router(log, 100)
    routing.turn()
    assert flow_settled("FLOW", mark) == (False, None)
    Execution.objects.update(status="completed")
    later = events.new("other", "/tests", now=datetime.now(UTC), correlation_id="ELSEWHERE")
    settled, mark = flow_settled("FLOW")
    assert settled
    log.append(EVENTS, [Record(events.encode(later), key="ELSEWHERE")])
    assert flow_settled("FLOW", mark)[0], "what came after the mark is of no concern"
    routing.close()


def test_progress_is_told_now_and_then_and_at_the_end(engine: Engine) -> None:
    service("counter", "a.happened")

    def work(row: Execution) -> tuple[str, Sequence[str]]:
        for n in range(0, 5001, 100):
            message = "all\x1b[31m done" if n == 5000 else ""
            engine._report(row, "execution.progress", done=n, total=5000, message=message)
        return "completed", ()

    engine.work = work
    status, out, _ = emit("a.happened")
    told = [line for line in out.splitlines() if "of 5,000" in line]
    assert status == 0
    assert "counter  [                    ]   0% (0 of 5,000)" in told[0]
    assert told[-1].endswith("counter  [####################] 100% (5,000 of 5,000) all [31m done")
    assert len(told) < 20
