"""What every kind of test shares. The home of a test process is made in tests/settings.py."""

from __future__ import annotations

import fcntl
import gc
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("ferris", deadline=None)  # a busy machine is no failure
settings.load_profile("ferris")


def pytest_configure() -> None:
    """A shell without job control has what it starts in the background ignore Ctrl-C, and so would what tests start:
    scripts that interrupt themselves are among it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[Any]:
    """Of the processes that collect at once, one compiles a module of tests, and the others read what it made: to
    rewrite all assertions in each took more CPU than to run a third of the tests."""
    with _alone(collector.path if isinstance(collector, pytest.Module) else None):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems() -> Iterator[None]:
    """Hypothesis looks for constants in all our modules here, and keeps what it has found."""
    with _alone(Path(__file__)):
        return (yield)


@contextmanager
def _alone(path: Path | None) -> Iterator[None]:
    """One process at a time has this file."""
    if path is None:
        yield
        return
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: looking through it for garbage took a tenth of the CPU."""
    gc.collect()
    gc.freeze()


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
def django_db_keepdb(request: pytest.FixtureRequest) -> bool:
    """An SQLite database is a copy of one that is migrated once for as long as no migration changes."""
    from django.conf import settings

    database = settings.DATABASES["default"]
    if not database["ENGINE"].endswith("sqlite3"):
        return False
    shutil.copyfile(_migrated(request.config.cache.mkdir("migrated")), database["NAME"])
    return True


def _migrated(folder: Path) -> Path:
    """The file of an empty, migrated database: made by the first of the test processes that asks."""
    root = Path(__file__).parents[1]
    of = hashlib.sha256((root / "requirements.txt").read_bytes())
    for migration in sorted(root.glob("ferris_web/*/migrations/*.py")):
        of.update(str(migration.relative_to(root)).encode() + migration.read_bytes())
    made = folder / f"{of.hexdigest()[:16]}.db"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            for old in folder.glob("*.db"):
                old.unlink()
            with tempfile.TemporaryDirectory(prefix="ferris-test-") as home:
                environment = os.environ | {
                    "FERRIS_HOME": home,
                    "DJANGO_SETTINGS_MODULE": "ferris_web.settings",
                }
                command = [sys.executable, str(root / "manage.py"), "migrate", "-v", "0"]
                subprocess.run(command, env=environment, check=True)
                shutil.copyfile(Path(home) / "ferris.db", made.with_suffix(".new"))
            made.with_suffix(".new").rename(made)
    return made


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The audit log of SQLite may be emptied between tests (on PostgreSQL emptying is no deletion of rows)."""
    from django.db import connection

    with django_db_blocker.unblock():
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("DROP TRIGGER IF EXISTS audit_kept")
        _permissions_come_back_quickly()


def _permissions_come_back_quickly() -> None:
    """Emptying the database after a test takes the administration's permissions along; Django computes them anew
    for each app (0.1 s of CPU). Here the rows are put back as they were."""
    from django.contrib.auth.models import Permission
    from django.contrib.contenttypes.management import create_contenttypes
    from django.contrib.contenttypes.models import ContentType
    from django.db.models.signals import post_migrate

    rows = [list(model.objects.order_by("pk")) for model in (ContentType, Permission)]
    assert post_migrate.disconnect(create_contenttypes)
    assert post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")

    def put_back(app_config: Any, **_: Any) -> None:
        if app_config.label == "auth":
            for objects in rows:
                type(objects[0]).objects.bulk_create(objects, ignore_conflicts=True)

    post_migrate.connect(put_back, weak=False)


@pytest.fixture(scope="session")
def ferris_home() -> Path:
    """The home folder of this test process."""
    return Path(os.environ["FERRIS_HOME"])
