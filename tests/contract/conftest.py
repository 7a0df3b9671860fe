"""Where the real servers are (`make stack`). Without them their tests are skipped, or fail when nothing may be."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ENV = Path(os.environ.get("FERRIS_STACK_HOME") or ROOT / "var/stack") / "env"


@pytest.fixture(scope="session")
def real() -> Callable[[str], str]:
    """`real("FERRIS_EVENT_LOG")`: the URL of a server that runs; ends the test where there is none."""

    def url(setting: str) -> str:
        found = _settings().get(setting, "")
        if found and _answers(found):
            return found
        problem = f"{setting}: no such server runs (make stack)"
        if os.environ.get("FERRIS_TESTS_SKIP_NOTHING"):
            pytest.fail(problem)
        pytest.skip(problem)

    return url


def _settings() -> dict[str, str]:
    if not ENV.exists():
        return {}
    pairs = (line.partition("=") for line in ENV.read_text().splitlines())
    return {name: value.strip("'") for name, _, value in pairs}


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as client:
        client.settimeout(2)
        return client.connect_ex((parts.hostname or "", parts.port or 0)) == 0
