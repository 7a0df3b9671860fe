"""How a script's process comes to be. One implementation: a fresh interpreter for each script.

The seam is `Runner.start(command) -> Process`. Another runner may hand out processes that were forked from a
warm interpreter; whoever watches a Process does not see the difference.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

BOOT: Final = Path(__file__).resolve().parent / "boot"
SDK: Final = Path(__file__).resolve().parent.parent / "sdk"


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: `python script '<argument>'` in `folder`. `environment` is complete, nothing is inherited.

    `sdk_last`: the helper library is found only behind the environment's own packages.
    """

    python: str
    script: str
    folder: Path
    environment: Mapping[str, str]
    argument: bytes
    sdk_last: bool = False


class Process(Protocol):
    """A started process, the leader of its own session and process group. It waits at its gate for `release`.

    `stdout` and `stderr` are pipes to read (not blocking), `ended` becomes readable when the process has ended.
    """

    pid: int
    stdout: int
    stderr: int
    ended: int

    def release(self) -> None:
        """Open the gate: user code runs from now on. Never raises; a process that died is seen by `ended`."""
        ...

    def signal(self, number: signal.Signals) -> None:
        """Signal the process group. Safe until `reap`: the group's number cannot be taken by another."""
        ...

    def reap(self) -> int:
        """The exit status once `ended` is readable; negative: the signal that ended it."""
        ...

    def close(self) -> None:
        """Give back what is open. Whatever is left of the group is killed."""
        ...


class Runner(Protocol):
    """Starts processes. Called from any thread."""

    def start(self, command: Command) -> Process:
        """Start it behind its gate. OSError when the system cannot (no such interpreter, too many processes)."""
        ...


class ColdRunner:
    """A fresh interpreter per script."""

    def start(self, command: Command) -> ColdProcess:
        """Start the interpreter; it comes up while it waits at the gate."""
        handles: list[int] = []
        try:
            gate, release = _pipe(handles)
            argument = _file_in_memory(command.argument)
            handles.append(argument)
            environment = {**command.environment, **_boot_environment(command, gate, argument)}
            process = _spawn(
                [command.python, command.script], command.folder, environment, (gate, argument), release
            )
        except BaseException:
            for handle in handles:
                os.close(handle)
            raise
        os.close(gate)
        os.close(argument)
        return process


def start_tool(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> ColdProcess:
    """Start a program of the platform's own (uv): no gate, `release` does nothing. OSError."""
    return _spawn(command, folder, environment, (), None)


def _spawn(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    passed: Sequence[int],
    release: int | None,
) -> ColdProcess:
    handles: list[int] = []
    popen = None
    try:
        stdout, stdout_end = _pipe(handles)
        stderr, stderr_end = _pipe(handles)
        popen = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout_end,
            stderr=stderr_end,
            pass_fds=passed,
            start_new_session=True,
        )
        ended = os.pidfd_open(popen.pid)
    except BaseException:
        if popen is not None:
            popen.kill()
            popen.wait()
        for handle in handles:
            os.close(handle)
        raise
    os.close(stdout_end)
    os.close(stderr_end)
    os.set_blocking(stdout, False)
    os.set_blocking(stderr, False)
    return ColdProcess(popen, ended, stdout, stderr, release)


class ColdProcess:
    """See Process."""

    def __init__(
        self, popen: subprocess.Popen[bytes], ended: int, stdout: int, stderr: int, release: int | None
    ) -> None:
        self.pid = popen.pid
        self.stdout = stdout
        self.stderr = stderr
        self.ended = ended
        self._popen = popen
        self._release = release
        self._reaped = False

    def release(self) -> None:
        if self._release is None:
            return
        try:
            os.write(self._release, b"\n")
        except BrokenPipeError:
            pass

    def signal(self, number: signal.Signals) -> None:
        if not self._reaped:
            try:
                os.killpg(self.pid, number)
            except (ProcessLookupError, PermissionError):
                pass

    def reap(self) -> int:
        # What it left running in its group ends with it; only until it is reaped is the group surely its own.
        self.signal(signal.SIGKILL)
        self._reaped = True
        return self._popen.wait()

    def close(self) -> None:
        if not self._reaped:
            self.reap()
        for handle in (self.stdout, self.stderr, self.ended, self._release):
            if handle is not None:
                os.close(handle)


def _pipe(opened: list[int]) -> tuple[int, int]:
    pair = os.pipe2(os.O_CLOEXEC)
    opened.extend(pair)
    return pair


def _file_in_memory(content: bytes) -> int:
    """A nameless file in memory that holds the argument: no limit of size, in no process list, on no disk."""
    handle = os.memfd_create("argument", os.MFD_CLOEXEC)
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]
    return handle


def _boot_environment(command: Command, gate: int, argument: int) -> dict[str, str]:
    sdk = {"FERRIS_PATH_LAST": str(SDK)} if command.sdk_last else {}
    paths = [str(BOOT)] if command.sdk_last else [str(BOOT), str(SDK)]
    return {"FERRIS_BOOT": f"{gate},{argument}", "PYTHONPATH": os.pathsep.join(paths), **sdk}
