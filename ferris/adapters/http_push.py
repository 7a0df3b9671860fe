"""Sends one HTTP request to a server that the platform does not trust, and reads what it answers.

The host is resolved once, every address it has is judged, and the connection goes to an address that was: a name that
answers otherwise a moment later changes nothing. Redirects are not followed, proxies of the environment not asked,
and neither time nor memory is the receiver's to decide.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ferris.public_addresses import Network, refusal
from ferris.pushing import Target

MAX_ANSWER: Final = 16 * 1024
_PIECE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said. `status` 0: nothing, and `problem` says why."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    problem: str = ""


def post(
    target: Target, headers: Mapping[str, str], body: bytes, *, seconds: float, allowed: Sequence[Network]
) -> Answer:
    """Send it and read the beginning of the answer. Never raises for what the receiver or the network does."""
    return _asked("POST", target, headers, body, seconds, allowed, MAX_ANSWER)


def get(
    target: Target, headers: Mapping[str, str], *, seconds: float, allowed: Sequence[Network], most: int
) -> Answer:
    """Ask for it, and read the whole answer of at most so many bytes. A longer one, or one that breaks off, is a
    problem. Never raises for what the server or the network does."""
    return _asked("GET", target, headers, None, seconds, allowed, most)


def _asked(
    method: str,
    target: Target,
    headers: Mapping[str, str],
    body: bytes | None,
    seconds: float,
    allowed: Sequence[Network],
    most: int,
) -> Answer:
    begun = time.monotonic()
    deadline = begun + seconds
    problem = ""
    try:
        status, said, content = _exchange(method, target, headers, body, deadline, allowed, most)
        return Answer(status, said, content, time.monotonic() - begun)
    except Refused as error:
        problem = str(error)
    except TimeoutError:
        problem = f"no answer within {seconds:g} s"
    except ssl.SSLCertVerificationError as error:
        problem = f"its certificate is not trusted: {error.verify_message}"
    except ssl.SSLError as error:
        problem = f"no TLS: {error.reason or type(error).__name__}"
    except OSError as error:
        problem = f"no connection: {error.strerror or type(error).__name__}"
    except (http.client.HTTPException, ValueError) as error:
        problem = f"no HTTP answer: {type(error).__name__}"
    return Answer(0, {}, b"", time.monotonic() - begun, problem)


class Refused(Exception):
    """The platform does not connect there; the text says why and what an administrator may do."""


def addresses(host: str, port: int, allowed: Sequence[Network]) -> list[tuple[Any, Any]]:
    """The addresses of a host as (family, socket address), all of which are free to connect to. Refused."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise Refused(f"the host {host} has no address") from None
    for _, _, _, _, place in found:
        if problem := refusal(str(place[0]), allowed):
            raise Refused(
                f"{host} leads to {problem}: not allowed; an administrator can allow its network in "
                "FERRIS_ALLOW_PRIVATE"
            )
    return [(family, place) for family, _, _, _, place in found]


def _exchange(
    method: str,
    target: Target,
    headers: Mapping[str, str],
    body: bytes | None,
    deadline: float,
    allowed: Sequence[Network],
    most: int,
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(target.host, target.port)
    raw = _connected(addresses(target.host, target.port, allowed), deadline)
    try:
        if target.secure:
            raw.settimeout(_left(deadline))
            raw = _trusting().wrap_socket(raw, server_hostname=target.host.rstrip("."))
        connection.sock = _Timed(raw, deadline)
        name = f"[{target.host}]" if ":" in target.host else target.host
        usual = target.port == (443 if target.secure else 80)
        connection.putrequest(method, target.path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", name if usual else f"{name}:{target.port}")
        for header, value in headers.items():
            connection.putheader(header, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Connection", "close")
        connection.endheaders(body)
        answer = connection.getresponse()
        said = {header.lower(): value for header, value in answer.getheaders()}
        if body is None:
            return answer.status, said, _whole(answer, most)
        content = b""
        try:
            content = answer.read(most)
        except (OSError, http.client.HTTPException):
            pass  # it has said its status: that decides
        return answer.status, said, content
    finally:
        raw.close()


def _whole(answer: http.client.HTTPResponse, most: int) -> bytes:
    content = answer.read(most + 1)
    if len(content) > most:
        raise Refused(f"the answer is longer than {most // 1024} KiB")
    if answer.length:  # http.client reads so much at most, and says nothing of what did not come
        raise http.client.IncompleteRead(content, answer.length)
    return content


def _connected(places: Sequence[tuple[Any, Any]], deadline: float) -> socket.socket:
    last: OSError = OSError("no address")
    for number, (family, place) in enumerate(places):
        one = socket.socket(family, socket.SOCK_STREAM)
        try:
            # Not all of the time for an address that is silent, when there are others.
            one.settimeout(_left(deadline) / (len(places) - number))
            one.connect(place)
            return one
        except OSError as error:
            one.close()
            last = error
    raise last


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _trusting() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Timed:
    """A socket, as http.client uses one, whose every step ends by the deadline: a receiver that sends one byte a
    second holds nobody longer than one that sends none."""

    def __init__(self, raw: socket.socket, deadline: float) -> None:
        self._raw, self._deadline = raw, deadline

    def sendall(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            self._raw.settimeout(_left(self._deadline))
            left = left[self._raw.send(left[:_PIECE]) :]

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reading(self._raw, self._deadline))

    def close(self) -> None:
        """http.client closes it as soon as it has the head of an answer; the rest is still to be read."""


class _Reading(io.RawIOBase):
    def __init__(self, raw: socket.socket, deadline: float) -> None:
        self._raw, self._deadline = raw, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._raw.settimeout(_left(self._deadline))
        return self._raw.recv_into(buffer)
