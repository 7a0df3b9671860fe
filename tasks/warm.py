"""The fork servers of an executor: warm interpreters, one per Python, whose children become scripts.

The other side is `boot/_ferris_warm.py`, which says how a child becomes what `python script.py` would be. What
cannot be served so is started freshly, and nobody waits: also while a server comes up, or when one has died.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from tasks.runner import (
    SDK,
    ColdRunner,
    Command,
    GatedProcess,
    Process,
    Usage,
    boot_environment,
    file_in_memory,
    nothing,
    pipe,
    plan_line,
    said_pair,
    spawn,
)

log = logging.getLogger(__name__)

IDLE: Final = 3600
"""Seconds after which a server ends that nobody asks; that of `prepare` stays."""
MOST_SERVERS: Final = 8
MOST_FORKS: Final = 5000
"""Children of one server: they share its hash seed and memory layout, which should change now and then."""
ROOM: Final = 16 * 1024
"""Bytes for a script's environment, where the process list shows it from."""
LONGEST_PATH: Final = 500
_PATIENCE: Final = 10.0
_AGAIN: Final = 600.0

# Variables that Python or its libraries look at while the interpreter comes up.
_AT_START: Final = ("PYTHON", "LC_", "LD_", "MALLOC_", "GLIBC_", "OPENSSL_", "SSL_", "EF_ENV")
# Not HOME and TMPDIR, of which each script may have its own: an environment looks into neither while it comes up.
_AT_START_TOO: Final = frozenset(
    ("PATH", "LANG", "LANGUAGE", "TZ", "FERRIS_WARM_IMPORTS", "FERRIS_WARM_PATH")
)

_Key = tuple[str, bool, tuple[tuple[str, str], ...]]


class WarmRunner:
    """Forks where that is the same as a fresh start; starts freshly otherwise."""

    def __init__(self) -> None:
        self._cold = ColdRunner()
        self._lock = threading.Lock()
        self._servers: dict[_Key, _Server] = {}  # the last used one last
        self._retired: list[_Server] = []
        self._refused: dict[_Key, float] = {}
        self._told: set[str] = set()
        self._closed = False

    def start(self, command: Command, meanwhile: Callable[[], None] = nothing) -> Process:
        """See Runner."""
        server = self._server(_key(command.started, command.sdk_last, command.environment), IDLE)
        if server is not None and server.suits(command):
            try:
                return server.start(command, meanwhile)
            except OSError as error:
                self._drop(server, f"its fork server failed ({error or type(error).__name__})")
        return self._cold.start(command, meanwhile)

    def prepare(self, python: str, environment: Mapping[str, str]) -> None:
        """Begin to bring up a server that stays."""
        self._server(_key(python, False, environment), 0)

    def warm(self, command: Command) -> bool:
        """True when scripts of this command's environment are forked by now."""
        return self._server(_key(command.started, command.sdk_last, command.environment), IDLE) is not None

    def close(self) -> None:
        """End all servers."""
        with self._lock:
            self._closed = True
            servers = [*self._servers.values(), *self._retired]
            self._servers.clear()
            self._retired.clear()
        for server in servers:
            server.end()

    def _server(self, key: _Key, idle: int) -> _Server | None:
        """A server that is ready and up to date; if there is none, one is being started or there will be none."""
        with self._lock:
            self._sweep()
            server = self._servers.pop(key, None)
            if server is None:
                self._begin(key, idle)
                return None
            self._servers[key] = server
            state = server.look()
            if state == "ready" and (server.forks >= MOST_FORKS or server.outdated()):
                self._retire(server)
                self._begin(key, server.idle)
            elif state == "refused":
                self._retire(server)
                self._refused[key] = time.monotonic() + _AGAIN
                self._tell(key, server.why)
            elif state == "ready":
                return server
            return None

    def _begin(self, key: _Key, idle: int) -> None:
        if self._closed or time.monotonic() < self._refused.get(key, 0.0):
            return
        if len(self._servers) >= MOST_SERVERS:
            oldest = next((one for one in self._servers.values() if one.idle), None)
            if oldest is not None:
                self._retire(oldest)
        try:
            self._servers[key] = _Server(key, idle)
        except OSError as error:
            self._refused[key] = time.monotonic() + _AGAIN
            self._tell(key, f"its fork server cannot be started ({error})")

    def _drop(self, server: _Server, why: str) -> None:
        """It has died, as after its time without work, or it does not answer: the next script asks for another."""
        with self._lock:
            if self._servers.get(server.key) is server:
                self._retire(server)
                if not server.gone:
                    self._tell(server.key, why)
                self._begin(server.key, server.idle)

    def _retire(self, server: _Server) -> None:
        """It ends when its children have ended."""
        self._servers.pop(server.key, None)
        server.retire()
        self._retired.append(server)

    def _sweep(self) -> None:
        for server in [one for one in self._retired if one.gone]:
            self._retired.remove(server)
            server.end()

    def _tell(self, key: _Key, why: str) -> None:
        if key[0] not in self._told:
            self._told.add(key[0])
            log.warning("scripts of %s are started without a warm interpreter: %s", key[0], why)


def refusal(python: str, environment: Mapping[str, str]) -> str:
    """Why scripts of this interpreter are started freshly; nothing when they are forked. Brings up a server to see."""
    server = _Server(_key(python, False, environment), IDLE)
    try:
        deadline = time.monotonic() + _PATIENCE
        while server.look() == "coming":
            left = deadline - time.monotonic()
            if left <= 0:
                return f"its fork server did not come up within {_PATIENCE:g} s"
            server.wait(left)
        return server.why
    finally:
        server.end()


class _Server:
    """One fork server, as seen from here. `look`, `retire` and `end` are called under the runner's lock."""

    def __init__(self, key: _Key, idle: int) -> None:
        python, sdk_last, environment = key
        self.key, self.idle = key, idle
        self.forks = 0
        self.why = ""
        self._state = "coming"
        self._modules: frozenset[str] = frozenset()
        self._stamps: dict[str, list[int]] = {}
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(_PATIENCE)
        try:
            with theirs:
                self._process = spawn(
                    [python, f"ferris-{secrets.token_hex(16)}".ljust(LONGEST_PATH + 10, "-")],
                    Path("/"),
                    {
                        **dict(environment),
                        **boot_environment(sdk_last, theirs.fileno(), idle),
                        "FERRIS_ROOM": "-" * ROOM,
                        "LD_BIND_NOW": "1",  # else each child looks for the C functions that it is the first to call
                    },
                    (theirs.fileno(),),
                    None,
                )
        except BaseException:
            self._control.close()
            raise

    def look(self) -> str:
        """coming, ready or refused."""
        if self._state == "coming":
            if not _readable(self._control.fileno()):
                return self._state
            try:
                said = self._control.recv(1 << 20)
            except OSError:
                said = b""
            self._hear(said)
        return self._state

    def wait(self, seconds: float) -> None:
        """Until there is something to look at, or these seconds are over."""
        _readable(self._control.fileno(), seconds)

    def _hear(self, said: bytes) -> None:
        words = (_read(self._process.stdout) + _read(self._process.stderr)).decode(errors="replace").strip()
        found: dict[str, Any] = json.loads(said) if said else {"refused": "it ended while it came up"}
        if "refused" not in found and words:
            found = {"refused": "it prints when Python starts"}
        if "refused" in found:
            self._state = "refused"
            self.why = found["refused"] + (f": {words.splitlines()[-1][:200]}" if words else "")
        else:
            self._state = "ready"
            self._modules = frozenset(found["modules"])
            self._stamps = found["stamps"]

    def outdated(self) -> bool:
        """True when the environment or the helper library has changed since it came up."""
        try:
            return any(
                [(found := os.stat(path)).st_ino, found.st_mtime_ns] != stamp
                for path, stamp in self._stamps.items()
            )
        except OSError:
            return True

    def suits(self, command: Command) -> bool:
        """False if a child would not be what a fresh start is, or there is no room for what it is told."""
        script = os.path.join(command.folder, command.script)
        if len(os.path.join(_real(command.folder), command.script)) > LONGEST_PATH:
            return False
        environment = command.environment
        size = len(os.fsencode("".join((*environment, *environment.values())))) + 2 * len(environment)
        if size > ROOM - 256:
            return False
        try:
            # A file beside the script that has a module's name is imported in its place, if it is not there yet.
            beside = os.listdir(os.path.dirname(script))
        except OSError:
            return False
        return not any(name.partition(".")[0] in self._modules for name in beside)

    def start(self, command: Command, meanwhile: Callable[[], None] = nothing) -> WarmProcess:
        """Have a child forked for the command. OSError when that failed; no user code runs then."""
        self.forks += 1
        ours: list[int] = []
        theirs: list[int] = []
        said = None
        report, their_report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        report.settimeout(_PATIENCE)
        try:
            try:
                for index in range(3):  # standard output, standard error, gate
                    read, write = pipe([])
                    ours.append(write if index == 2 else read)
                    theirs.append(read if index == 2 else write)
                theirs.append(file_in_memory(_order(command)))
                said, _ = said_pair(command.plan, theirs)
                inside = [] if command.inside is None else [command.inside]
                word = b"inside" if inside else b"start"
                handles = [*theirs, *inside, their_report.fileno()]
                socket.send_fds(self._control, [word], handles, socket.MSG_NOSIGNAL)
            finally:
                for handle in theirs:
                    os.close(handle)
                their_report.close()
            meanwhile()
            answer = report.recv(64)
            if answer.startswith(b"!"):
                raise OSError(int(answer[1:]), os.strerror(int(answer[1:])))
            if not answer:
                raise ConnectionResetError("it has gone")
            pid = int(answer)
            ours.append(os.pidfd_open(pid))
            if self.gone:  # only while the server lives is the number surely its child's
                raise ConnectionResetError("it has gone")
        except BaseException:
            for handle in ours:
                os.close(handle)
            report.close()
            if said is not None:
                said.close()
            raise
        for handle in ours[:2]:
            os.set_blocking(handle, False)
        process = WarmProcess(pid, ours[3], ours[0], ours[1], ours[2], report)
        process.said = said
        return process

    def retire(self) -> None:
        """Ask nothing more of it."""
        self._control.close()

    @property
    def gone(self) -> bool:
        """True when it has ended."""
        return _readable(self._process.ended)

    def end(self) -> None:
        """Kill it and give everything back."""
        self._control.close()
        self._process.close()


class WarmProcess(GatedProcess):
    """A child of a fork server, which keeps it from being reaped until it is asked for the status."""

    def __init__(
        self, pid: int, ended: int, stdout: int, stderr: int, release: int, report: socket.socket
    ) -> None:
        super().__init__(pid, ended, stdout, stderr, release)
        self._report = report

    def signal(self, number: signal.Signals) -> None:
        if self._reaped:
            return
        try:
            # Fails when it was reaped by others because its server died: then the group may be another's.
            signal.pidfd_send_signal(self.ended, 0)
            os.killpg(self.pid, number)
        except ProcessLookupError:
            # Just forked, it may have no group yet; and no children.
            try:
                signal.pidfd_send_signal(self.ended, number)
            except ProcessLookupError:
                pass
        except PermissionError:
            pass

    def close(self) -> None:
        super().close()
        self._report.close()

    def _status(self) -> int | None:
        try:
            self._report.send(b"status", socket.MSG_NOSIGNAL)
            answer = self._report.recv(128)
        except OSError:
            return None
        if not answer:
            return None
        status, memory, user, system = answer.split()
        self.usage = Usage.of(float(memory), float(user), float(system))
        return int(status)


def _key(python: str, sdk_last: bool, environment: Mapping[str, str]) -> _Key:
    seen = (
        (name, value)
        for name, value in environment.items()
        if name in _AT_START_TOO or name.startswith(_AT_START)
    )
    return python, sdk_last, tuple(sorted(seen))


def _real(folder: Path) -> str:
    parent, name = os.path.split(folder)
    return os.path.realpath(folder) if os.path.islink(folder) else os.path.join(_real_parent(parent), name)


@lru_cache(maxsize=64)
def _real_parent(folder: str) -> str:
    return os.path.realpath(folder)


def _order(command: Command) -> bytes:
    environment = dict(command.environment)
    if not command.sdk_last:
        environment["PYTHONPATH"] = str(SDK)
    variables = [f"{name}={value}" for name, value in environment.items()]
    return (
        os.fsencode("\0".join([str(command.folder), command.script, command.python, *variables]))
        + b"\0\0"
        + plan_line(command.plan)
        + command.argument
    )


def _readable(handle: int, seconds: float = 0.0) -> bool:
    waiting = select.poll()  # unlike select, it knows no highest number of a descriptor
    waiting.register(handle, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 65536)
    except BlockingIOError:
        return b""
