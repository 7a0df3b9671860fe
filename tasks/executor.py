"""What a worker process holds: connections, caches, the writer, the leases. Made at the first execution."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ferris import adapters
from ferris.config import Settings
from tasks import metrics
from tasks.builds import Builds
from tasks.cleaner import Cleaner
from tasks.command import inherited
from tasks.control import ControlClient
from tasks.environment import BuildStep, Environments
from tasks.foreman import Foreman
from tasks.isolation import Isolation
from tasks.lease import Leases, worker_name
from tasks.package import PackageCache
from tasks.presence import ConsumerPresence
from tasks.report import Reporter
from tasks.runner import ColdRunner, Runner
from tasks.turns import Turns
from tasks.warm import WarmRunner
from tasks.workplace import Workplace

log = logging.getLogger(__name__)

_CALLS: Final = 8


class Executor:
    """Everything that executions of one worker process share."""

    def __init__(self, settings: Settings, foreman: Foreman | None = None) -> None:
        self.settings = settings
        self.foreman = foreman
        self.environ = inherited()
        self.worker = worker_name() if foreman is None else foreman.worker
        self.control = ControlClient(settings.control_url, settings.executor_token)
        self.reporter = Reporter(adapters.open_event_log(settings.event_log_url))
        metrics.REPORTER.set_function(lambda: self.reporter.waiting)
        self.objects = adapters.open_object_store(settings.object_store_url)
        self.packages = PackageCache(settings.home / "cache" / "packages", self.objects)
        self.environments = Environments(
            settings.home / "cache" / "environments", settings.environments_limit_bytes
        )
        self.leases = Leases(self.control, self.worker, settings.heartbeat_seconds)
        self.runner: Runner = WarmRunner() if settings.runner == "warm" else ColdRunner()
        self.turns = Turns()
        self.calls = ThreadPoolExecutor(_CALLS, thread_name_prefix="calls")
        self.workplace = Workplace(settings.home / "work")
        self.isolation = Isolation(settings)
        self.builds = Builds(settings, self.isolation)
        self.cleaner = Cleaner(self.isolation.give_back, self.workplace.spares)
        self.closing = False
        self.presence: ConsumerPresence | None = None
        self._closed = False

    def prepare(self) -> None:
        """Begin to build what the first script would wait for: the environment without packages, and start it."""
        threading.Thread(target=self._prepare, name="prepare", daemon=True).start()

    def _prepare(self) -> None:
        def build(steps: list[BuildStep]) -> None:
            for step in steps:
                subprocess.run(step.command, check=True, capture_output=True, env=self.builds.environ)

        try:
            self.isolation.tell()  # found out now, so that no execution waits for it
            self.leases.tell()
            with self.environments.use(None, None, "", build, time.sleep) as plain:
                if not self.closing:
                    self.runner.prepare(plain.python, self.environ)
            self.environments.tidy()
        except (OSError, subprocess.CalledProcessError) as error:
            log.warning("the plain environment cannot be built ahead: %s", error)

    def attend(self, presence: ConsumerPresence) -> None:
        """Have the platform know this worker, and drain when it says so."""
        self.presence = presence
        presence.isolation = self.isolation.summary
        self.leases.introduce(presence)

    def drain(self) -> None:
        """Take nothing new: the platform has said so."""
        if self.presence is not None:
            self.presence.heed(True)
        elif self.foreman is not None:
            self.foreman.nudge()

    def stop_all(self, why: str) -> None:
        """End every script that runs."""
        self.closing = True
        self.leases.stop_all(why)

    def close(self) -> None:
        """Write what is left and give everything back. Nothing may run any more. May be called twice."""
        if self._closed:
            return
        self.closing = self._closed = True
        self.reporter.close()
        self.leases.leave()
        self.runner.close()
        self.calls.shutdown(wait=False, cancel_futures=True)
        self.cleaner.close()
        self.isolation.close()
        self.workplace.close()


_making = threading.Lock()
_made: dict[int, Executor] = {}


def current(settings: Settings | None = None, foreman: Foreman | None = None) -> Executor:
    """This process's executor, made by the first who asks (of the environment's settings if none are given; as a slot
    of that foreman's worker, if there is one).

    A forked child gets its own.
    """
    with _making:
        executor = _made.get(os.getpid())
        if executor is None:
            _made.clear()
            executor = _made[os.getpid()] = Executor(settings or Settings.from_env(), foreman)
        return executor


def stopping() -> None:
    """Say that this process takes nothing new and ends when what runs has ended, if it has an executor."""
    executor = _made.get(os.getpid())
    if executor is not None and executor.presence is not None:
        executor.presence.stops = True
        executor.leases.tell()


def close() -> None:
    """Close this process's executor, if it has one."""
    with _making:
        executor = _made.pop(os.getpid(), None)
    if executor is not None:
        executor.close()
