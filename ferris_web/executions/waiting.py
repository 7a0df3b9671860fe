"""Why an execution that has not begun waits."""

from __future__ import annotations

from ferris_web.executions.models import Execution


def execution_wait(row: Execution) -> str:
    """What an open execution waits for, as the end of a sentence; "" when it waits for nothing."""
    if row.status == "pending":
        if row.not_before is not None:
            what = f"for its time, {row.not_before:%Y-%m-%d %H:%M:%S} UTC"
            return f"{what}: attempt {row.attempt}, after {row.reason}" if row.reason else what
        return "for its time"
    if row.status == "queued":
        if row.rung_at is None:
            return f"for room in the lane {row.lane}: its queue is full, older executions go first"
        return (
            f"for an executor of the lane {row.lane} to take it: its doorbell rang at "
            f"{row.rung_at:%Y-%m-%d %H:%M:%S} UTC"
        )
    return ""
