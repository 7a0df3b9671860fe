"""How a script's process comes to be: here as a fresh interpreter, in `tasks.warm` as the fork of a warm one.

The seam is `Runner.start(command) -> Process`; whoever watches a Process does not see the difference.
"""

from __future__ import annotations

import marshal
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

from ferris.adapters.processors import all_allowed
from tasks.nursery import entered

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
    bare: str = ""
    """The interpreter that is started, if that is not `python` itself: one of its version, without packages. It becomes
    `python` when it is confined."""
    plan: Mapping[str, Any] | None = None
    """How it confines itself before any code of the user runs: see `tasks.isolation`."""
    inside: int | None = None
    """The PID namespace in which it is made."""

    @property
    def started(self) -> str:
        """The interpreter that is started."""
        return self.bare or self.python


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used, with those of its descendants that were waited for: bytes of memory of the largest (None: it
    cannot be told), CPU."""

    memory: int | None
    cpu_seconds: float

    @classmethod
    def of(cls, kilobytes: float, user: float, system: float) -> Self:
        """From the fields of getrusage(2)."""
        return cls(int(kilobytes) * 1024 or None, user + system)


class Process(Protocol):
    """A started process, the leader of its own session and process group. It waits at its gate for `release`.

    `stdout` and `stderr` are pipes to read (not blocking), `ended` becomes readable when the process has ended.
    """

    pid: int
    stdout: int
    stderr: int
    ended: int
    said: socket.socket | None
    """What a process that confines itself says: `relay` with a socket, then `done`, or the layer and what was wrong."""
    usage: Usage | None
    """Known once it is reaped."""

    def release(self) -> None:
        """Open the gate: user code runs from now on. Never raises; a process that died is seen by `ended`."""
        ...

    def signal(self, number: signal.Signals) -> None:
        """Signal the process group. Safe until `reap`: the group's number cannot be taken by another."""
        ...

    def reap(self) -> int | None:
        """The exit status once `ended` is readable; negative: the signal that ended it. None when nobody knows."""
        ...

    def close(self) -> None:
        """Give back what is open. Whatever is left of the group is killed."""
        ...


def nothing() -> None:
    """There is nothing to do meanwhile."""


class Runner(Protocol):
    """Starts processes. Called from any thread."""

    def start(self, command: Command, meanwhile: Callable[[], None] = nothing) -> Process:
        """Start it behind its gate. OSError when the system cannot (no such interpreter, too many processes).

        `meanwhile` is called while it comes up: it should not mind to be called again, when another start is tried.
        """
        ...

    def prepare(self, python: str, environment: Mapping[str, str]) -> None:
        """Scripts of this interpreter, with this environment but for their own variables, will be wanted."""
        ...

    def close(self) -> None:
        """Give everything back; nothing that was started runs any more."""
        ...


class ColdRunner:
    """A fresh interpreter per script."""

    def prepare(self, python: str, environment: Mapping[str, str]) -> None:
        """Nothing: each starts anew."""

    def close(self) -> None:
        """Nothing is kept."""

    def start(self, command: Command, meanwhile: Callable[[], None] = nothing) -> Process:
        """Start the interpreter; it comes up while it waits at the gate."""
        handles: list[int] = []
        try:
            gate, release = pipe(handles)
            argument = file_in_memory(plan_line(command.plan) + command.argument)
            handles.append(argument)
            said, tell = said_pair(command.plan, handles)
            passed = (gate, argument) if tell is None else (gate, argument, tell)
            environment = {**command.environment, **boot_environment(command.sdk_last, *passed)}
            if command.started != command.python:
                environment["FERRIS_PYTHON"] = command.python
            with entered(command.inside):
                process = spawn(
                    [command.started, command.script], command.folder, environment, passed, release
                )
        except BaseException:
            for handle in handles:
                os.close(handle)
            raise
        for handle in passed:
            os.close(handle)
        process.said = said
        try:
            meanwhile()
        except BaseException:
            process.close()
            raise
        return process


def start_tool(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    plan: Mapping[str, Any] | None = None,
    inside: int | None = None,
) -> ColdProcess:
    """Start a program (uv), which a plan has confined first: no gate, `release` does nothing. OSError."""
    if plan is None:
        return spawn(command, folder, environment, (), None)
    handles: list[int] = []
    try:
        order = file_in_memory(plan_line(plan))
        handles.append(order)
        said, tell = said_pair(plan, handles)
        launcher = [
            sys.executable,
            "-I",
            "-S",
            str(BOOT / "_ferris_confine.py"),
            "run",
            str(order),
            str(tell),
        ]
        with entered(inside):
            process = spawn([*launcher, *command], folder, environment, handles, None)
    finally:
        for handle in handles:
            os.close(handle)
    process.said = said
    return process


def spawn(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    passed: Sequence[int],
    release: int | None,
) -> ColdProcess:
    """Start a program in a session of its own, with pipes for what it says. OSError."""
    handles: list[int] = []
    popen = None
    try:
        stdout, stdout_end = pipe(handles)
        stderr, stderr_end = pipe(handles)
        with all_allowed():
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


class GatedProcess:
    """What all kinds of Process have in common."""

    def __init__(self, pid: int, ended: int, stdout: int, stderr: int, release: int | None) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self.ended = ended
        self.said: socket.socket | None = None
        self.usage: Usage | None = None
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

    def reap(self) -> int | None:
        # What it left running in its group ends with it; only until it is reaped is the group surely its own.
        self.signal(signal.SIGKILL)
        self._reaped = True
        return self._status()

    def close(self) -> None:
        if not self._reaped:
            self.reap()
        for handle in (self.stdout, self.stderr, self.ended, self._release):
            if handle is not None:
                os.close(handle)
        if self.said is not None:
            self.said.close()

    def _status(self) -> int | None:
        raise NotImplementedError


class ColdProcess(GatedProcess):
    """A child of this process."""

    def __init__(
        self, popen: subprocess.Popen[bytes], ended: int, stdout: int, stderr: int, release: int | None
    ) -> None:
        super().__init__(popen.pid, ended, stdout, stderr, release)
        self._popen = popen

    def _status(self) -> int:
        try:
            _, status, used = os.wait4(self.pid, 0)
        except ChildProcessError:  # somebody else has waited for it
            return self._popen.wait()
        # What this process had in memory counts as the child's until it is another program: then it tells nothing.
        known = used.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.usage = Usage.of(used.ru_maxrss if known else 0, used.ru_utime, used.ru_stime)
        self._popen.returncode = os.waitstatus_to_exitcode(status)  # so that it does not wait, too
        return self._popen.returncode


def pipe(opened: list[int]) -> tuple[int, int]:
    """Its ends, which are also added to `opened`."""
    pair = os.pipe2(os.O_CLOEXEC)
    opened.extend(pair)
    return pair


def file_in_memory(content: bytes) -> int:
    """A nameless file in memory that holds the argument: no limit of size, in no process list, on no disk."""
    handle = os.memfd_create("argument", os.MFD_CLOEXEC)
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]
    return handle


def plan_line(plan: Mapping[str, Any] | None) -> bytes:
    """The plan as it stands before the argument: its length in eight digits, then itself. Nothing without one.

    In the form of `marshal` that all versions read: the script's interpreter need import nothing for it.
    """
    if plan is None:
        return b""
    content = marshal.dumps(_plain(plan), 2)
    return b"%08d" % len(content) + content


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def said_pair(plan: Mapping[str, Any] | None, opened: list[int]) -> tuple[socket.socket | None, int | None]:
    """Where a process says how it confined itself: our end, and the handle of its end, also added to `opened`."""
    if plan is None:
        return None, None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    opened.append(theirs.fileno())
    return ours, theirs.detach()


def boot_environment(sdk_last: bool, *handles: int) -> dict[str, str]:
    """What `boot/sitecustomize.py` finds and takes away: a fresh start's gate and argument, and where it speaks."""
    sdk = {"FERRIS_PATH_LAST": str(SDK)} if sdk_last else {}
    paths = [str(BOOT)] if sdk_last else [str(BOOT), str(SDK)]
    return {"FERRIS_BOOT": ",".join(map(str, handles)), "PYTHONPATH": os.pathsep.join(paths), **sdk}
