"""The embedded platform as processes: start, find, kill, stop. All that this suite knows of that mode.

Nothing of the platform is imported: it is started with the command that `make run` uses and looked at with
psutil.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil

from tests.acceptance.client import Client, Unreachable
from tests.acceptance.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"
READY_WITHIN = 60.0
STOPPED_WITHIN = 20.0


class Platform:
    """One platform with a home and a port of its own. Its output is in `<home>.out`, beside the home."""

    look_pause = 0.02

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.output = home.with_name(f"{home.name}.out")
        self.port = free_port()
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("FERRIS_", "DJANGO_"))
            },
            "FERRIS_HOME": str(home),
            "FERRIS_PORT": str(self.port),
            "FERRIS_STOP_GRACE": "5",
            **settings,
        }
        self.client = Client(f"http://127.0.0.1:{self.port}")
        self._main: subprocess.Popen[bytes] | None = None

    # ------------------------------------------------------------------ start and stop

    def start(self) -> float:
        """Start the platform and wait until it says that it is ready; the seconds it took."""
        began = time.monotonic()
        with self.output.open("ab") as output:
            self._main = subprocess.Popen(
                [PYTHON, "manage.py", "ferris"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.wait_ready()
        took = time.monotonic() - began
        if self.client.token is None:
            self.client.token = self.manage("token", "admin").stdout.strip()
        return took

    def wait_ready(self, timeout: float = READY_WITHIN) -> None:
        deadline = time.monotonic() + timeout
        while True:
            if self._main is not None and self._main.poll() is not None:
                raise AssertionError(
                    f"the platform ended with {self._main.returncode}:\n{self.said()[-4000:]}"
                )
            try:
                if self.client.request("GET", "/health/ready", token=None, timeout=5).status == 200:
                    return
            except Unreachable:
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"not ready after {timeout} s:\n{self.said()[-4000:]}")
            time.sleep(self.look_pause)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it with a signal, as a service manager or Ctrl-C would; its exit status."""
        assert self._main is not None
        self._main.send_signal(number)
        try:
            return self._main.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            left = self.processes()
            self.kill_all()
            raise AssertionError(f"still there {STOPPED_WITHIN} s after signal {number}: {left}") from None

    def manage(
        self, *arguments: str, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """`manage.py ...` beside the running platform."""
        done = subprocess.run(
            [PYTHON, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, (
            f"manage.py {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        )
        return done

    @property
    def password(self) -> str:
        """The administrator's, as the first start prints it, once."""
        return self.said().split(" password ", 1)[1].split()[0]

    def said(self) -> str:
        """What the platform has printed so far."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def folders(self) -> list[Path]:
        """Where everything is that it keeps."""
        return [self.home]

    # ------------------------------------------------------------------ processes

    def running(self) -> bool:
        return self._main is not None and self._main.poll() is None

    def processes(self) -> list[psutil.Process]:
        """Its main process and all that descends from it."""
        assert self._main is not None
        try:
            main = psutil.Process(self._main.pid)
            return [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def web(self) -> psutil.Process:
        """The process that answers HTTP: a child that holds the listening socket."""
        return next(child for child in self._children() if self._listens(child))

    def engine(self) -> psutil.Process:
        """The process that dispatches and runs: the other child."""
        return next(child for child in self._children() if not self._listens(child))

    def _children(self) -> list[psutil.Process]:
        assert self._main is not None
        deadline = time.monotonic() + 10
        while True:
            children = psutil.Process(self._main.pid).children()
            if len(children) >= 2 and sum(map(self._listens, children)) == 1:
                return children
            assert time.monotonic() < deadline, f"expected web and engine, found {children}"
            time.sleep(0.05)

    def _listens(self, process: psutil.Process) -> bool:
        try:
            found = process.net_connections(kind="tcp")
        except psutil.Error:
            return False
        return any(c.status == psutil.CONN_LISTEN and c.laddr.port == self.port for c in found)

    def kill_main(self) -> None:
        """`kill -9` of the process that was started, and of nothing else."""
        assert self._main is not None
        self._main.kill()
        self._main.wait()

    def kill_all(self) -> None:
        """`kill -9` of everything at once, as when the machine loses its power."""
        assert self._main is not None
        self._kill_processes()
        self._main.wait()

    def _kill_processes(self) -> None:
        found = self.processes()
        for process in found:
            try:
                process.suspend()  # nobody gets the time to react to the end of another one
            except psutil.NoSuchProcess:
                pass
        for process in [*found, *self.processes()]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                pass

    def left_behind(self, *folders: Path, within: float = 3.0) -> list[str]:
        """Processes that still have to do with this home or these folders, given a moment to go."""
        deadline = time.monotonic() + within
        while True:
            left = [text for process in psutil.process_iter() if (text := self._belongs(process, folders))]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.05)

    def _belongs(self, process: psutil.Process, folders: tuple[Path, ...]) -> str:
        if process.pid == os.getpid():
            return ""
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return ""
            command = " ".join(process.cmdline())
            known = "\0".join([command, process.cwd(), *process.environ().values()])
        except psutil.Error:
            return ""
        return (
            f"{process.pid}: {command}" if any(str(place) in known for place in (self.home, *folders)) else ""
        )
