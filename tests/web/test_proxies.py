"""Where a request comes from when there is a proxy: its limits of sign-ins, and the audit log, are of that address."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from embedded.web import config_of
from ferris.public_addresses import networks
from ferris_web import wiring


def came_from(peer: str, forwarded: str, *proxies: str) -> str:
    """The address that the application sees."""
    seen: dict[str, Any] = {}

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    config = config_of(replace(wiring.config(), proxies=networks(proxies)), application)
    config.load()
    headers = [(b"x-forwarded-for", forwarded.encode())]
    scope = {"type": "http", "client": (peer, 4711), "headers": headers, "scheme": "http", "path": "/"}
    asyncio.run(config.loaded_app(scope, None, None))  # type: ignore[arg-type]
    return str(seen["client"][0])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.1.2.3", "203.0.113.9", "203.0.113.9"),
        (
            "10.1.2.3",
            "198.51.100.1, 203.0.113.9",
            "203.0.113.9",
        ),  # what the visitor claimed counts for nothing
        ("10.1.2.3", "203.0.113.9, 10.9.9.9", "203.0.113.9"),  # two proxies
        ("192.0.2.7", "203.0.113.9", "192.0.2.7"),  # somebody who is no proxy
    ],
)
def test_a_known_proxy_says_where_a_request_comes_from(peer: str, forwarded: str, address: str) -> None:
    assert came_from(peer, forwarded, "10.0.0.0/8") == address


def test_without_a_proxy_nobody_says_it() -> None:
    assert came_from("127.0.0.1", "203.0.113.9") == "127.0.0.1"
