"""Executors under test run real processes, with a real event log, object store and HTTP control server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.executor.control_server import Platform, platform


@pytest.fixture(scope="module")
def ferris(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One executor for the tests of a module."""
    home: Path = tmp_path_factory.mktemp("home")
    made = platform(home)
    made.executor.prepare()
    yield made
    made.executor.close()
    made.control.close()
