"""The task `ferris.execute`: one attempt of one execution, from its claim to its last report."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from celery_app import EXECUTE, app
from ferris import lifecycle
from ferris.adapters import log_lines
from ferris.errors import BackendError, EventError
from ferris.execution import DRAINING, ExecutionOrder
from ferris.isolation import exit_words
from ferris.lifecycle import Reason
from ferris.retry import Failure, next_attempt
from tasks import executor as executors
from tasks import metrics, platform_log
from tasks.artifacts import Artifacts, Limits
from tasks.calls import Calls
from tasks.cell import Cell
from tasks.channel import Channel
from tasks.command import command_of, variables
from tasks.environment import BuildStep, Environment, EnvironmentFailed, resolver_words
from tasks.executor import Executor
from tasks.isolation import IsolationMissing
from tasks.journal import Journal
from tasks.lease import CANCELLED, TIMEOUT, Lease
from tasks.log_archive import LogArchive
from tasks.loop import Loop
from tasks.mask import BY_CHANCE, SHORTEST
from tasks.package import PackageError
from tasks.progress import Progress
from tasks.relay import Relay
from tasks.runner import Command, Process
from tasks.step import Outcome, Say, Watch
from tasks.tables import Tables

log = logging.getLogger(__name__)

_BUILD_SECONDS: Final = 1800.0
_FETCH_SECONDS: Final = 600.0
_UPLOAD_SECONDS: Final = 600.0
_LAST_UPLOAD_SECONDS: Final = 5.0
"""For what a script left that was cancelled."""
_LONGEST_PAUSE: Final = 5.0


class Failed(Exception):
    """This attempt failed, for a reason of `lifecycle.Reason`."""

    def __init__(self, reason: Reason, error: str, failure: Failure | None = None) -> None:
        super().__init__(error)
        self.reason, self.error = reason, error
        self.failure = failure or Failure(reason.value, error=error)


class Stopped(Exception):
    """This attempt was ended from outside: cancelled, fenced, its lease lost, or the executor shuts down."""


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
        )
        self._progress = Progress(loop, self._journal.progress)
        self._error_line = ""
        self._tables = Tables(self._journal.masker)
        self._rung_at: float | None = rung_at  # until its first script has started

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
                self._steps(cell, environment)
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
        cell = self._executor.isolation.cell(self._order, self._channel_path, folder, self._artifacts.folder)
        try:
            self._fetch(folder)
            cell.own(folder, cell.temporary)
            yield cell
        finally:
            self._executor.cleaner.add(cell)

    def _fetch(self, folder: Path) -> None:
        """Copy the package here, and wait for an object store that is away."""
        deadline, pause = time.monotonic() + _FETCH_SECONDS, 0.2
        while True:
            try:
                self._executor.packages.copy(self._order.digest, folder)
                return
            except BackendError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("execution %s waits for its package: %s", self._order.execution_id, error)
            self._pause(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

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

        with self._watch(process, say) as watch:
            outcome = watch.until_end(time.monotonic() + _BUILD_SECONDS)
        if outcome.stopped == TIMEOUT:
            raise EnvironmentFailed(f"the environment was not built within {_BUILD_SECONDS:g} s")
        self._go_on()
        if outcome.refused is not None:
            raise IsolationMissing(f"its packages are not built: {outcome.refused}")
        if not outcome.ok:
            raise EnvironmentFailed(resolver_words(said) or f"{Path(step.command[0]).name} {outcome}")

    def _pause(self, seconds: float) -> None:
        self._loop.turn(seconds)
        self._go_on()

    def _go_on(self) -> None:
        self._lease.check()
        if self._lease.why is not None:
            raise Stopped(self._lease.why)

    def _steps(self, cell: Cell, environment: Environment) -> None:
        order, isolation = self._order, self._executor.isolation
        if not order.scripts:
            raise Failed(
                Reason.NO_SCRIPTS, "the service has no script to run; add one, or name it as `entrypoint`"
            )
        deadline = time.monotonic() + (order.timeout or self._settings.default_timeout_seconds)
        calls = Calls(
            self._executor.control,
            self._executor.objects,
            order,
            self._journal.masker.learn,
            lambda content: self._journal.masker.found_in(BytesIO(content), BY_CHANCE),
            lambda: not self._lease.good,
        )
        path = self._channel_path
        channel = Channel(
            path, self._loop, self._tell, lambda message, answer: self._call(calls, message, answer)
        )
        relay = Relay(self._loop, self._executor.calls, calls)
        try:
            cell.own(Path(channel.path))
            environ = variables(order, channel.path, relay.port, self._executor.environ)
            environ |= isolation.environ(order, cell)
            for index, script in enumerate(order.scripts):
                artifacts = self._artifacts.prepare(index)
                cell.own(self._artifacts.folder)
                started = command_of(order, script, cell.folder, environment, environ, artifacts)
                if script.endswith(".sql"):
                    plan = isolation.platform_plan(order, cell)
                else:
                    plan = isolation.plan(order, cell, environment.python, relay.port)
                inside = cell.inside if (plan or {}).get("pid_namespace") else None
                started = replace(started, plan=plan, inside=inside)
                self._step(index, script, started, deadline, channel, relay, cell)
        finally:
            relay.close()
            channel.close()

    def _step(
        self,
        index: int,
        script: str,
        command: Command,
        deadline: float,
        channel: Channel,
        relay: Relay,
        cell: Cell,
    ) -> None:
        self._journal.step = script
        self._error_line = ""
        killed = cell.groups.kills()
        cell.groups.forget_peak()
        # The process comes up while this becomes durable: only then is its gate opened.
        said = _isolation(self._executor, self._order, command)
        self._journal.report(lifecycle.STEP_STARTED, step=index, script=script, isolation=said)
        process = self._executor.runner.start(command)
        relay.script = process.pid
        with self._watch(process, self._say, relay.adopt) as watch:
            self._executor.reporter.flush()
            self._go_on()
            watch.release()
            self._started()
            outcome = watch.until_end(deadline, channel)
        self._end_step(index, script, outcome, cell.groups.peak(), cell.groups.kills() > killed)

    def _started(self) -> None:
        if self._rung_at is not None:
            metrics.START_SECONDS.observe(time.monotonic() - self._rung_at)
            self._rung_at = None

    def _watch(self, process: Process, say: Say, adopt: Callable[[int], None] | None = None) -> Watch:
        grace = self._settings.cancel_grace_seconds
        return Watch(process, self._loop, self._lease, self._journal.masker, say, grace, adopt)

    def _end_step(
        self, index: int, script: str, outcome: Outcome, peak: int | None, out_of_memory: bool
    ) -> None:
        if outcome.stopped not in (None, CANCELLED, TIMEOUT):
            raise Stopped(outcome.stopped)
        self._progress.flush()
        words = exit_words(
            exit_code=outcome.exit_code,
            signal=outcome.signal,
            stopped=outcome.stopped,
            limits=self._executor.isolation.limits(self._order),
            out_of_memory=out_of_memory,
            cpu_seconds=outcome.usage.cpu_seconds if outcome.usage else 0.0,
            error=self._error_line,
        )
        if outcome.refused is not None:
            words = f"not started: {outcome.refused}"
        kept, lost = self._keep(index)
        said: dict[str, Any] = {
            "step": index,
            "script": script,
            "exit_code": outcome.exit_code,
            "signal": outcome.signal,
            "duration_ms": round(outcome.seconds * 1000),
            "exit_reason": self._journal.masker.text(words),
            "usage": outcome.used(peak),
            **kept,
        }
        if tables := self._tables.of_step():
            said["tables"] = tables
        self._journal.step = None
        if outcome.ok and not lost:
            self._journal.report(lifecycle.STEP_COMPLETED, **said)
            return
        problem = lost if outcome.ok else self._problem(script, outcome)
        if words.startswith("killed by the") or outcome.refused is not None:
            problem = f"{script} was {words}"
        error = self._journal.error(problem)
        self._journal.report(lifecycle.STEP_FAILED, **said, error=error)
        if outcome.ok:
            raise Failed(Reason.PLATFORM, error)
        if outcome.refused is not None:
            raise Failed(Reason.ISOLATION, error)
        if outcome.stopped == CANCELLED:
            raise Stopped(CANCELLED)
        reason = Reason.TIMEOUT if outcome.stopped else Reason.SCRIPT_FAILED
        failure = Failure(reason.value, outcome.exit_code, outcome.signal or "", self._error_line)
        raise Failed(reason, error, failure)

    def _keep(self, index: int) -> tuple[dict[str, Any], str]:
        """Store the artifacts of a step that has ended: what its report says of them, and what went wrong."""

        began = time.monotonic()

        def wait(seconds: float) -> bool:
            self._loop.turn(seconds)
            self._lease.check()
            if self._lease.why not in (None, CANCELLED):
                raise Stopped(self._lease.why)
            most = _UPLOAD_SECONDS if self._lease.why is None else _LAST_UPLOAD_SECONDS
            return time.monotonic() - began < most

        return self._artifacts.keep(index, wait)

    def _problem(self, script: str, outcome: Outcome) -> str:
        if outcome.stopped == CANCELLED:
            return f"{script} was cancelled"
        if outcome.stopped == TIMEOUT:
            limit = self._order.timeout or self._settings.default_timeout_seconds
            return f"{script} was still running when the timeout of {limit:g} s ended"
        return f"{script} {outcome}" + (f": {self._error_line}" if self._error_line else "")

    def _say(self, stream: str, level: str, line: str) -> None:
        if stream == "stderr" and level == "error" and not line.startswith((" ", "Traceback ")):
            self._error_line = line
        self._journal.line(stream, level, line)

    def _tell(self, message: dict[str, Any]) -> None:
        if message["op"] == "event":
            try:
                self._journal.send(message)
            except EventError as error:
                self._journal.note("error", f"an event was not sent: {error}")
        elif message["op"] == "table":
            self._tables.take(message)
        elif message["op"] == "log":
            self._journal.record(str(message.get("level")), str(message.get("message")))
        elif message["op"] == "progress":
            self._progress.take(message)
        elif message["op"] == "artifact":
            self._artifacts.state(str(message.get("name")), str(message.get("content_type")))
        else:
            self._journal.note("error", str(message.get("problem")))

    def _call(self, calls: Calls, message: dict[str, Any], answer: Any) -> None:
        if (
            message.get("op") == "config"
        ):  # known here, so it need not queue behind calls that wait for the web
            answer(calls.answer(message))
        else:
            self._executor.calls.submit(lambda: answer(calls.answer(message)))

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


def _isolation(executor: Executor, order: ExecutionOrder, command: Command) -> dict[str, Any]:
    """What a step is confined with, and what its executor lacks for the level that counts."""
    level, lacking = executor.isolation.layers(order)
    layers = [name for name in (command.plan or {}) if name != "umask"]
    return {"level": level, "layers": layers, "lacking": lacking}
