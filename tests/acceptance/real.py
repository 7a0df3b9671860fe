"""The platform on the real stack as processes: one web, two gateways, two executors, kept as compose keeps them.

They run the command lines of compose.yaml. Whatever ends without having been told to is started again.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from tests.acceptance import embedded
from tests.acceptance.client import until
from tests.acceptance.embedded import ROOT
from tests.acceptance.servers import Servers

BIN = ROOT / ".venv" / "bin"
COMPOSE = yaml.safe_load((ROOT / "compose" / "compose.yaml").read_text())["services"]
RESTART_SECONDS = 0.2
READY_WITHIN = 120.0
STOPPED_WITHIN = 30.0

_numbers = itertools.count(1)


@dataclass
class Kept:
    """One process that is started again whenever it ends."""

    name: str
    command: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    start_at: float = 0.0
    away: float = RESTART_SECONDS


def command(name: str) -> tuple[str, ...]:
    """The command line of `web`, `gateway-1` or `executor-2` in compose.yaml; here all are on one host, so that
    executors differ by more than their host's name."""
    service = name.partition("-")[0]
    return tuple(word.replace("executor@", f"{name}@") for word in COMPOSE[service]["command"])


class Platform(embedded.Platform):
    """One platform with an empty home and an empty part of every server."""

    look_pause = 0.3  # a look asks every server

    def __init__(self, servers: Servers, home: Path, **settings: str) -> None:
        name = f"p{os.getpid()}x{next(_numbers)}"
        super().__init__(home, **{**servers.part(name), **settings})
        self.servers = servers
        self._lock = threading.Lock()
        self._keeping = False
        self._keeper: threading.Thread | None = None
        self.kept = {
            one.name: one
            for one in (
                Kept("web", command("web")),
                *(
                    Kept(name, command(name))
                    for service in ("gateway", "executor")
                    for name in (
                        f"{service}-{n}" for n in range(1, COMPOSE[service]["deploy"]["replicas"] + 1)
                    )
                ),
            )
        }

    # ------------------------------------------------------------------ start and stop

    def start(self) -> float:
        """The web process first, which prepares the database; the others when it is there."""
        began = time.monotonic()
        said = len(self.said())
        with self._lock:
            self._launch(self.kept["web"])
        until(self._web_answers, READY_WITHIN, lambda: f"no web process:\n{self.said()[-4000:]}")
        with self._lock:
            for kept in self.kept.values():
                if kept.process is None:
                    self._launch(kept)
        self._keeping = True
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()
        gateways = sum(name.startswith("gateway") for name in self.kept)
        until(
            lambda: self.said()[said:].count("gateway: ") >= gateways,
            READY_WITHIN,
            lambda: f"no gateway:\n{self.said()[-4000:]}",
        )
        self.wait_ready(READY_WITHIN)
        took = time.monotonic() - began
        if self.client.token is None:
            self.client.token = self.manage("token", "admin").stdout.strip()
        return took

    def _web_answers(self) -> bool:
        process = self.kept["web"].process
        assert process is not None
        assert process.poll() is None, f"the web process ended:\n{self.said()[-4000:]}"
        return self._listens(psutil.Process(process.pid))

    def _launch(self, kept: Kept) -> None:
        with self.output.open("ab") as output:
            kept.process = subprocess.Popen(
                [BIN / kept.command[0], *kept.command[1:]],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _keep(self) -> None:
        while self._keeping:
            with self._lock:
                for kept in self.kept.values() if self._keeping else ():
                    if kept.process is None and time.monotonic() >= kept.start_at:
                        self._launch(kept)
                        kept.away = RESTART_SECONDS
                    elif kept.process is not None and kept.process.poll() is not None:
                        kept.process, kept.start_at = None, time.monotonic() + kept.away
            time.sleep(0.05)

    def _let_go(self) -> list[subprocess.Popen[bytes]]:
        """Keep nothing any more; what ran, web last."""
        with self._lock:
            self._keeping = False
            found = [kept.process for kept in reversed(self.kept.values()) if kept.process is not None]
            for kept in self.kept.values():
                kept.process, kept.start_at = None, 0.0
        if self._keeper is not None:
            self._keeper.join()
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the processes as compose does: web, on which the others depend, last. The first bad exit status."""
        *others, web = self._let_go()
        status = 0
        for group in (others, [web]):
            for process in group:
                process.send_signal(number)
            for process in group:
                try:
                    status = process.wait(STOPPED_WITHIN) or status
                except subprocess.TimeoutExpired:
                    for left in (*others, web):
                        _kill(left)
                    raise AssertionError(
                        f"{process.args} is still there {STOPPED_WITHIN} s after signal {number}"
                    ) from None
        return status

    def folders(self) -> list[Path]:
        return [self.home, self.servers.home / "data", self.servers.home / "log"]

    # ------------------------------------------------------------------ processes

    def running(self) -> bool:
        return self._keeping

    def processes(self) -> list[psutil.Process]:
        """The platform's processes, and all that descends from them."""
        found = []
        for kept in self.kept.values():
            if kept.process is not None and kept.process.poll() is None:
                main = psutil.Process(kept.process.pid)
                found += [main, *main.children(recursive=True)]
        return found

    def process(self, name: str) -> psutil.Process:
        """One of the platform's own, once it runs: `web`, `gateway-1`, `executor-2`."""
        return until(lambda: self._process(name), 10, f"{name} does not run")

    def _process(self, name: str) -> psutil.Process | None:
        with self._lock:
            found = self.kept[name].process
            return psutil.Process(found.pid) if found is not None and found.poll() is None else None

    def web(self) -> psutil.Process:
        return self.process("web")

    def engine(self) -> psutil.Process:
        """The executor that runs most scripts at this moment."""
        executors = [self.process(name) for name in self.kept if name.startswith("executor-")]
        return max(executors, key=self._scripts)

    def _scripts(self, executor: psutil.Process) -> int:
        """How many processes are at work in the folders of executions (others make environments)."""
        found = 0
        for child in executor.children(recursive=True):
            try:
                found += child.cwd().startswith(f"{self.home}/work/")
            except psutil.Error:
                pass
        return found

    def kill(self, name: str, away: float = RESTART_SECONDS) -> None:
        """`kill -9` of one process; it is started again after so many seconds."""
        self.kept[name].away = away
        self.process(name).kill()

    def add(self, name: str) -> None:
        """One gateway more, at work when this returns."""
        said = self.said().count("gateway: ")
        with self._lock:
            self.kept[name] = Kept(name, command(name))
        until(lambda: self.said().count("gateway: ") > said, READY_WITHIN, f"{name} does not come up")

    def remove(self, name: str) -> None:
        """One process less, told to end as compose does."""
        with self._lock:
            process = self.kept.pop(name).process
        assert process is not None
        process.terminate()
        assert process.wait(STOPPED_WITHIN) == 0, self.said()[-4000:]

    def deafen(self, name: str) -> None:
        """Have one worker consume no queue at all: it runs on, connected, and hears nothing."""
        node = f"{name}@{socket.gethostname()}"
        for queue in ("priority", "default", "slow", "scheduled", f"canary.{node}"):
            done = subprocess.run(
                [BIN / "celery", "-A", "celery_app", "control", "-d", node, "cancel_consumer", queue],
                cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            assert "no longer consuming" in done.stdout, done.stdout + done.stderr

    def kill_main(self) -> None:
        raise NotImplementedError("there is no process that holds the others")

    def kill_all(self) -> None:
        """`kill -9` of every process of the platform at once; the servers run on."""
        with self._lock:
            self._keeping = False
        self._kill_processes()
        for ended in self._let_go():
            ended.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()
