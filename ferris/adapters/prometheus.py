"""Figures for Prometheus: what gateway and executor count, and a small listener that shows them.

`FERRIS_METRICS_PORT` switches the listener on. The engine of the embedded platform has none of its own: it
answers on a Unix socket, and the web process shows its figures beside its own.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ferris.errors import ConfigError

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second sample for every counter, which nobody asks for
REGISTRY = CollectorRegistry()
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ENGINE_SECONDS = 2.0


def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
    return Counter(name, text, labels, registry=REGISTRY)


def gauge(name: str, text: str) -> Gauge:
    return Gauge(name, text, registry=REGISTRY)


def histogram(name: str, text: str, buckets: Sequence[float] = SECONDS) -> Histogram:
    return Histogram(name, text, buckets=buckets, registry=REGISTRY)


def figures(namespace: str = "ferris") -> Callable[[], bytes]:
    """What this process counted and what it takes of memory and processor, whenever it is asked."""
    process = CollectorRegistry()
    ProcessCollector(namespace=namespace, registry=process)
    return lambda: generate_latest(REGISTRY) + generate_latest(process)


def listen(host: str, port: int, told: Callable[[], bytes]) -> None:
    """Answer GET /metrics at this address from now on; port 0 means not at all. ConfigError when it is taken."""
    if not port:
        return

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            content = told()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Being asked every few seconds is no news."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise ConfigError(
            "FERRIS_METRICS_PORT",
            f"{host}:{port} cannot be used: {error.strerror}",
            "stop what listens there, or set another port: each process needs its own",
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def answer(listener: socket.socket, told: Callable[[], bytes]) -> None:
    """Tell everyone who connects to this socket, in the background."""

    def serve() -> None:
        while True:
            client, _ = listener.accept()
            with client:
                try:
                    client.settimeout(_ENGINE_SECONDS)
                    client.sendall(told())
                except OSError:
                    continue

    threading.Thread(target=serve, name="metrics", daemon=True).start()


def ask(path: str) -> bytes:
    """What is told at this socket; nothing when nobody answers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_ENGINE_SECONDS)
        try:
            client.connect(path)
            return b"".join(iter(lambda: client.recv(65536), b""))
        except OSError:
            return b""
