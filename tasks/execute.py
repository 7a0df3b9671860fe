"""The task `ferris.execute`: one attempt of one execution, from its claim to its last report."""

from __future__ import annotations

import logging
import time

from celery_app import EXECUTE, app
from ferris.adapters import log_lines
from ferris.errors import BackendError
from ferris.execution import DRAINING
from ferris.lifecycle import Reason
from tasks import executor as executors
from tasks import metrics
from tasks.attempt import Attempt
from tasks.executor import Executor
from tasks.lease import Lease
from tasks.loop import Loop

log = logging.getLogger(__name__)


class ExecutionFailed(Exception):
    """What Celery's monitors hear of an attempt that failed: the reason's name, nothing of the script's own."""


@app.task(name=EXECUTE, ignore_result=True, throws=(ExecutionFailed,))  # type: ignore[untyped-decorator]
def execute(execution_id: str) -> str:
    """Answer a doorbell. Whatever happens, the row in the database says so, or its lease runs out.

    What is returned or raised is for a monitor to show (Flower): nothing in the platform looks at it.
    """
    outcome = run(executors.current(), execution_id)
    if isinstance(outcome, Reason):
        raise ExecutionFailed(outcome.value)
    return outcome


def run(executor: Executor, execution_id: str) -> str | Reason:
    """Claim the execution and run it; nothing when someone else has it or the web stays away.

    Returns how that ended, in a word or two; the reason when the attempt failed.
    """
    with log_lines.about(role="executor", execution=execution_id):
        return _run(executor, execution_id)


def _run(executor: Executor, execution_id: str) -> str | Reason:
    if executor.closing:
        return "shutdown"
    claimed_at = time.monotonic()
    try:
        order = executor.control.claim(execution_id, executor.worker, lambda: executor.closing)
    except BackendError as error:
        log.error("execution %s stays unclaimed, it will be rung for again: %s", execution_id, error)
        metrics.UNCLAIMED.inc()
        return "unclaimed"
    metrics.CLAIM_SECONDS.observe(time.monotonic() - claimed_at)
    if isinstance(order, str):
        if order == DRAINING:
            executor.drain()
        metrics.REFUSED.inc()
        log.info("execution %s is not to be run: %s", execution_id, order)
        return f"not run: {order}"
    with Loop() as loop:
        lease = Lease(order, claimed_at, loop.wake)
        executor.leases.add(lease)
        try:
            with metrics.RUNNING.track_inprogress(), metrics.ATTEMPT_SECONDS.time():
                attempt = Attempt(executor, order, lease, loop, claimed_at)
                with log_lines.about(flow=order.flow_id, attempt=order.attempt):
                    outcome = attempt.run()
            metrics.ATTEMPTS.labels(str(outcome)).inc()
            return outcome
        finally:
            executor.leases.remove(lease)
