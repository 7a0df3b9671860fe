"""Fixtures for tests of the web's parts: a real database, real adapters, folders of services."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import translation

from tests.web.calling import anonymous, api, executor, routing, user
from tests.web.console_fixtures import administrator, hostile_rows, person, rows
from tests.web.folders import SourceFolder
from tests.web.receivers import receiver

__all__ = [
    "administrator", "anonymous", "api", "backends", "executor", "hostile_rows", "person", "receiver", "routing",
    "rows", "source", "user",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _language_as_before() -> Iterator[None]:
    """The language of a test's last request stays on in its thread; the next test asks in none."""
    yield
    translation.deactivate()


@pytest.fixture
def source(tmp_path: Path) -> SourceFolder:
    """An empty folder for services."""
    return SourceFolder(tmp_path / "source")


@pytest.fixture
def backends(ferris_home: Path) -> Iterator[Path]:
    """Every backend empty: what another test left in the home is gone."""
    from ferris_web import wiring
    from ferris_web.api import metrics

    def clear() -> None:
        _end_live()
        metrics._platform._read_at = float("-inf")
        wiring.reset()
        for name in ("log", "objects", "repositories"):
            shutil.rmtree(ferris_home / name, ignore_errors=True)
        for path in ferris_home.glob("ops.db*"):
            path.unlink()

    clear()
    yield ferris_home
    clear()


def _end_live() -> None:
    """The web process's reader of the log lingers; it would go on with the log of another test."""
    from ferris_web import live

    old, live._hub = live._hub, live._Hub()
    old._idle_since = float("-inf")
    if old._consumer is not None:
        old._consumer.wake()
