"""Processes that outlive the program that started them, and are ended by exactly the one who can prove it did.

A process is known by its pid, its start time and the boot it belongs to: a pid file whose pid went to
another program meanwhile ends nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


class StackError(Exception):
    """Something a person has to mend; the text says what and how."""


@dataclass(frozen=True)
class Account:
    """The ordinary user that servers run as."""

    name: str
    uid: int
    gid: int

    def own(self, path: Path, mode: int = 0o700) -> Path:
        """Make a folder that belongs to the account."""
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        if os.getuid() == 0:
            os.chown(path, self.uid, self.gid)
        return path

    def write(self, path: Path, text: str) -> Path:
        """Write a file that only the account reads: it may hold a password."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        if os.getuid() == 0:
            os.chown(path, self.uid, self.gid)
        return path

    def options(self) -> dict[str, object]:
        """Arguments of subprocess that make a child run as the account."""
        if os.getuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def account() -> Account:
    """Who the servers run as: this user or, for root, FERRIS_STACK_USER (`ferris`; made when missing)."""
    if os.getuid() != 0:
        entry = pwd.getpwuid(os.getuid())
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    name = os.environ.get("FERRIS_STACK_USER") or "ferris"
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        made = subprocess.run(
            ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
             "--shell", "/usr/sbin/nologin", name],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise StackError(
                f"the account {name} cannot be made ({made.stderr.strip()}): make it, or name another in "
                "FERRIS_STACK_USER"
            ) from None
        entry = pwd.getpwnam(name)
    if entry.pw_uid == 0:
        raise StackError("FERRIS_STACK_USER must not be root: PostgreSQL and Elasticsearch refuse it")
    return Account(name, entry.pw_uid, entry.pw_gid)


@dataclass(frozen=True)
class Command:
    """How a process is started and told to end."""

    argv: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path("/")
    stop: signal.Signals = signal.SIGTERM
    fifo: Path | None = None  # becomes its standard input, and never ends
    first_input: bytes = b""


@dataclass(frozen=True)
class Running:
    """A process that was started here."""

    pid: int
    ticks: int  # start time, /proc/<pid>/stat field 22
    boot: str
    stop: int

    @property
    def alive(self) -> bool:
        return self.boot == _boot() and _ticks(self.pid) == self.ticks

    def end(self, seconds: float) -> None:
        """Ask it to end, wait, then insist; its whole session goes with it."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, self.stop)
            deadline = time.monotonic() + seconds
            while self.alive and time.monotonic() < deadline:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(self.pid, os.WNOHANG)
                time.sleep(0.05)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


def start(command: Command, who: Account, log: Path) -> Running:
    """Start it in a session of its own, detached from this program, its output appended to `log`."""
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(command.folder)}
    stdin: int = subprocess.DEVNULL
    if command.fifo:
        stdin = _endless(command.fifo, command.first_input, who)
    with log.open("ab") as out:
        child = subprocess.Popen(
            [str(part) for part in command.argv],
            stdin=stdin, stdout=out, stderr=subprocess.STDOUT, cwd=command.folder,
            env=environment | dict(command.env), start_new_session=True, umask=0o077, **who.options(),
        )  # fmt: skip
    if stdin >= 0:
        os.close(stdin)
    ticks = _ticks(child.pid)
    if ticks is None:
        raise StackError(f"{command.argv[0]} ended at once: see {log}")
    return Running(child.pid, ticks, _boot(), int(command.stop))


def _endless(fifo: Path, first: bytes, who: Account) -> int:
    """A pipe opened for both reading and writing: its reader holds the other end, so it never sees the end."""
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo, 0o600)
    if os.getuid() == 0:
        os.chown(fifo, who.uid, who.gid)
    fd = os.open(fifo, os.O_RDWR)
    os.write(fd, first)
    return fd


def remember(path: Path, running: Sequence[Running], facts: Mapping[str, object]) -> None:
    """Write the pid file: the processes, and what else `status` wants to know."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"processes": [asdict(one) for one in running], **facts}))
    part.rename(path)


def recall(path: Path) -> tuple[list[Running], dict[str, object]]:
    """What `remember` wrote; nothing when there is no such file."""
    try:
        facts = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return [], {}
    return [Running(**one) for one in facts.pop("processes")], facts


def _ticks(pid: int) -> int | None:
    """A process's start time, None when there is none (a zombie is none)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if stat[0] in ("Z", "X") else int(stat[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
