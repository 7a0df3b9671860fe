"""The servers of the real stack for one test session, started by `compose/native/stack.py` as `make stack` does.

They have a home and ports of their own. Each platform gets its own part of every server, so that platforms
with empty homes can live side by side.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2

from tests.acceptance.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "compose" / "native"
STACK = NATIVE / "stack.py"
NAMES = ("postgresql", "rabbitmq", "kafka", "minio", "consul", "elasticsearch")


class Servers:
    """All servers, or those that were not killed."""

    def __init__(self, home: Path, ports: dict[str, int] | None = None, java: str = "") -> None:
        """`ports`: of servers that another process has started there, by their setting. `java`: options of Java."""
        self.home = home
        texts = [path.read_text() for path in sorted((NATIVE / "servers").glob("*.py"))]
        keys = re.findall(r'"([A-Z_]+_PORT)": \d+', "".join(texts))
        self.ports = ports or {f"FERRIS_STACK_{key}": free_port() for key in keys}
        self._environment = {
            **os.environ,
            "FERRIS_STACK_HOME": str(home),
            "FERRIS_STACK_JAVA": java,
            **{key: str(port) for key, port in self.ports.items()},
        }

    def up(self, *names: str) -> None:
        """Start what does not run, and wait until it answers."""
        done = self._stack("up", *names)
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"

    def down(self) -> None:
        """End all of them."""
        self._stack("down")

    def kill(self, name: str) -> None:
        """`kill -9` of a server: each of its processes, and what those have started."""
        sys.path.insert(0, str(NATIVE))
        try:
            from process import recall  # type: ignore[import-not-found]
        finally:
            sys.path.remove(str(NATIVE))
        running, _ = recall(self.home / "run" / f"{name}.json")
        assert running, f"{name} does not run"
        for process in running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        while any(process.alive for process in running):
            time.sleep(0.02)

    def _stack(self, action: str, *names: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, STACK, action, *names],
            env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=580,
        )  # fmt: skip

    # ------------------------------------------------------------------ a platform's own part

    def part(self, name: str) -> dict[str, str]:
        """The settings of a platform that has these servers to itself: an empty part of each is made."""
        env = dict(line.split("=", 1) for line in (self.home / "env").read_text().splitlines())
        url = {key: value.strip("'") for key, value in env.items()}
        self._database(url["FERRIS_DATABASE"], name)
        self._virtual_host(url["FERRIS_BROKER"], name)
        return {
            "FERRIS_DATABASE": url["FERRIS_DATABASE"].rpartition("/")[0] + f"/{name}",
            "FERRIS_BROKER": url["FERRIS_BROKER"].removesuffix("//") + f"/{name}",
            "FERRIS_EVENT_LOG": url["FERRIS_EVENT_LOG"].replace("?", f"/{name}?"),
            # MinIO tells one topic of one platform; these share it.
            "FERRIS_OBJECT_STORE": url["FERRIS_OBJECT_STORE"]
            .replace("?", f"/{name}?")
            .partition("&notify")[0],
            "FERRIS_CONFIG_STORE": url["FERRIS_CONFIG_STORE"] + f"/{name}",
            "FERRIS_OPS_STORE": url["FERRIS_OPS_STORE"] + f"/ferris-{name}",
        }

    def _database(self, url: str, name: str) -> None:
        connection = psycopg2.connect(url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {name}")
        finally:
            connection.close()

    def _virtual_host(self, url: str, name: str) -> None:
        parts = urlsplit(url)
        port = self._environment["FERRIS_STACK_RABBITMQ_MANAGEMENT_PORT"]
        login = b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/vhosts/{name}",
            method="PUT",
            headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
            data=b"{}",
        )
        urllib.request.urlopen(request, timeout=30).close()
