"""What every event log keeps. To add a backend: one parameter of `url`, and nothing else in this folder.

Nothing here assumes one partition; where a backend may differ honestly, the test asks for its capability.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ferris.adapters import open_event_log
from ferris.ports import EventLog

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(
    params=[
        pytest.param("sqlite", id="sqlite"),
        pytest.param("kafka", id="kafka-python", marks=pytest.mark.real),
        pytest.param("kafka+confluent", id="kafka-confluent", marks=pytest.mark.real),
        pytest.param("prefix", id="kafka-prefix", marks=pytest.mark.real),
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log/log.db"
    real = request.getfixturevalue("real")
    if request.param == "prefix":
        return real("FERRIS_EVENT_LOG").replace("?", f"/p{uuid.uuid4().hex}?", 1)
    return urlsplit(real("FERRIS_EVENT_LOG"))._replace(scheme=request.param).geturl()


@pytest.fixture
def log(url: str) -> EventLog:
    return open_event_log(url)


@pytest.fixture
def topic() -> str:
    return f"topic-{uuid.uuid4().hex}"


@pytest.fixture
def group() -> str:
    return f"group-{uuid.uuid4().hex}"


CHILD = """
import sys, time, os
from ferris.adapters import open_event_log
from ferris.ports import Record
url, topic, group = sys.argv[1:4]
log = open_event_log(url)
def say(*what): print(*what, flush=True)
"""


@pytest.fixture
def child(url: str, topic: str, group: str) -> Iterator:
    """Start a Python process that has `log`, `topic`, `group` and `say`."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD + code, url, topic, group],
            cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
