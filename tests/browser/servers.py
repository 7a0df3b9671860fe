"""Processes that the browser tests look at: the console over seeded rows, and a whole platform."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 180.0  # a busy machine is no failure


@dataclass(frozen=True)
class Server:
    """A running console and somebody who may sign in."""

    url: str
    user: str
    password: str
    home: Path

    def manage(self, *arguments: str) -> str:
        """A command of manage.py beside the running platform; its output."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=_environment(self.home), capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def until(page: Any, seen: Callable[[], bool], seconds: float = 40.0) -> None:
    """Look until that is so. Not Playwright's own wait: it evaluates text, which the console's policy forbids."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, f"not seen on {page.url}"
        page.wait_for_timeout(50)


def _environment(home: Path, port: int | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FERRIS_")}
    said = {
        "FERRIS_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "ferris_web.settings",
        "PYTHONUNBUFFERED": "1",
    }
    return {**kept, **said, **({"FERRIS_PORT": str(port)} if port else {})}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def seeded_console(home: Path, hostile: str = "") -> Iterator[Server]:
    """The web process alone, over a database that tells of a day's use; with that text in all that people wrote."""
    port = _free_port()
    environment = _environment(home, port)
    for command in (["manage.py", "migrate", "-v0"], ["-m", "tests.web.console_platform", hostile]):
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True, timeout=400)
    with _running([sys.executable, "manage.py", "web", "--prepare"], environment, home, port) as server:
        yield Server(server, "admin", "a long password", home)


@contextmanager
def whole_platform(home: Path) -> Iterator[Server]:
    """`manage.py ferris` in a home of its own; receivers on this machine may be told of things."""
    port = _free_port()
    environment = {**_environment(home, port), "FERRIS_ALLOW_PRIVATE": "127.0.0.0/8"}
    with _running([sys.executable, "manage.py", "ferris"], environment, home, port) as server:
        said = (home / "output.txt").read_text()
        password = re.search(r"password (\S+)", said)
        assert password, said
        yield Server(server, "admin", password[1], home)


@contextmanager
def _running(command: list[str], environment: dict[str, str], home: Path, port: int) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _await(url, process, home)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise


def _await(url: str, process: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, (home / "output.txt").read_text()
        try:
            with urllib.request.urlopen(f"{url}/sign-in/", timeout=5) as answer:
                assert answer.status == 200
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)  # no wake-up exists before it listens
    raise AssertionError(f"{url} did not answer: {(home / 'output.txt').read_text()}")
