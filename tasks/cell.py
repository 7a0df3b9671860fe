"""What one attempt has of the machine for itself: a temporary folder, perhaps a user and control groups.

A cell outlives its scripts: who they left running is known by its user and its groups, and is ended before another
attempt can be given the same.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import pwd
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tasks.nursery import Namespace

log = logging.getLogger(__name__)

_READ: Final = 64 * 1024
_PATIENCE: Final = 10.0  # seconds: a machine at its limits takes a while to bury who was killed
_LOOK_AGAIN_MS: Final = 50


class Users:
    """User ids that scripts of this machine may have, one each. Several workers share them.

    An id belongs to the process that has bound an abstract socket of its name: the kernel gives it back whenever
    that process ends, however.
    """

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last
        self._lock = threading.Lock()
        self._free: list[int] = []
        self._held: dict[int, socket.socket] = {}
        self._next = first

    def take(self) -> int | None:
        """An id that nobody else has; None when there is none left."""
        with self._lock:
            if self._free:
                return self._free.pop()
            while self._next <= self._last:
                uid, self._next = self._next, self._next + 1
                if _unknown(uid) and self._hold(uid):
                    end_user(uid)  # a worker that was killed may have left something of it
                    return uid
        return None

    def give_back(self, uid: int) -> None:
        """Nothing of this user is left."""
        with self._lock:
            self._free.append(uid)

    def close(self) -> None:
        """Give all back."""
        with self._lock:
            for one in self._held.values():
                one.close()
            self._held.clear()
            self._free.clear()

    def _hold(self, uid: int) -> bool:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0ferris-script-user-{uid}")
        except OSError:
            claim.close()
            return False
        self._held[uid] = claim
        return True


def _unknown(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return True
    return False


@dataclass(slots=True)
class Groups:
    """The control groups of one attempt, made for it."""

    pids: str | None = None
    memory: str | None = None
    v1: bool = False

    @property
    def folders(self) -> list[str]:
        """Their folders, each once: with version 2 it is one for all controllers."""
        return list(dict.fromkeys(one for one in (self.pids, self.memory) if one))

    def peak(self) -> int | None:
        """Most bytes that were in use at once, since `forget_peak` where the kernel can forget it."""
        if self.memory is None:
            return None
        for name in ("memory.max_usage_in_bytes",) if self.v1 else ("memory.peak",):
            with contextlib.suppress(OSError, ValueError):
                return int(Path(self.memory, name).read_text())
        return None

    def forget_peak(self) -> None:
        """Begin to measure anew, for the next step."""
        if self.memory is not None and self.v1:
            with contextlib.suppress(OSError):
                Path(self.memory, "memory.max_usage_in_bytes").write_text("0")

    def kills(self) -> int:
        """How often the kernel killed in it because memory ran out."""
        if self.memory is None:
            return 0
        try:
            text = Path(self.memory, "memory.oom_control" if self.v1 else "memory.events").read_text()
        except OSError:
            return 0
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill "))

    def processes(self) -> Iterator[int]:
        """Who is in them."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                yield from map(int, content_of(f"{folder}/cgroup.procs").split())

    def remove(self) -> None:
        """Take them away; nobody is in them any more."""
        for folder in self.folders:
            try:
                os.rmdir(folder)
            except OSError as error:
                log.warning("the control group %s stays: %s", folder, error)


@dataclass(slots=True)
class Cell:
    """See above. `folder` is that of its package, `temporary` the TMPDIR of its scripts."""

    channel: str
    folder: Path
    temporary: Path
    artifacts: Path
    uid: int | None = None
    groups: Groups = field(default_factory=Groups)
    namespace: Namespace | None = None

    @property
    def inside(self) -> int | None:
        """The PID namespace in which its scripts are made."""
        return self.namespace.handle if self.namespace is not None else None

    @property
    def folders(self) -> tuple[Path, ...]:
        """What its scripts may write."""
        return self.folder, self.temporary, self.artifacts

    def own(self, *paths: Path) -> None:
        """Have these belong to its user."""
        if self.uid is not None:
            for path in paths:
                _give(path, self.uid, self.uid)

    def disown(self, path: Path) -> None:
        """Have this belong to the worker again; none of the cell's processes runs."""
        if self.uid is not None:
            _give(path, os.geteuid(), os.getegid())

    def end_processes(self, *, for_good: bool = True) -> None:
        """Kill who is left of its user and its groups, until a look finds nobody. Unless it is `for_good`, others may
        be made in its namespace later."""

        def left() -> set[int]:
            return {*self.groups.processes(), *(_processes_of(self.uid) if self.uid is not None else ())}

        if self.namespace is not None and for_good:
            self.namespace.end()
        if not _end(left):
            log.error("processes of %s do not end", self.folder.name)


def _give(path: Path, uid: int, gid: int) -> None:
    os.chown(path, uid, gid, follow_symlinks=False)
    for parent, folders, files in os.walk(path):
        for name in itertools.chain(folders, files):
            os.chown(os.path.join(parent, name), uid, gid, follow_symlinks=False)


def end_user(uid: int) -> bool:
    """Kill all processes of a user; False when some stay."""
    return _end(lambda: set(_processes_of(uid)))


def group_name(number: str) -> str:
    """The name of a control group of this worker."""
    return f"ferris-{socket.gethostname()}-{os.getpid()}-{number}"


def sweep_groups(folder: str) -> None:
    """Take away the groups of this machine's workers that are gone, with who is left in them."""
    mine = f"ferris-{socket.gethostname()}-"
    for path in Path(folder).glob(f"{mine}*-*"):
        worker = path.name.removeprefix(mine).partition("-")[0]
        if worker.isdecimal() and not os.path.exists(f"/proc/{worker}"):
            groups = Groups(pids=str(path))
            if _end(lambda groups=groups: set(groups.processes())):  # type: ignore[misc]
                groups.remove()


def _end(left: Callable[[], set[int]]) -> bool:
    """Kill all of them until none is left; False when some stay after `_PATIENCE`."""
    until = time.monotonic() + _PATIENCE
    while found := left():
        if time.monotonic() > until:
            return False
        handles = [handle for pid in found if (handle := _kill(pid, left)) is not None]
        try:
            _wait_for_one(handles)
        finally:
            for handle in handles:
                os.close(handle)
    return True


def _kill(pid: int, left: Callable[[], set[int]]) -> int | None:
    """Its handle, which tells when it has ended; None where there is no such process any more."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        if pid in left():  # before it was opened the number may have become another's
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        pass
    return handle


def _wait_for_one(handles: list[int]) -> None:
    """Until one of these has ended. Not long, as others may be made meanwhile by those that have not."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    poll.poll(_LOOK_AGAIN_MS)


def make_groups(found: Mapping[str, Mapping[str, Any]], name: str, limits: Mapping[str, int]) -> Groups:
    """Control groups with limits of `pids` and `memory`, of those that `found` says can be made. OSError."""
    groups = Groups()
    for controller, most in limits.items():
        here = found[f"cgroup_{controller}"]
        folder = f"{here['folder']}/{name}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
        v1 = bool(here["v1"])
        file = "pids.max" if controller == "pids" else "memory.limit_in_bytes" if v1 else "memory.max"
        _write(f"{folder}/{file}", str(most) if most else "-1" if file.endswith("bytes") else "max")
        if controller == "memory":
            with contextlib.suppress(OSError):  # no swapping instead; not every kernel counts swap
                swap, limit = ("memory.memsw.limit_in_bytes", str(most)) if v1 else ("memory.swap.max", "0")
                if most:
                    _write(f"{folder}/{swap}", limit)
        setattr(groups, controller, folder)
        groups.v1 = v1
    return groups


def content_of(path: str) -> bytes:
    """The whole of a file in /proc or of control groups, in as few system calls as can be. OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = b""
        while part := os.read(handle, _READ):
            content += part
        return content
    finally:
        os.close(handle)


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)


def _processes_of(uid: int) -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdecimal() and _user_of(int(name)) == uid:
            yield int(name)


def _user_of(pid: int) -> int | None:
    """The real user of a process that still runs."""
    try:
        with open(f"/proc/{pid}/status") as file:
            said = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
    except OSError:
        return None
    return None if said["State"].strip()[:1] in "ZX" else int(said["Uid"].split()[0])
