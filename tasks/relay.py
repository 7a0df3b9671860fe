"""A port on 127.0.0.1 for each execution: published client libraries speak HTTP to it, it adds the token."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from http.server import BaseHTTPRequestHandler
from typing import Final

from ferris.errors import FerrisError
from tasks.calls import CallRefused, Calls
from tasks.loop import Loop

HOST: Final = "127.0.0.1"
LARGEST_BODY: Final = 4 * 1024 * 1024
MOST_REQUESTS: Final = 64
"""Under way at once for one execution."""
_PATIENCE: Final = 10.0
_EXHAUSTED_PAUSE: Final = 0.05
_RETURNED: Final = ("content-type", "x-consul-index", "x-consul-knownleader", "x-consul-lastcontact")


class Relay:
    """Listens inside an execution's loop; each request is answered by a thread of `pool`."""

    def __init__(self, loop: Loop, pool: Pool, calls: Calls) -> None:
        self._loop, self._pool, self._calls = loop, pool, calls
        self._slots = threading.BoundedSemaphore(MOST_REQUESTS)
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._listener.bind((HOST, 0))
        self._listener.listen(64)
        self.port: int = self._listener.getsockname()[1]
        self._adopted: list[socket.socket] = []
        loop.add(self._listener.fileno(), lambda: self._accept(self._listener))

    def adopt(self, handle: int) -> None:
        """Listen here, too: a socket that a script's process made inside its own network, on the same port."""
        listener = socket.socket(fileno=handle)
        self._adopted.append(listener)
        self._loop.add(handle, lambda: self._accept(listener))

    def close(self) -> None:
        """Take no more requests; those under way are answered."""
        for listener in (self._listener, *self._adopted):
            self._loop.remove(listener.fileno())
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            peer, address = listener.accept()
        except BlockingIOError:
            return
        except OSError:  # no descriptor is left; the peer waits in the queue
            time.sleep(_EXHAUSTED_PAUSE)
            return
        if not self._slots.acquire(blocking=False):
            peer.close()
            return
        peer.settimeout(_PATIENCE)
        self._pool.submit(self._serve, peer, address)

    def _serve(self, peer: socket.socket, address: tuple[str, int]) -> None:
        try:
            with peer:
                _handler(self._calls)(peer, address, None)  # it never looks at the server
        except OSError:
            pass
        finally:
            self._slots.release()


def _handler(calls: Calls) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "ferris-relay"
        sys_version = ""

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            length = self.headers.get("Content-Length", "0")
            if not length.isdecimal() or int(length) > LARGEST_BODY:
                self._reply(413, {}, b"the body is too large\n")
                return
            body = self.rfile.read(int(length)) or None
            sent = {"Content-Type": kind} if (kind := self.headers.get("Content-Type")) else {}
            try:
                answer = calls.forward(self.command, path, query, body, sent)
            except CallRefused as error:
                self._reply(403, {}, f"{error}\n".encode())
            except FerrisError as error:
                self._reply(503, {}, f"{error}\n".encode())
            else:
                kept = {name.title(): value for name, value in answer.headers.items() if name in _RETURNED}
                self._reply(answer.status, kept, answer.body)

        do_PUT = do_POST = do_DELETE = do_GET

        def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
