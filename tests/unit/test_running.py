"""What a home's lock file says of the platform that runs with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedded.supervisor import AlreadyRunning, lock_home
from ferris.config import Settings
from ferris.errors import ConfigError
from ferris.running import LOCK, Running, read, running


def _settings(home: Path, **more: str) -> Settings:
    return Settings.from_env({"FERRIS_HOME": str(home), **more})


def test_the_platform_that_runs_is_found(tmp_path: Path) -> None:
    assert running(tmp_path) is None
    held = lock_home(_settings(tmp_path, FERRIS_PORT="8123"), serving=True)
    assert running(tmp_path) == Running(os.getpid(), "127.0.0.1", 8123)
    found = _settings(tmp_path)
    assert (found.port, found.public_url) == (8123, "http://127.0.0.1:8123")
    assert _settings(tmp_path, FERRIS_PORT="9000").port == 9000, "who says it is right"
    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}, http://127.0.0.1:8123"):
        lock_home(found)
    held.close()


def test_a_longer_text_before_leaves_nothing_behind(tmp_path: Path) -> None:
    lock_home(_settings(tmp_path, FERRIS_PORT="65000", FERRIS_HOST="::1"), serving=True).close()
    assert read(tmp_path) == Running(os.getpid(), "::1", 65000)
    lock_home(_settings(tmp_path)).close()
    assert read(tmp_path) == Running(os.getpid())
    assert _settings(tmp_path).port == 8000, "who holds it serves nothing"


def test_one_that_has_ended_is_not_found(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (tmp_path / LOCK).write_text(f'{{"pid": {process.pid}, "host": "", "port": 8123}}')
    assert read(tmp_path) is not None
    assert running(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "4711", "{", "[]", '{"pid": "x"}', '{"pid": 1, "host": "", "port": []}']
)
def test_what_cannot_be_read_is_nobody(tmp_path: Path, text: str) -> None:
    """Such as the file of an earlier release, which held a number."""
    (tmp_path / LOCK).write_text(text)
    assert running(tmp_path) is None
    assert _settings(tmp_path).port == 8000


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://127.0.0.1:80"), ("::1", "http://[::1]:80"), ("10.0.0.1", "http://10.0.0.1:80")],
)  # fmt: skip
def test_the_address(host: str, address: str) -> None:
    assert Running(1, host, 80).address == address
    assert Running(1).address == ""


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(
        ConfigError, match=f"FERRIS_HOME {tmp_path} cannot be written: .*give this user the folder"
    ):
        lock_home(_settings(tmp_path))
