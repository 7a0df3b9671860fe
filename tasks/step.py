"""Watches one process from its start to its end: output, calls, timeout, cancel."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from tasks.channel import Channel
from tasks.ending import Ending
from tasks.lease import TIMEOUT, Lease
from tasks.loop import Loop
from tasks.mask import Masker
from tasks.output import Levels, Lines
from tasks.runner import Process, Usage

_READ: Final = 64 * 1024
LAST_WORDS: Final = 0.2

Say = Callable[[str, str, str], None]
"""Takes (stream, level, line)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a process ended. `stopped`: why the executor ended it (timeout, cancelled, fenced, ...), or None.

    Without exit code and signal nobody knows how.
    """

    exit_code: int | None
    signal: str | None
    stopped: str | None
    seconds: float
    usage: Usage | None = None
    output: int = 0
    refused: str | None = None
    """The layer of isolation that could not be put on, and why: no code of the user ran."""

    @property
    def ok(self) -> bool:
        return self.exit_code == 0 and self.stopped is None and self.refused is None

    def used(self, peak: int | None) -> dict[str, Any]:
        """What it used, for a report; `peak`: memory of the whole execution, where a control group measures that."""
        usage = self.usage
        return {
            "memory_bytes": peak if peak is not None else usage.memory if usage else None,
            "memory_of": "execution" if peak is not None else "largest process",
            "cpu_ms": round(usage.cpu_seconds * 1000) if usage else None,
            "output_bytes": self.output,
        }

    def __str__(self) -> str:
        if self.signal is not None:
            return f"was ended by {self.signal}"
        if self.exit_code is None:
            return "has ended, but its exit status is lost: the process that had started it was killed"
        return f"ended with exit status {self.exit_code}"


class Watch:
    """Reads what a process prints and waits for its end. Use it with `with`: the process ends with it."""

    def __init__(
        self,
        process: Process,
        loop: Loop,
        lease: Lease,
        masker: Masker,
        say: Say,
        grace: float,
        adopt: Callable[[int], None] | None = None,
    ) -> None:
        self._adopt = adopt
        self._output = 0
        self._refused: str | None = None
        self._confined = process.said is None  # there is nothing to be done
        self._process, self._loop, self._lease, self._grace = process, loop, lease, grace
        self._ended = False
        self._closed = False
        self._ending: Ending | None = None
        self._why: str | None = None
        self._began = time.monotonic()
        self._pipes: dict[int, Lines] = {}
        for handle, stream, level in (
            (process.stdout, "stdout", "info"),
            (process.stderr, "stderr", "warning"),
        ):
            self._watch(handle, stream, Levels(level), masker, say)
        loop.add(process.ended, self._on_ended)
        if process.said is not None:
            loop.add(process.said.fileno(), self._on_said)

    def release(self) -> None:
        """Let user code run; the time of the step counts from here."""
        self._began = time.monotonic()
        self._process.release()

    def stop(self, why: str) -> None:
        """End it, with everything that it started."""
        if self._ending is None:
            self._why = why
            self._ending = Ending(self._process, self._grace)

    def until_end(self, deadline: float | None, channel: Channel | None = None) -> Outcome:
        """Wait for the end, ending it at `deadline` (monotonic) or when its lease is stopped or lost."""
        while not self._ended:
            self._lease.check()
            if self._lease.why is not None:
                self.stop(self._lease.why)
            elif deadline is not None and time.monotonic() >= deadline:
                self.stop(TIMEOUT)
            if self._ending is not None:
                self._ending.go_on()
            self._loop.turn(self._pause(deadline))
        seconds = time.monotonic() - self._began
        if self._ending is not None:
            self._ending.kill()
        status = self._process.reap()
        self._read_to_the_end()
        self._judge()
        if channel is not None:
            channel.drain()
        self._close()
        code, name = (status, None) if status is None or status >= 0 else (None, signal.Signals(-status).name)
        return Outcome(code, name, self._why, seconds, self._process.usage, self._output, self._refused)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whatever went wrong meanwhile: no process is left, and nothing is open."""
        if not self._closed:
            self._process.signal(signal.SIGKILL)
            self._close()

    def _pause(self, deadline: float | None) -> float:
        if self._ending is not None:
            return 60.0 if self._ending.left is None else self._ending.left
        left = self._lease.left
        return max(0.0, left if deadline is None else min(left, deadline - time.monotonic()))

    def _watch(self, handle: int, stream: str, levels: Levels, masker: Masker, say: Say) -> None:
        lines = Lines(masker, lambda line: say(stream, levels.of(line), line), self._loop.after)
        self._pipes[handle] = lines
        self._loop.add(handle, lambda: self._read(handle))

    def _read(self, handle: int) -> None:
        try:
            content = os.read(handle, _READ)
        except BlockingIOError:
            return
        if content:
            self._output += len(content)
            self._pipes[handle].feed(content)
        else:
            self._finish(handle)

    def _finish(self, handle: int) -> None:
        self._pipes.pop(handle).finish()
        self._loop.remove(handle)

    def _on_said(self) -> None:
        """What the process says about its isolation; it closes its end, or ends, when all is said."""
        said = self._process.said
        if said is None:
            return
        try:
            text, handles, _, _ = socket.recv_fds(said, 4096, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            text, handles = b"", []
        for handle in handles:
            if self._adopt is None:
                os.close(handle)
            else:
                self._adopt(handle)
        if not text:
            self._loop.remove(said.fileno())
            said.close()
            self._process.said = None
        elif text == b"done":
            self._confined = True
        elif text != b"relay":
            self._refused = " ".join(text.decode(errors="replace").replace("\n", ": ", 1).split())

    def _judge(self) -> None:
        """What has never said that it is confined was not, whatever it did instead."""
        while not self._confined and self._process.said is not None and _readable(self._process.said):
            self._on_said()
        if not self._confined and self._refused is None and self._why is None:
            self._refused = "it never said that it was confined"

    def _on_ended(self) -> None:
        self._ended = True
        self._loop.remove(self._process.ended)  # it stays readable

    def _read_to_the_end(self) -> None:
        """What is in the pipes already, and until they close; not for ever, a daemon may hold them open."""
        deadline = time.monotonic() + LAST_WORDS
        while (self._pipes or self._process.said is not None) and (left := deadline - time.monotonic()) > 0:
            self._loop.turn(left)

    def _close(self) -> None:
        self._closed = True
        if not self._ended:
            self._loop.remove(self._process.ended)
        if self._process.said is not None:
            self._loop.remove(self._process.said.fileno())
        for handle in list(self._pipes):
            self._finish(handle)
        self._process.close()


def _readable(waited: socket.socket) -> bool:
    poll = select.poll()
    poll.register(waited, select.POLLIN)
    return bool(poll.poll(0))
