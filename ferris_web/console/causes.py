"""Why an execution failed in plain words, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ferris_web.executions.models import Execution, Step


@dataclass(frozen=True)
class Cause:
    """What the page of a failed execution says first."""

    title: str
    detail: str
    action: str
    step: Step | None = None


_WORDS = {
    "script_failed": (
        "A script failed",
        "Read the last lines of the log below, mend the script in its repository, sync the project, then retry.",
    ),
    "timeout": (
        "It took longer than it may",
        'Find out in the log what it waited for. If it needs more time, raise "timeout" in manifest.json (seconds, '
        'or "10m"), sync the project and retry.',
    ),
    "executor_lost": (
        "Its executor stopped answering while a script ran",
        "The script may have done a part of its work. If it is safe to run twice, retry it now; to have that done "
        'by itself, set "retry": {"attempts": 3, "on_lost": true} in manifest.json.',
    ),
    "environment": (
        "The Python packages of requirements.txt could not be installed",
        "The installer's words are in the log. Correct requirements.txt, or see that this machine reaches the package "
        "index; then sync and retry.",
    ),
    "package": (
        "The service's package could not be fetched or unpacked",
        "Run manage.py doctor: it checks the object store. Sync the project to store the package again, then retry.",
    ),
    "no_scripts": (
        "The service has no script to run",
        'Add a .py or .sql file, or name the script in manifest.json ("entrypoint"); then sync and retry.',
    ),
    "isolation": (
        "Its executor cannot isolate it as its manifest requires",
        "No code of it ran. manage.py doctor says what this machine allows, and how to allow more. Or loosen "
        '"network", "isolation" or "limits" in manifest.json, sync the project and retry.',
    ),
    "platform": (
        "The platform itself failed",
        "The log of the web process and of the engine have the details; manage.py doctor checks every backend. "
        "Retry when it is mended.",
    ),
    "cancelled": ("Somebody cancelled it", "Retry it when it should run after all."),
    "paused": (
        "It came while the service was paused",
        "Somebody let the service go on without what had waited. Retry it when it should run after all.",
    ),
    "concurrency": (
        "As many as may run at once ran already",
        'The manifest says so ("concurrency": {"on_limit": "skip"}). Retry it when it should run after all.',
    ),
    "rate": (
        "As many as may start within that time had started",
        'The manifest says so ("rate": {"on_limit": "skip"}). Retry it when it should run after all.',
    ),
    "inactive": (
        "The service was switched off or gone",
        'Set "active": true in its manifest.json, or bring its folder back, and sync the project.',
    ),
}


def of(row: Execution, steps: Sequence[Step]) -> Cause | None:
    """The cause of a failed or skipped execution, or of the failed attempt before the one that waits now."""
    waits_again = row.status in ("pending", "queued") and row.attempt > 1 and row.reason
    if row.status not in ("failed", "skipped") and not waits_again:
        return None
    title, action = _WORDS.get(
        row.reason, ("It failed", "Read the log below; retry when the cause is mended.")
    )
    failed = next(
        (s for s in steps if s.status == "failed" and s.attempt >= row.attempt - bool(waits_again)), None
    )
    if waits_again:
        title, action = (
            f"Attempt {row.attempt - 1} failed: {title.lower()}",
            "It will be tried again by itself.",
        )
    detail = row.error or (failed.error if failed else "")
    if failed is not None and row.reason == "script_failed":
        ended = f"{failed.script} {_ended(failed)}"
        title = title if waits_again else ended
        detail = detail.removeprefix(f"{ended}: ").removeprefix(ended)
    return Cause(title, detail, action, failed)


def _ended(step: Step) -> str:
    if step.exit_reason.startswith("killed by the"):
        return f"was {step.exit_reason}"
    if step.signal:
        return f"was ended by {step.signal}"
    return f"ended with exit status {step.exit_code}" if step.exit_code is not None else "failed"
