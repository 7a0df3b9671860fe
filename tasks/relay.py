"""A port on 127.0.0.1 for each execution: published client libraries speak HTTP to it, it adds the token.

It answers processes of the script's own user and of the executor's. Another script that runs as the same user at the
same time could use it, as that execution, if it found its port: user ids of their own, or a network of their own, for
scripts keep that away.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections import OrderedDict
from concurrent.futures import Executor as Pool
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Final

from ferris.errors import FerrisError
from tasks.calls import CallRefused, Calls
from tasks.loop import Loop
from tasks.peer import uid_of_client, uid_of_process

HOST: Final = "127.0.0.1"
LARGEST_BODY: Final = 4 * 1024 * 1024
LARGEST_HEAD: Final = 64 * 1024
MOST_CONNECTIONS: Final = 64
"""Of one execution at once; one that waits for its next request makes room for a new one."""
_PATIENCE: Final = 10.0
_READ: Final = 64 * 1024
_EXHAUSTED_PAUSE: Final = 0.05
_RETURNED: Final = ("content-type", "x-consul-index", "x-consul-knownleader", "x-consul-lastcontact")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECT: Final = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)


class Relay:
    """Listens inside an execution's loop, which also reads; a request that is whole is answered by a thread of
    `pool`. So a client that is slow, or only keeps its connection, costs no thread."""

    def __init__(self, loop: Loop, pool: Pool, calls: Calls) -> None:
        self.loop, self.pool, self.calls = loop, pool, calls
        self.peers: OrderedDict[_Peer, None] = OrderedDict()  # whose turn was longest ago comes first
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._listener.bind((HOST, 0))
        self._listener.listen(64)
        self.port: int = self._listener.getsockname()[1]
        self._adopted: list[socket.socket] = []
        self.closed = False
        self.script: int | None = None  # the process that the relay is for
        loop.add(self._listener.fileno(), lambda: self._accept(self._listener))

    def adopt(self, handle: int) -> None:
        """Listen here, too: a socket that a script's process made inside its own network, on the same port."""
        listener = socket.socket(fileno=handle)
        self._adopted.append(listener)
        self.loop.add(handle, lambda: self._accept(listener))

    def close(self) -> None:
        """Take no more requests; those under way are answered."""
        self.closed = True
        for listener in (self._listener, *self._adopted):
            self.loop.remove(listener.fileno())
            listener.close()
        for peer in list(self.peers):
            if not peer.busy:
                peer.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            peer, (_, port) = listener.accept()
        except BlockingIOError:
            return
        except OSError:  # no descriptor is left; the peer waits in the queue
            time.sleep(_EXHAUSTED_PAUSE)
            return
        if listener is self._listener and not self._is_ours(port):
            peer.close()
            return
        if len(self.peers) >= MOST_CONNECTIONS and not self._make_room():
            peer.close()
            return
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peers[_Peer(self, peer)] = None

    def _is_ours(self, port: int) -> bool:
        uid = uid_of_client(HOST, port, self.port)
        return (
            uid is None
            or uid == os.geteuid()
            or (self.script is not None and uid == uid_of_process(self.script))
        )

    def _make_room(self) -> bool:
        for peer in self.peers:
            if not peer.busy:
                peer.close()
                return True
        return False


class _Peer:
    """One connection, with one request under way at most."""

    def __init__(self, relay: Relay, connection: socket.socket) -> None:
        self._relay, self._connection = relay, connection
        self._received = bytearray()
        self._told_to_go_on = False
        self.busy = False
        self._watch()

    def close(self) -> None:
        """End it; nothing is under way."""
        self._relay.loop.remove(self._connection.fileno())
        self._forget()

    def _watch(self) -> None:
        self._connection.setblocking(False)
        self._relay.loop.add(self._connection.fileno(), self._read)

    def _forget(self) -> None:
        self._connection.close()
        self._relay.peers.pop(self, None)

    def _read(self) -> None:
        try:
            content = self._connection.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if not content:
            self.close()
            return
        self._received += content
        self._go_on()

    def _go_on(self) -> None:
        size = _size(self._received)
        if size is None or size > len(self._received):
            if size is not None and not self._told_to_go_on and _EXPECT.search(self._received):
                self._told_to_go_on = True
                self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        # What cannot be read as a request ends here, with an answer that says so.
        request, refused = bytes(self._received[:size]), size == 0
        del self._received[:size]
        self.busy, self._told_to_go_on = True, False
        self._relay.loop.remove(self._connection.fileno())
        self._relay.peers.move_to_end(self)
        if refused:
            self._answer(_Handler(self._relay.calls, b"").refused())
        else:
            self._relay.pool.submit(self._serve, request)

    def _serve(self, request: bytes) -> None:
        handler = _Handler(self._relay.calls, request)
        try:
            handler.handle_one_request()
        except OSError:
            handler.close_connection = True
        self._answer(handler)

    def _answer(self, handler: _Handler) -> None:
        """Called from a thread of the pool; goes on in the loop."""
        keep = not handler.close_connection
        try:
            self._connection.settimeout(_PATIENCE)
            self._connection.sendall(handler.wfile.getvalue())
        except OSError:
            keep = False
        self._relay.loop.post(lambda: self._answered(keep))

    def _answered(self, keep: bool) -> None:
        self.busy = False
        if not keep or self._relay.closed:
            self._forget()
            return
        self._watch()
        self._go_on()


def _size(received: bytearray) -> int | None:
    """How long the first request is; None while its head is not whole; 0 when it cannot be taken."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 0 if len(received) > LARGEST_HEAD else None
    head = bytes(received[: end + 2])
    lengths = set(_LENGTH.findall(head)) or {b"0"}
    length = lengths.pop()
    if (
        lengths
        or not length.isdigit()
        or len(length) > 9
        or int(length) > LARGEST_BODY
        or _CHUNKED.search(head)
    ):
        return 0
    return end + 4 + int(length)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request that is whole into memory, so that it leaves in one piece."""

    server_version = "ferris-relay"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    wfile: BytesIO

    def __init__(self, calls: Calls, request: bytes) -> None:
        self._calls = calls
        self.rfile, self.wfile = BytesIO(request), BytesIO()
        self.client_address = (HOST, 0)
        self.close_connection = True

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read() or None
        sent = {"Content-Type": kind} if (kind := self.headers.get("Content-Type")) else {}
        try:
            answer = self._calls.forward(self.command, path, query, body, sent)
        except CallRefused as error:
            self._reply(403, {}, f"{error}\n".encode())
        except FerrisError as error:
            self._reply(503, {}, f"{error}\n".encode())
        else:
            kept = {name.title(): value for name, value in answer.headers.items() if name in _RETURNED}
            self._reply(answer.status, kept, answer.body)

    do_PUT = do_POST = do_DELETE = do_GET

    def handle_expect_100(self) -> bool:
        return True  # said when its body was waited for

    def refused(self) -> _Handler:
        """The answer to a request whose length is not known, or too much."""
        self.request_version = self.protocol_version
        self.requestline, self.command = "", ""
        self.send_response(413)
        self._finish({}, b"the request is too large, or does not say how large it is\n")
        return self

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        self._finish(headers, body)

    def _finish(self, headers: dict[str, str], body: bytes) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass
