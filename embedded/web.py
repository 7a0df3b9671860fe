"""The web process: the management server behind uvicorn, on a socket that the supervisor holds."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from ferris.config import Settings
from ferris_web.api import metrics


class _Server(uvicorn.Server):
    """Tells when it serves."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def serve(
    settings: Settings, listener: socket.socket, ready: Callable[[], None], engine: str | None = None
) -> None:
    """Serve until SIGTERM; streams that are open then are closed after a moment.

    `engine` is the socket at which the engine tells its figures, where there is one.
    """
    metrics.engine_at = engine
    metrics.listen(settings)
    config = uvicorn.Config(
        "ferris_web.asgi:application",
        log_level="warning",
        log_config=None,  # its lines are as all others
        access_log=False,
        lifespan="off",
        http="httptools",
        loop="asyncio",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=75,
        ws="none",
    )
    _Server(config, ready).run(sockets=[listener])
