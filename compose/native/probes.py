"""Whether a server is ready, asked in its own protocol: an open port alone says little."""

from __future__ import annotations

import socket
import struct
import urllib.error
import urllib.request

LOCAL = "127.0.0.1"
_SECONDS = 2.0


def listening(port: int) -> bool:
    """Whether anybody has the port."""
    with socket.socket() as client:
        client.settimeout(_SECONDS)
        return client.connect_ex((LOCAL, port)) == 0


def postgresql(port: int) -> bool:
    """It asks for a password (R); before it is ready it answers an error (E). Protocol 3.0, StartupMessage."""
    body = struct.pack("!I", 3 << 16) + b"user\0ferris\0database\0ferris\0\0"
    return _say(port, struct.pack("!I", len(body) + 4) + body, 1) == b"R"


def amqp(port: int) -> bool:
    """It answers the protocol header with a method frame (Connection.Start). AMQP 0-9-1, section 4.2.2."""
    return _say(port, b"AMQP\0\0\x09\x01", 1) == b"\x01"


def kafka(port: int) -> bool:
    """It answers ApiVersions, version 0, with its correlation id."""
    request = struct.pack("!hhih", 18, 0, 4711, -1)
    answer = _say(port, struct.pack("!i", len(request)) + request, 8)
    return len(answer) == 8 and struct.unpack("!ii", answer)[1] == 4711


def http(url: str) -> bool:
    """It answers 2xx."""
    return get(url) is not None


def get(url: str) -> bytes | None:
    """The body of a 2xx answer."""
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - ours, http
            body: bytes = answer.read()
            return body
    except (urllib.error.URLError, OSError):
        return None


def _say(port: int, request: bytes, length: int) -> bytes:
    try:
        with socket.create_connection((LOCAL, port), _SECONDS) as client:
            client.sendall(request)
            answer = b""
            while len(answer) < length and (more := client.recv(length - len(answer))):
                answer += more
            return answer
    except OSError:
        return b""
