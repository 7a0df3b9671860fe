"""Says on a run's row how far it is, so that who looks at its page sees it move."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from ferris_web.catalog.models import SyncRun

Progress = Callable[[str], None]
FETCHING, READING, SAVING = "fetching", "reading", "saving"
_PACE = 0.5  # seconds between two writes of one phase


class Teller:
    """Tells a line to who waits, and phase and counts to the row, not too often."""

    def __init__(self, run: SyncRun | None, tell: Progress) -> None:
        self._run, self._tell = run, tell
        self._phase, self._at = "", 0.0

    def __call__(self, line: str) -> None:
        self._tell(line)

    def at(self, phase: str, done: int = 0, total: int = 0) -> None:
        """This phase, and so many of so many services."""
        now = time.monotonic()
        if self._run is None or (phase == self._phase and now - self._at < _PACE):
            return
        self._phase, self._at = phase, now
        self._run.progress = {"phase": phase, "done": done, "total": total}
        self._run.seen_at = datetime.now(UTC)
        SyncRun.objects.filter(pk=self._run.pk, status=SyncRun.Status.RUNNING).update(
            progress=self._run.progress, seen_at=self._run.seen_at
        )
