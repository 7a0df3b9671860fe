"""What every kind of test shares. The home of a test process is made in tests/settings.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("ferris", deadline=None)  # a busy machine is no failure
settings.load_profile("ferris")


@pytest.fixture(scope="session", autouse=True)
def _children_use_the_platforms_settings() -> Iterator[None]:
    """A process that a test starts gets the home through FERRIS_HOME, and no settings of tests."""
    before = os.environ["DJANGO_SETTINGS_MODULE"]
    os.environ["DJANGO_SETTINGS_MODULE"] = "ferris_web.settings"
    yield
    os.environ["DJANGO_SETTINGS_MODULE"] = before


@pytest.fixture(scope="session")
def django_db_modify_db_settings_xdist_suffix() -> None:
    """No suffix for parallel processes: each has its home, and in it the database its children expect."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The audit log of SQLite may be emptied between tests (on PostgreSQL emptying is no deletion of rows)."""
    from django.db import connection

    if connection.vendor == "sqlite":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER IF EXISTS audit_kept")


@pytest.fixture(scope="session")
def ferris_home() -> Path:
    """The home folder of this test process."""
    return Path(os.environ["FERRIS_HOME"])
