"""Who is at the other end of a TCP connection on this machine: asked of the kernel (sock_diag(7)), for one socket."""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

NOBODY: Final = -1
_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
_REQUEST: Final = 1
_ERROR: Final = 2
_ENOENT: Final = 2
_NO_COOKIE: Final = 0xFFFFFFFF
_HEAD: Final = struct.Struct("=IHHII")
_ASKED: Final = struct.Struct("=BBBBI")
_PORTS: Final = struct.Struct("!HH")
_UID: Final = struct.Struct("=I")
_UID_AT: Final = _HEAD.size + 4 + 48 + 12
_SECONDS: Final = 1.0


def uid_of_client(host: str, port: int, server_port: int) -> int | None:
    """The user id of who connected from `port` to our `server_port`: NOBODY when it has gone, None when the system
    does not tell."""
    address = socket.inet_aton(host).ljust(16, b"\0")
    wanted = (
        _ASKED.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _NO_COOKIE)
        + _PORTS.pack(port, server_port)
        + address
        + address
        + struct.pack("=III", 0, _NO_COOKIE, _NO_COOKIE)
    )
    question = _HEAD.pack(_HEAD.size + len(wanted), _BY_FAMILY, _REQUEST, 0, 0) + wanted
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _SOCK_DIAG) as kernel:
            kernel.settimeout(_SECONDS)
            kernel.send(question)
            answer = kernel.recv(4096)
    except OSError:
        return None
    kind = _HEAD.unpack_from(answer)[1]
    if kind == _BY_FAMILY and len(answer) >= _UID_AT + _UID.size:
        return int(_UID.unpack_from(answer, _UID_AT)[0])
    if kind == _ERROR and -struct.unpack_from("=i", answer, _HEAD.size)[0] == _ENOENT:
        return NOBODY
    return None


def uid_of_process(pid: int) -> int | None:
    """The user id that a process has now; None when it has ended."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
