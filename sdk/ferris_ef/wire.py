"""The way to the executor: JSON lines over the Unix socket that FERRIS_CHANNEL names.

`tell` says something and goes on; `call` waits for the answer. One connection per process: a forked child opens its
own, and so does a signal handler that interrupts whoever speaks. The C module `_socket` is used because importing
`socket` takes longer than everything else here.
"""

from __future__ import annotations

import os
from _thread import RLock

from ferris_ef.quickjson import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class PlatformError(RuntimeError):
    """The platform is not there, or refused what was asked."""


class _Wire:
    def __init__(self) -> None:
        self.lock = RLock()  # a signal handler may come to speak in the thread that has it
        self._speaking = 0
        self._pid = 0
        self._socket: Any = None
        self._rest = b""

    def send(self, line: bytes) -> None:
        self._speak(line, False)

    def ask(self, line: bytes) -> bytes:
        return self._speak(line, True)

    def _speak(self, line: bytes, answered: bool) -> bytes:
        with self.lock:
            if self._speaking == os.getpid():  # this thread, before a signal handler interrupted it
                return _Wire()._speak(line, answered)
            self._speaking = os.getpid()
            try:
                connection = self._connected()
                connection.sendall(line)
                return self._answer(connection) if answered else b""
            except BaseException:
                self._drop()
                raise
            finally:
                self._speaking = 0

    def _answer(self, connection: Any) -> bytes:
        parts = [self._rest]
        while b"\n" not in parts[-1]:
            more = connection.recv(262144)
            if not more:
                raise PlatformError("the executor closed the channel; this execution is being ended")
            parts.append(more)
        answer, _, self._rest = b"".join(parts).partition(b"\n")
        return answer

    def _drop(self) -> None:
        """Leave the connection: a signal handler that raises may end a message or the wait for an answer halfway."""
        self._socket = None

    def _connected(self) -> Any:
        if self._socket is not None and self._pid == os.getpid():
            return self._socket
        import _socket

        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.connect(path())
        except OSError as error:
            raise PlatformError(f"the executor cannot be reached: {error}") from None
        self._socket, self._pid, self._rest = connection, os.getpid(), b""
        return connection


def path() -> str:
    """Where the executor listens; PlatformError when this script was not started by one."""
    found = os.environ.get("FERRIS_CHANNEL")
    if not found:
        raise PlatformError(
            "this script does not run on the platform, so there is nobody to ask: "
            "set EF_ENV=local to run it with ef_env.json instead, or use `manage.py run-local`"
        )
    return found


def tell(message: dict[str, Any]) -> None:
    """Say something; it is kept once the script's process has ended, however it ends."""
    _wire.send(dumps(message).encode() + b"\n")


def call(message: dict[str, Any]) -> dict[str, Any]:
    """Ask something; PlatformError with the executor's words when it was refused."""
    answer: dict[str, Any] = loads(_wire.ask(dumps(message).encode() + b"\n").decode())
    if not answer.get("ok"):
        raise PlatformError(str(answer.get("error", "refused")))
    return answer


def http(
    method: str, target: str, query: dict[str, Any] | None = None, body: Any = None, turn: str = ""
) -> tuple[int, Any]:
    """A call of the platform's HTTP API, made by the executor in this execution's name: (status, value).

    With the `turn` "take" it is made when it is this process's turn at the service's state, which "end" ends.
    """
    answer = call(
        {"op": "call", "method": method, "path": target, "query": query, "body": body, "turn": turn}
    )
    return answer["status"], answer.get("value")


def expect(status: int, value: Any, what: str) -> Any:
    """The value of a call that succeeded; PlatformError otherwise."""
    if status >= 400:
        detail = value.get("detail") or value.get("title") if isinstance(value, dict) else value
        raise PlatformError(f"{what} was refused with status {status}: {detail or 'no reason given'}")
    return value


_wire = _Wire()
# A process that is forked while another thread speaks would find the lock taken, by nobody, for ever.
lock = _wire.lock
os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
