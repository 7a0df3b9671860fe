"""Ports that nobody listens on."""

from __future__ import annotations

import random
import socket

# Below those that the system gives to connections (32768 and on, by Linux): one of these may be taken by any connection
# while the server that had it is away. Above and below them are the ports of `make stack`, and of `make run`.
_PORTS = range(12_000, 28_000)
_given: set[int] = set()
_chance = random.SystemRandom()  # test processes at the same time begin with the same seed


def free_port() -> int:
    """A port of 127.0.0.1 that is free now; never the same twice."""
    while True:
        port = _chance.choice(_PORTS)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
