"""The web process: the management server behind uvicorn, on a socket that the supervisor holds."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

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
    _Server(config_of(settings, "ferris_web.asgi:application"), ready).run(sockets=[listener])


def config_of(settings: Settings, application: Any) -> uvicorn.Config:
    """How uvicorn serves it. What proxies say of where a request comes from counts for those of the settings alone."""
    return uvicorn.Config(
        application,
        log_level="warning",
        log_config=None,  # its lines are as all others
        access_log=False,
        lifespan="off",
        http="httptools",
        loop="asyncio",
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=[str(network) for network in settings.proxies],
        server_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=75,
        ws="none",
    )
