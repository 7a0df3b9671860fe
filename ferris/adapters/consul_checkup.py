"""How a Consul is: version, leader, peers, its clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ferris.errors import BackendError
from ferris.findings import Finding, clock

_OLDEST = (1, 8)


def examine(backend: str, get: Any) -> Iterator[Finding]:
    """`get(path)` gives an HTTP answer of Consul; BackendError when it does not answer."""
    asked = datetime.now(UTC)
    leader = get("/v1/status/leader")
    date = leader.headers.get("Date")
    if leader.status != 200 or not leader.json():
        yield Finding(
            "failure", backend, "Consul has no leader", "start enough of its servers: a majority must run"
        )
        return
    if date:
        yield from clock(
            backend, parsedate_to_datetime(date), asked.replace(microsecond=0), datetime.now(UTC)
        )
    peers = get("/v1/status/peers").json()
    yield from _version(backend, get, len(peers))


def _version(backend: str, get: Any, peers: int) -> Iterator[Finding]:
    told = get("/v1/agent/self")
    servers = f"{peers} server{'s' if peers != 1 else ''} with a leader"
    if told.status == 403:
        yield Finding(
            "ok", backend, f"Consul, {servers} (its version is told to tokens with agent:read only)"
        )
        return
    if told.status != 200:
        raise BackendError(backend, f"answered {told.status}", "see Consul's log")
    version = str(told.json()["Config"]["Version"])
    numbers = tuple(int(part) for part in version.split("-")[0].split("+")[0].split(".")[:2])
    if numbers < _OLDEST:
        yield Finding("failure", backend, f"Consul {version}", "use Consul 1.8 or later")
    else:
        yield Finding("ok", backend, f"Consul {version}, {servers}")
