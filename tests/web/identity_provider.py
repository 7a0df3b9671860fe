"""A real OpenID Connect provider, as a process of its own, and a person's way through it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from django.test import Client

from embedded.process import die_with_parent
from ferris.identity import Provider


@dataclass(frozen=True)
class IdentityProvider:
    """The provider at `issuer`."""

    issuer: str

    def settings(self, **changed: Any) -> Provider:
        """As FERRIS_OIDC_… would have it."""
        known = Provider(
            issuer=self.issuer, client_id="ferris", client_secret="of the client", name="Acme ID"
        )
        return replace(known, **changed)

    def person(self, subject: str, **claims: Any) -> None:
        """Let it know somebody."""
        requests.put(f"{self.issuer}/users/{subject}", json=claims, timeout=5).raise_for_status()

    def answer(self, asked: str, subject: str) -> str:
        """Sign in there as that person: where it sends the browser back to, as a path with its query."""
        answer = requests.post(asked, data={"sub": subject}, allow_redirects=False, timeout=5)
        assert answer.status_code == 302, answer.text[:500]
        back = urlsplit(answer.headers["Location"])
        return f"{back.path}?{back.query}"

    def sign_in(self, client: Client, subject: str, at: str = "/sign-in/provider/", **query: str) -> Any:
        """The whole way, in that browser; the answer that it ends with."""
        begun = client.get(at, query)
        assert begun.status_code == 302, begun.content.decode()[:500]
        return client.get(self.answer(begun["Location"], subject))


def started() -> tuple[IdentityProvider, subprocess.Popen[bytes]]:
    """Start one, on a free port of this machine, and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.web.strict_provider", str(port)],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
        preexec_fn=partial(die_with_parent, os.getpid()),  # also when the tests are killed
    )
    provider = IdentityProvider(f"http://localhost:{port}")
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "the provider ended"
        assert time.monotonic() < deadline, "the provider does not answer"
        try:
            requests.get(f"{provider.issuer}/.well-known/openid-configuration", timeout=5).raise_for_status()
            return provider, process
        except requests.RequestException:
            time.sleep(0.1)


def ended(process: subprocess.Popen[bytes]) -> None:
    """End it, and what it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
