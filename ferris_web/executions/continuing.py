"""Whether an execution can be run again from the step at which it failed, and which earlier one another takes up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ferris.artifacts import day_of
from ferris.continuing import EXTENSION, Continuation, changed
from ferris_web import wiring
from ferris_web.executions.models import Execution, Step


@dataclass(frozen=True)
class Taken:
    """Steps that an execution did not run: they were done by `execution`, the earlier one that it takes up."""

    execution: str
    scripts: tuple[str, ...]


def continuation_of(execution: Execution, now: datetime) -> Continuation | str:
    """Where to take it up, or why that cannot be, in words."""
    scripts = tuple(execution.version.manifest.get("scripts", ()))
    if len(scripts) < 2:
        return "its service has no more than one script: run it again"
    if execution.status != "failed":
        return f"it is {execution.status}, and not failed"
    failed = (
        Step.objects.filter(execution=execution, attempt=execution.attempt, status=Step.Status.FAILED)
        .order_by("index")
        .first()
    )
    if failed is None:
        return "none of its steps failed: run it again from the start"
    if failed.index == 0:
        return "its first step failed: run it again from the start"
    kept = failed.snapshot
    if not kept:
        return (
            "nothing is kept of what its steps left (its executor ended, or FERRIS_SNAPSHOT_LIMIT is 0): run it again "
            "from the start"
        )
    if kept.get("problem"):
        return f"{kept['problem']}: run it again from the start"
    if kept["day"] < day_of(now - timedelta(days=wiring.config().retention_days)):
        return "what its steps left is no longer kept: run it again from the start"
    current = execution.service.version
    today = tuple(current.manifest.get("scripts", ())) if current is not None else ()
    problem = changed(scripts, today, failed.index)
    return problem or Continuation(str(execution.pk), execution.attempt, failed.index, kept["day"])


def taken_of(execution: Execution) -> Taken | None:
    """The steps that it took from an earlier execution; None for one that began at the start."""
    wanted = Continuation.of(execution.event.extensions.get(EXTENSION))
    if wanted is None:
        return None
    scripts = tuple(execution.version.manifest.get("scripts", ()))
    return Taken(wanted.execution_id, scripts[: wanted.step])
