"""The web's listening socket under asyncio, which uvicorn uses as it does here."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from embedded.supervisor import listen
from ferris.config import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_connections_send_small_answers_at_once(tmp_path: Path, host: str) -> None:
    """A head and a body written one after the other must not wait for an acknowledgement in between (Nagle)."""
    if host == "::1" and not _has_ipv6():
        return
    settings = Settings.from_env({"FERRIS_HOME": str(tmp_path)})
    listener = listen(replace(settings, host=host, port=0))

    async def at_once() -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            one = writer.get_extra_info("socket")
            accepted.set_result(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(serve, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            try:
                return await accepted
            finally:
                writer.close()

    assert asyncio.run(at_once())


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True
