"""One attempt of an execution: its folder, package, environment and scripts, and the report of how it ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ferris import lifecycle
from ferris.adapters import log_lines
from ferris.errors import BackendError
from ferris.execution import ExecutionOrder
from ferris.lifecycle import Reason
from ferris.retry import Failure, next_attempt
from tasks import platform_log
from tasks.artifacts import Artifacts, Limits
from tasks.cell import Cell
from tasks.environment import BuildStep, Environment, EnvironmentFailed, resolver_words
from tasks.executor import Executor
from tasks.isolation import IsolationMissing
from tasks.journal import Journal
from tasks.lease import CANCELLED, TIMEOUT, Lease, Stopped
from tasks.log_archive import LogArchive
from tasks.loop import Loop
from tasks.mask import SHORTEST
from tasks.package import PackageError
from tasks.runner import Process
from tasks.snapshot import Snapshots
from tasks.step import Watch
from tasks.steps import Failed, Steps

log = logging.getLogger(__name__)

_BUILD_SECONDS: Final = 1800.0
_FETCH_SECONDS: Final = 600.0
_LONGEST_PAUSE: Final = 5.0


class Attempt:
    """One claimed attempt: package, environment, steps, report."""

    def __init__(
        self, executor: Executor, order: ExecutionOrder, lease: Lease, loop: Loop, rung_at: float
    ) -> None:
        self._executor, self._order, self._lease, self._loop = executor, order, lease, loop
        self._settings = executor.settings
        archive = (
            LogArchive(executor.objects, order.execution_id, order.attempt)
            if self._settings.log_archive
            else None
        )
        self._journal = Journal(
            order, executor.reporter, executor.worker, self._settings.log_limit_bytes, archive
        )
        self._channel_path = executor.workplace.socket_path()
        folder = executor.workplace.attempts / f"{order.execution_id}-{order.attempt}"
        self._folder_path = folder
        self._artifacts = Artifacts(
            folder.with_name(f"{folder.name}.artifacts"),
            executor.objects,
            order,
            self._journal.masker,
            self._journal.note,
            Limits(self._settings.artifact_limit_bytes, self._settings.artifact_limit_count),
            executor.workplace.spares,
        )
        self._snapshots = Snapshots(
            folder, executor.objects, order, self._journal.masker, self._settings.snapshot_limit_bytes
        )
        self._steps = Steps(
            executor, order, lease, loop, self._journal, self._artifacts, self._snapshots, rung_at
        )

    def run(self) -> str | Reason:
        """Everything, and the report about it. Raises nothing that is the execution's own."""
        with log_lines.veiled(self._journal.masker.text), platform_log.told(self._journal):
            return self._run()

    def _run(self) -> str | Reason:
        self._journal.report(lifecycle.STARTED)
        if self._journal.masker.too_short:
            self._journal.note(
                "warning", f"a secret is shorter than {SHORTEST} characters: it is not masked in this log"
            )
        try:
            with self._cell() as cell, self._environment(cell) as environment:
                self._steps.run(cell, environment)
            self._conclude(lifecycle.COMPLETED)
            return "completed"
        except Stopped as stop:
            self._conclude(lifecycle.CANCELLED if str(stop) == CANCELLED else None, reason=str(stop))
            return str(stop)
        except Failed as failure:
            return self._fail(failure.reason, failure.error, failure.failure)
        except PackageError as error:
            return self._fail(Reason.PACKAGE, str(error))
        except EnvironmentFailed as error:
            return self._fail(Reason.ENVIRONMENT, str(error))
        except IsolationMissing as error:
            return self._fail(Reason.ISOLATION, str(error))
        except Exception as error:
            log.exception("execution %s failed in the executor", self._order.execution_id)
            return self._fail(Reason.PLATFORM, f"{type(error).__name__}: {error}")

    @contextmanager
    def _cell(self) -> Iterator[Cell]:
        """A cell for this attempt alone, with the package unpacked in its folder."""
        folder = self._folder_path
        spares = self._executor.workplace.spares
        cell = self._executor.isolation.cell(
            self._order, self._channel_path, folder, self._artifacts.folder, spares
        )
        try:
            self._fetch(folder)
            self._resume()
            cell.own(folder, cell.temporary)
            yield cell
        finally:
            self._executor.cleaner.add(cell)

    def _fetch(self, folder: Path) -> None:
        """Copy the package here, and wait for an object store that is away."""
        deadline, pause = time.monotonic() + _FETCH_SECONDS, 0.2
        while True:
            try:
                self._executor.packages.copy(self._order.digest, folder, self._executor.workplace.spares)
                return
            except BackendError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("execution %s waits for its package: %s", self._order.execution_id, error)
            self._pause(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _resume(self) -> None:
        """What the run left that this one continues; an object store that is away is waited for."""
        deadline = time.monotonic() + _FETCH_SECONDS

        def wait(seconds: float) -> bool:
            self._pause(seconds)
            return time.monotonic() < deadline

        self._snapshots.resume(wait)

    def _environment(self, cell: Cell) -> AbstractContextManager[Environment]:
        order = self._order
        return self._executor.environments.use(
            order.requirements,
            order.python,
            order.digest,
            lambda steps: self._build(steps, cell),
            self._pause,
        )

    def _build(self, steps: list[BuildStep], cell: Cell) -> None:
        for step in steps:
            with self._executor.builds.started(step, self._order, cell) as process:
                self._tool(step, process)

    def _tool(self, step: BuildStep, process: Process) -> None:
        said: list[str] = []

        def say(stream: str, level: str, line: str) -> None:
            said.append(line)
            self._journal.line("platform", "info", line)

        grace = self._settings.cancel_grace_seconds
        with Watch(process, self._loop, self._lease, self._journal.masker, say, grace) as watch:
            outcome = watch.until_end(time.monotonic() + _BUILD_SECONDS)
        if outcome.stopped == TIMEOUT:
            raise EnvironmentFailed(f"the environment was not built within {_BUILD_SECONDS:g} s")
        self._lease.go_on()
        if outcome.refused is not None:
            raise IsolationMissing(f"its packages are not built: {outcome.refused}")
        if not outcome.ok:
            raise EnvironmentFailed(resolver_words(said) or f"{Path(step.command[0]).name} {outcome}")

    def _pause(self, seconds: float) -> None:
        self._loop.turn(seconds)
        self._lease.go_on()

    def _fail(self, reason: Reason, error: str, failure: Failure | None = None) -> Reason:
        order = self._order
        text = self._journal.error(error)
        failure = failure or Failure(reason.value, error=error)
        due = next_attempt(
            order.retry,
            order.attempt,
            datetime.now(UTC),
            execution_id=order.execution_id,
            failure=failure,
        )
        if due is None or reason is Reason.NO_SCRIPTS:
            if order.attempt < order.retry.attempts and not order.retry.applies(failure):
                self._journal.note(
                    "warning", "it is not tried again: the manifest's `retry` leaves this failure out"
                )
            self._conclude(lifecycle.FAILED, reason=reason.value, error=text)
            return reason
        self._journal.note(
            "warning",
            f"attempt {order.attempt} of {order.retry.attempts} failed; the next is due {due:%Y-%m-%d %H:%M:%S} UTC",
        )
        self._conclude(lifecycle.RETRY_SCHEDULED, reason=reason.value, error=text, not_before=due.isoformat())
        return reason

    def _conclude(self, kind: str | None, **said: Any) -> None:
        """The last report, durable when it returns. Without a kind somebody else decides about the execution."""
        if kind is None:
            self._journal.note("warning", f"this attempt was ended by its executor ({said['reason']})")
        elif kind not in (lifecycle.COMPLETED, lifecycle.CANCELLED):
            self._journal.note("error", said["error"])
        self._journal.finish_lines()
        if kind is not None:
            self._journal.report(kind, **said)
        self._executor.reporter.flush()
