"""The socket through which a script's helper library speaks to the executor: JSON lines, see `Channel`."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from tasks.loop import Loop
from tasks.turns import Turnstile

LONGEST_MESSAGE: Final = 24 * 1024 * 1024
MOST_CONNECTIONS: Final = 256
"""Of one execution; a connection is one process of it."""
_ONE_WAY: Final = ("event", "log", "table", "progress", "artifact")
_READ: Final = 256 * 1024
_EXHAUSTED_PAUSE: Final = 0.05
_LAST_WORDS: Final = 0.5

Call = Callable[[dict[str, Any], Callable[[dict[str, Any]], None]], None]


class Channel:
    """Listens at `path` for one execution, inside its loop.

    One-way messages go to `tell` in the order they were read; calls (`op` is "call" or "object.*") go to `call`
    with a function that takes the answer, from any thread. Answers keep the order of the calls of a connection,
    because it is not read further until the answer is out.

    A call with `turn` "take" waits for the connection's turn at the `turnstile`, which ends with the answer to a call
    with `turn` "end", with the message `turn.end`, with the connection, or when others have waited for too long.
    """

    def __init__(
        self, path: str, loop: Loop, tell: Callable[[dict[str, Any]], None], call: Call, turnstile: Turnstile
    ) -> None:
        self._loop, self._tell, self._call, self._turnstile = loop, tell, call, turnstile
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._listener.bind(path)
        self._listener.listen(256)
        self._connections: set[_Connection] = set()
        loop.add(self._listener.fileno(), self._accept)

    def drain(self) -> None:
        """Read to the end what processes that have ended still sent. Whoever lives on is cut off soon."""
        deadline = time.monotonic() + _LAST_WORDS
        self._accept()
        while self._connections and (left := deadline - time.monotonic()) > 0:
            self._loop.turn(left)
        for connection in list(self._connections):
            connection.close()

    def close(self) -> None:
        """Take nothing more."""
        for connection in list(self._connections):
            connection.close()
        self._loop.remove(self._listener.fileno())
        self._listener.close()
        os.unlink(self.path)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:  # no descriptor is left; the peer waits in the queue
                time.sleep(_EXHAUSTED_PAUSE)
                return
            if len(self._connections) >= MOST_CONNECTIONS:
                peer.close()
                continue
            peer.setblocking(False)
            self._connections.add(
                _Connection(
                    peer, self._loop, self._tell, self._call, self._turnstile, self._connections.discard
                )
            )


class _Connection:
    """One process of the script."""

    def __init__(
        self,
        peer: socket.socket,
        loop: Loop,
        tell: Callable[[dict[str, Any]], None],
        call: Call,
        turnstile: Turnstile,
        gone: Callable[[_Connection], None],
    ) -> None:
        self._peer, self._loop, self._tell, self._call, self._gone = peer, loop, tell, call, gone
        self._turnstile = turnstile
        self._rest = bytearray()
        self._waiting = False  # for an answer: nothing is read meanwhile
        self._open = True
        loop.add(peer.fileno(), self._read)

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        if not self._waiting:
            self._loop.remove(self._peer.fileno())
        self._peer.close()
        self._turnstile.end(self)
        self._gone(self)

    def _read(self) -> None:
        try:
            content = self._peer.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if not content:
            self.close()
            return
        self._rest += content
        self._handle()

    def _handle(self) -> None:
        while self._open and not self._waiting:
            end = self._rest.find(b"\n")
            if end < 0:
                if len(self._rest) > LONGEST_MESSAGE:
                    self._tell({"op": "bad", "problem": f"a message is longer than {LONGEST_MESSAGE} bytes"})
                    self.close()
                return
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            try:
                message = json.loads(line)
                if not isinstance(message, dict):
                    raise ValueError("no object")
            except (ValueError, RecursionError) as error:
                self._tell({"op": "bad", "problem": f"a message is no JSON object: {error}"})
                continue
            if message.get("op") in _ONE_WAY:
                self._tell(message)
            elif message.get("op") == "turn.end":
                self._turnstile.end(self)
            else:
                self._ask(message)

    def _ask(self, message: dict[str, Any]) -> None:
        self._waiting = True
        self._loop.remove(self._peer.fileno())
        if message.get("turn") != "take":
            self._forward(message)
        elif not self._turnstile.ask(self, lambda: self._forward(message)):
            self._loop.after(self._turnstile.patience, self._turnstile.look)

    def _forward(self, message: dict[str, Any]) -> None:
        def answered(answer: dict[str, Any]) -> None:
            if message.get("turn") == "end":
                self._turnstile.end(self)  # here, so that the next does not wait until the script hears of it
            self._loop.post(lambda: self._answer(answer))

        self._call(message, answered)

    def _answer(self, answer: dict[str, Any]) -> None:
        if not self._open:
            return
        try:
            # The peer waits for this answer, so it reads; an answer larger than the socket's buffer needs a moment.
            self._peer.settimeout(5.0)
            self._peer.sendall(json.dumps(answer).encode() + b"\n")
            self._peer.setblocking(False)
        except OSError:
            self.close()
            return
        self._waiting = False
        self._loop.add(self._peer.fileno(), self._read)
        self._handle()
