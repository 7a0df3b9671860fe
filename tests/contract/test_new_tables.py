"""A platform that begins gets in one step the tables that an older one came to in many."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.walk

# As a platform that was there before the migrations named `begun`: each older one by itself.
STEP_BY_STEP = """
import django
django.setup()
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

load = MigrationLoader.load_disk

def load_older(loader):
    load(loader)
    for key, migration in list(loader.disk_migrations.items()):
        if migration.replaces:
            del loader.disk_migrations[key]

MigrationLoader.load_disk = load_older
executor = MigrationExecutor(connection)
executor.migrate(executor.loader.graph.leaf_nodes())
"""


def _run(home: Path, *command: str) -> str:
    environment = os.environ | {"FERRIS_HOME": str(home), "DJANGO_SETTINGS_MODULE": "ferris_web.settings"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _columns(definition: str) -> tuple[str, ...]:
    """The parts of a CREATE statement; in which order columns stand is no part of what they are."""
    _, _, inside = definition.partition("(")
    parts, depth = [""], 0
    for letter in inside:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return tuple(sorted(part.strip(" )") for part in parts))


def _schema(home: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    with sqlite3.connect(home / "ferris.db") as database:
        found = database.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master").fetchall()
    return {(kind, name): _columns(sql) if kind == "table" else (sql,) for kind, name, sql in found}


def test_one_step_comes_to_the_same_as_the_many_before(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    _run(new, "manage.py", "migrate", "-v", "0")
    _run(old, "-c", STEP_BY_STEP)
    assert _schema(old) == _schema(new)
    assert "No migrations to apply" in _run(old, "manage.py", "migrate")
