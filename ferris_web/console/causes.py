"""Why an execution failed in plain words, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext, override
from django.utils.translation import gettext_lazy as _

from ferris_web.console.words import within
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
        _("A script failed"),
        _(
            "Read the last lines of the log below, mend the script (in its repository, and sync the project; or in the "
            "console, if it was made there), then retry."
        ),
    ),
    "timeout": (
        _("It took longer than it may"),
        _(
            'Find out in the log what it waited for. If it needs more time, raise "timeout" in '
            'manifest.json (seconds, or "10m"), sync the project and retry.'
        ),
    ),
    "executor_lost": (
        _("Its executor stopped answering while a script ran"),
        _(
            "The script may have done a part of its work. If it is safe to run twice, retry it now; "
            'to have that done by itself, set "retry": {"attempts": 3, "on_lost": true} in '
            "manifest.json."
        ),
    ),
    "environment": (
        _("The Python packages of requirements.txt could not be installed"),
        _(
            "The installer's words are in the log. Correct requirements.txt, or see that this "
            "machine reaches the package index; then sync and retry."
        ),
    ),
    "package": (
        _("The service's package could not be fetched or unpacked"),
        _(
            "Run manage.py doctor: it checks the object store. Sync the project to store the package "
            "again, then retry."
        ),
    ),
    "no_scripts": (
        _("The service has no script to run"),
        _('Add a .py or .sql file, or name the script in manifest.json ("entrypoint"); then sync and retry.'),
    ),
    "isolation": (
        _("Its executor cannot isolate it as its manifest requires"),
        _(
            "No code of it ran. manage.py doctor says what this machine allows, and how to allow "
            'more. Or loosen "network", "isolation" or "limits" in manifest.json, sync the project '
            "and retry."
        ),
    ),
    "platform": (
        _("The platform itself failed"),
        _(
            "The log of the web process and of the engine have the details; manage.py doctor checks "
            "every backend. Retry when it is mended."
        ),
    ),
    "cancelled": (
        _("Somebody cancelled it"),
        _("Retry it when it should run after all."),
    ),
    "paused": (
        _("It came while the service was paused"),
        _("Somebody let the service go on without what had waited. Retry it when it should run after all."),
    ),
    "concurrency": (
        _("As many as may run at once ran already"),
        _(
            'The manifest says so ("concurrency": {"on_limit": "skip"}). Retry it when it should run '
            "after all."
        ),
    ),
    "rate": (
        _("As many as may start within that time had started"),
        _('The manifest says so ("rate": {"on_limit": "skip"}). Retry it when it should run after all.'),
    ),
    "inactive": (
        _("The service was switched off or gone"),
        _('Set "active": true in its manifest.json, or bring its folder back, and sync the project.'),
    ),
}


def of(row: Execution, steps: Sequence[Step]) -> Cause | None:
    """The cause of a failed or skipped execution, or of the failed attempt before the one that waits now."""
    waits_again = row.status in ("pending", "queued") and row.attempt > 1 and row.reason
    if row.status not in ("failed", "skipped") and not waits_again:
        return None
    title, action = _WORDS.get(
        row.reason, (_("It failed"), _("Read the log below; retry when the cause is mended."))
    )
    failed = next(
        (s for s in steps if s.status == "failed" and s.attempt >= row.attempt - bool(waits_again)), None
    )
    if waits_again:
        title, action = (
            gettext("Attempt {number} failed: {cause}").format(
                number=row.attempt - 1, cause=within(str(title))
            ),
            gettext("It will be tried again by itself."),
        )
    detail = row.error or (failed.error if failed else "")
    if failed is not None and row.reason == "script_failed":
        title = title if waits_again else f"{failed.script} {_ended(failed)}"
        with override("en"):  # as the error was stored
            ended = f"{failed.script} {_ended(failed)}"
        detail = detail.removeprefix(f"{ended}: ").removeprefix(ended)
    return Cause(str(title), detail, str(action), failed)


def _ended(step: Step) -> str:
    if step.exit_reason.startswith("killed by the"):
        return gettext("was {exit_reason}").format(exit_reason=step.exit_reason)
    if step.signal:
        return gettext("was ended by {signal}").format(signal=step.signal)
    if step.exit_code is None:
        return gettext("failed")
    return gettext("ended with exit status {exit_code}").format(exit_code=step.exit_code)
