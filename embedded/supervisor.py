"""Starts the platform's two processes from one warm parent, keeps them alive, ends everything together.

The parent imports all code once and forks: children start in milliseconds and share its memory. It holds the
listening socket, so that requests wait instead of failing while the web process is replaced.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn

from embedded import process
from ferris import running
from ferris.adapters import log_lines
from ferris.config import Settings
from ferris.errors import ConfigError, FerrisError
from ferris.running import Running

log = logging.getLogger(__name__)

_STOP_SECONDS = 7.0  # beside the time that scripts have
_LAST_SECONDS = 5.0
_IMPATIENT = 1.0  # a second signal that comes later than this is somebody who does not want to wait
_SOON = 1.0  # a process that lived shorter than this is started again only after a pause
_LONGEST_PAUSE = 10.0
_LONGEST_SOCKET = 100  # bytes of a path; sun_path of unix(7) has 108
_WRONG_SETTING = os.EX_CONFIG  # exit status of a child that cannot work with these settings

Main = Callable[[Callable[[], None]], None]


class AlreadyRunning(FerrisError):
    """Another platform has this home."""


@dataclass
class _Child:
    name: str
    main: Main
    once: bool = False
    last: bool = False
    pid: int = 0
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0
    ready: bool = False
    waits_for: tuple[str, ...] = field(default_factory=tuple)


class Supervisor:
    """Runs the named children until SIGTERM or SIGINT."""

    def __init__(self, settings: Settings, on_ready: Callable[[float], None]) -> None:
        self._settings = settings
        self._on_ready = on_ready
        self._children: list[_Child] = []
        self._began = time.monotonic()
        self._announced = False
        self._stopping = False
        self._told_at = 0.0
        self._hurry = False
        self._status = 0
        self._lock = lock_home(settings, serving=True)
        self._bell, self._ringer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ready_in, self._ready_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def add(self, name: str, main: Main, *, once: bool = False, last: bool = False) -> None:
        """A child process: `main(ready)` runs in it. A `once` child starts when the others are ready, and may end. One
        that is `last` ends when the others have: they need it until then."""
        self._children.append(_Child(name, main, once=once, last=last))

    def run(self) -> int:
        """Start and keep everything; the exit status once it has been told to stop."""
        process.adopt_orphans()
        gc.collect()
        gc.freeze()  # what is loaded now stays shared between the processes
        self._listen_for_signals()
        while not self._stopping:
            self._start_due()
            self._wait()
            self._collect()
        self._stop_all()
        return self._status

    def _listen_for_signals(self) -> None:
        signal.set_wakeup_fd(self._ringer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_told)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def _on_told(self, *_: object) -> None:
        now = time.monotonic()
        self._hurry = self._stopping and now - self._told_at > _IMPATIENT
        if not self._stopping:
            self._stopping, self._told_at = True, now

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            due = not child.pid and child.start_at <= now and (self._announced or not child.once)
            if due and not (child.once and child.started):
                self._fork(child)

    def _fork(self, child: _Child) -> None:
        parent = os.getpid()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            self._become(child, parent)
        child.pid, child.started = pid, time.monotonic()

    def _become(self, child: _Child, parent: int) -> NoReturn:
        status = 1
        try:
            process.die_with_parent(parent)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            # The terminal sends Ctrl-C to everybody: the supervisor alone decides what follows from it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            os.close(self._bell)
            os.close(self._ready_in)
            log_lines.speak_as(child.name)
            child.main(lambda: self._tell_ready(child))
            status = 0
        except ConfigError as error:
            sys.stderr.write(f"{error}\n")
            status = _WRONG_SETTING
        except SystemExit as ended:  # it has said why
            status = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            log.exception("%s ended", child.name)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _tell_ready(self, child: _Child) -> None:
        os.write(self._ready_out, bytes([self._children.index(child)]))

    def _wait(self) -> None:
        now = time.monotonic()
        pauses = [c.start_at - now for c in self._children if not c.pid and not c.once and c.start_at > now]
        select.select([self._bell, self._ready_in], [], [], min(pauses) if pauses else None)
        for pipe in (self._bell, self._ready_in):
            try:
                told = os.read(pipe, 4096)
            except BlockingIOError:
                continue
            if pipe == self._ready_in:
                for index in told:
                    self._children[index].ready = True
        if not self._announced and all(c.ready for c in self._children if not c.once):
            self._announced = True
            self._on_ready(time.monotonic() - self._began)

    def _collect(self) -> None:
        ended = process.reap()
        for child in self._children:
            if child.pid in ended:
                self._after(child, ended[child.pid])

    def _after(self, child: _Child, status: int) -> None:
        lived = time.monotonic() - child.started
        child.pid = 0
        if child.once or self._stopping:
            return
        if status == _WRONG_SETTING and not self._announced:
            # It has said what is wrong, and another start would say the same.
            self._stopping, self._status = True, status
            return
        # Scripts of a dead engine are nobody's any more: what they would still do, nobody would record.
        process.end_descendants(keep={c.pid for c in self._children if c.pid})
        child.failures = child.failures + 1 if lived < _SOON else 0
        pause = min(_LONGEST_PAUSE, 0.25 * 2**child.failures) if child.failures else 0.0
        child.start_at = time.monotonic() + pause
        how = f"signal {-status}" if status < 0 else f"status {status}"
        log.error(
            "the %s process ended (%s); it starts again%s",
            child.name,
            how,
            f" in {pause:.1f} s" if pause else "",
        )

    def _stop_all(self) -> None:
        """Scripts finish while the executor waits for them: their leases and reports need the web process."""
        self._stop([c.pid for c in self._children if c.pid and not c.last],
                   self._settings.stop_grace_seconds + _STOP_SECONDS)  # fmt: skip
        self._stop([c.pid for c in self._children if c.pid and c.last], _LAST_SECONDS)
        process.end_descendants(keep=set())
        process.reap()

    def _stop(self, pids: list[int], seconds: float) -> None:
        running = set(pids)
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while running and time.monotonic() < deadline and not self._hurry:
            select.select([self._bell], [], [], max(0.0, deadline - time.monotonic()))
            try:
                os.read(self._bell, 4096)
            except BlockingIOError:
                pass
            ended = set(process.reap())
            running -= ended
            for child in self._children:
                if child.pid in ended:
                    child.pid = 0


def lock_home(settings: Settings, *, serving: bool = False) -> IO[bytes]:
    """Take the home for this platform; the lock ends with the process, however it ends. With `serving` the file tells
    commands where the platform listens. ConfigError when nothing can be written there."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        opened = os.open(settings.home / running.LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigError(
            "FERRIS_HOME",
            f"{settings.home} cannot be written: {error.strerror}",
            "give this user the folder, or choose another",
        ) from error
    lock = os.fdopen(opened, "r+b", buffering=0)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        found = running.read(settings.home)
        who = f"process {found.pid}{found.address and f', {found.address}'}" if found else "process ?"
        raise AlreadyRunning(
            f"a platform is running already with this home ({who}); "
            "stop it first, or set FERRIS_HOME to another folder"
        ) from None
    running.told(
        lock.fileno(),
        Running(os.getpid(), settings.host, settings.port) if serving else Running(os.getpid()),
    )
    return lock


def listen(settings: Settings) -> socket.socket:
    """The web's listening socket; ConfigError when the address is not to be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named, as asyncio sends small answers at once (TCP_NODELAY) only by sockets that are known to be TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        raise ConfigError(
            "FERRIS_PORT",
            f"{settings.host}:{settings.port} cannot be used: {error.strerror}",
            "stop what listens there, or set FERRIS_PORT to a free port",
        ) from error
    listener.listen(1024)
    listener.set_inheritable(True)
    return listener


def ask_at(settings: Settings) -> tuple[socket.socket, str]:
    """The socket at which the engine is asked for its figures, and its path (for this process and its children)."""
    path = str(settings.home / "engine.socket")
    if len(os.fsencode(path)) > _LONGEST_SOCKET:  # the same file by a short name, which Linux offers
        path = f"/proc/self/fd/{os.open(settings.home, os.O_RDONLY)}/engine.socket"
    Path(path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)  # nobody else's to ask
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(16)
    return listener, path
