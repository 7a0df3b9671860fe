"""Consul's client on urllib3 alone: `requests`, which it brings along, takes twice the CPU for a small answer, and
every claim of an execution reads one.

Certificates are checked with those that the system trusts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, urlencode

import consul
import urllib3
from consul import base

Params = Iterable[tuple[str, Any]] | None


class Consul(consul.Consul):  # type: ignore[misc]
    """For one thread: it keeps one connection."""

    def http_connect(
        self, host: str, port: int, scheme: str, verify: bool | str = True, cert: Any = None
    ) -> HTTP:
        return HTTP(host, port, scheme, verify, cert, seconds=self.connections_timeout)


class HTTP(base.HTTPClient):  # type: ignore[misc]
    """Asks once: what fails is the caller's to ask again."""

    def __init__(self, *args: Any, seconds: float | None) -> None:
        super().__init__(*args)
        secure: dict[str, Any] = {}
        if self.scheme == "https":
            certificate, key = self.cert if isinstance(self.cert, tuple) else (self.cert, None)
            secure = {
                "cert_reqs": "CERT_REQUIRED" if self.verify else "CERT_NONE",
                "ca_certs": self.verify if isinstance(self.verify, str) else None,
                "cert_file": certificate,
                "key_file": key,
            }
        self._pool = urllib3.connection_from_url(
            self.base_uri, maxsize=1, timeout=seconds, retries=False, **secure
        )

    def ask(
        self,
        method: str,
        path: str,
        params: Params = None,
        headers: dict[str, str] | None = None,
        body: str | bytes | None = None,
    ) -> Any:
        """The answer, whatever its status."""
        query = f"?{urlencode(list(params))}" if params else ""
        return self._pool.request(method, quote(path, safe="/:") + query, body=body, headers=headers)

    def get(
        self,
        callback: Callable[[Any], Any],
        path: str,
        params: Params = None,
        headers: dict[str, str] | None = None,
        raw: bool = False,
    ) -> Any:
        return callback(_response(self.ask("GET", path, params, headers), raw))

    def put(
        self,
        callback: Callable[[Any], Any],
        path: str,
        params: Params = None,
        data: str | bytes = "",
        headers: dict[str, str] | None = None,
    ) -> Any:
        return callback(_response(self.ask("PUT", path, params, headers, data)))

    def delete(
        self,
        callback: Callable[[Any], Any],
        path: str,
        params: Params = None,
        data: str | bytes = "",
        headers: dict[str, str] | None = None,
    ) -> Any:
        return callback(_response(self.ask("DELETE", path, params, headers, data)))

    def post(
        self,
        callback: Callable[[Any], Any],
        path: str,
        params: Params = None,
        data: str = "",
        headers: dict[str, str] | None = None,
    ) -> Any:
        return callback(_response(self.ask("POST", path, params, headers, data)))

    def close(self) -> None:
        self._pool.close()


def _response(answer: Any, raw: bool = False) -> Any:
    return base.Response(
        answer.status, answer.headers, answer.data if raw else answer.data.decode("utf-8", "replace")
    )
