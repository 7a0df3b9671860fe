"""The scripts of an attempt, in order: each started, watched, its files kept, its end reported."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from ferris import lifecycle
from ferris.continuing import Continuation
from ferris.errors import EventError
from ferris.execution import ExecutionOrder
from ferris.isolation import exit_words
from ferris.lifecycle import Reason
from ferris.retry import Failure
from tasks import metrics
from tasks.artifacts import Artifacts
from tasks.calls import Calls
from tasks.cell import Cell
from tasks.channel import Channel
from tasks.command import command_of, variables
from tasks.environment import Environment
from tasks.executor import Executor
from tasks.journal import Journal
from tasks.lease import CANCELLED, TIMEOUT, Lease, Stopped
from tasks.loop import Loop
from tasks.mask import BY_CHANCE
from tasks.progress import Progress
from tasks.relay import Relay
from tasks.runner import Command
from tasks.snapshot import Snapshots
from tasks.sql_step import SqlStep
from tasks.step import Outcome, Watch
from tasks.tables import Tables

_UPLOAD_SECONDS: Final = 600.0
_LAST_UPLOAD_SECONDS: Final = 5.0
"""For what a script left that was cancelled."""


class Failed(Exception):
    """This attempt failed, for a reason of `lifecycle.Reason`."""

    def __init__(self, reason: Reason, error: str, failure: Failure | None = None) -> None:
        super().__init__(error)
        self.reason, self.error = reason, error
        self.failure = failure or Failure(reason.value, error=error)


class Steps:
    """Of one attempt. `run` raises Failed or Stopped unless all of them completed."""

    def __init__(
        self,
        executor: Executor,
        order: ExecutionOrder,
        lease: Lease,
        loop: Loop,
        journal: Journal,
        artifacts: Artifacts,
        snapshots: Snapshots,
        rung_at: float,
    ) -> None:
        self._executor, self._order, self._lease, self._loop = executor, order, lease, loop
        self._settings = executor.settings
        self._journal, self._artifacts, self._snapshots = journal, artifacts, snapshots
        self._progress = Progress(loop, journal.progress)
        self._error_line = ""
        self._tables = Tables(journal.masker)
        self._rung_at: float | None = rung_at  # until its first script has started

    def run(self, cell: Cell, environment: Environment) -> None:
        """All of them in this cell."""
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
            self._journal.send,
        )
        channel = Channel(
            cell.channel,
            self._loop,
            self._tell,
            lambda message, answer: self._call(calls, message, answer),
            self._executor.turns.of((order.project, order.service)),
        )
        relay = Relay(self._loop, self._executor.calls, calls)
        try:
            cell.own(Path(channel.path))
            environ = variables(order, channel.path, relay.port, self._executor.environ)
            environ |= isolation.environ(order, cell)
            continued = Continuation.from_json(order.continues)
            self._snapshots.begin()
            for index, script in enumerate(order.scripts):
                if continued is not None and index < continued.step:
                    continue  # it was done then, and what it left is in the folder
                self._snapshots.before(index)
                artifacts = self._artifacts.prepare(index)
                cell.own(self._artifacts.folder)
                if script.endswith(".sql"):
                    sql = SqlStep(order, script, cell.folder)
                    started = sql.command(self._sql_environ(cell, artifacts))
                    plan = sql.plan(isolation, cell, relay.port)
                else:
                    started = command_of(order, script, cell.folder, environment, environ, artifacts)
                    plan = isolation.plan(order, cell, environment, relay.port)
                inside = cell.inside if (plan or {}).get("pid_namespace") else None
                started = replace(started, plan=plan, inside=inside)
                self._step(index, script, started, deadline, channel, relay, cell)
        finally:
            relay.close()
            channel.close()

    def _sql_environ(self, cell: Cell, artifacts: Path) -> dict[str, str]:
        """No more than it uses: it calls neither the platform nor anybody else but its database."""
        own = self._executor.isolation.environ(self._order, cell)
        return {
            **self._executor.environ,
            **own,
            "FERRIS_CHANNEL": cell.channel,
            "FERRIS_ARTIFACTS": str(artifacts),
        }

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
        said = {"isolation": _isolation(self._executor, self._order, command)}
        if self._rung_at is not None and self._order.config_marks is not None:
            said["config"] = dict(self._order.config_marks)  # the same for those that follow
        self._journal.report(lifecycle.STEP_STARTED, step=index, script=script, **said)
        process = self._executor.runner.start(command, self._executor.reporter.flush)
        relay.script = process.pid
        grace = self._settings.cancel_grace_seconds
        masker = self._journal.masker
        with Watch(process, self._loop, self._lease, masker, self._say, grace, relay.adopt) as watch:
            self._lease.go_on()
            watch.release()
            self._started()
            outcome = watch.until_end(deadline, channel)
        self._end_step(index, script, outcome, cell.groups.peak(), cell.groups.kills() > killed)

    def _started(self) -> None:
        if self._rung_at is not None:
            metrics.START_SECONDS.observe(time.monotonic() - self._rung_at)
            self._rung_at = None

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
        kept, lost = self._artifacts.keep(index, self._patience())
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
        if outcome.stopped != CANCELLED:
            said |= self._snapshots.keep(index, script, self._patience())
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

    def _patience(self) -> Callable[[float], bool]:
        """Waits while the store is away to which a step that has ended brings what it left; False: that was enough."""
        began = time.monotonic()

        def wait(seconds: float) -> bool:
            self._loop.turn(seconds)
            self._lease.check()
            if self._lease.why not in (None, CANCELLED):
                raise Stopped(self._lease.why)
            most = _UPLOAD_SECONDS if self._lease.why is None else _LAST_UPLOAD_SECONDS
            return time.monotonic() - began < most

        return wait

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


def _isolation(executor: Executor, order: ExecutionOrder, command: Command) -> dict[str, Any]:
    """What a step is confined with, and what its executor lacks for the level that counts."""
    level, lacking = executor.isolation.layers(order)
    layers = [name for name in (command.plan or {}) if name != "umask"]
    return {"level": level, "layers": layers, "lacking": lacking}
