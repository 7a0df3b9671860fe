"""SQL scripts as steps of an execution."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.executor.control_server import Platform


def test_a_sql_step_between_python_steps(ferris: Platform, tmp_path: Path) -> None:
    database = tmp_path / "data.db"
    sqlite3.connect(database).executescript("CREATE TABLE t (n INT, who TEXT)").close()
    files = {
        "a.py": "print('before')",
        "b.sql": "-- connection: data\nINSERT INTO t VALUES ({{ n }}, {{ package_name }}); SELECT * FROM t",
        "c.py": "print('after')",
    }
    result = ferris.run(files, params={"n": 7}, connections={"data": f"sqlite:///{database}"})
    assert result.types[-1] == "execution.completed"
    assert [(line["step"], line["message"]) for line in result.lines] == [
        ("a.py", "before"),
        ("b.sql", "1 rows changed"),
        ("b.sql", '{"n": 7, "who": "a_service"}'),
        ("b.sql", "1 rows"),
        ("c.py", "after"),
    ]


def test_without_a_connection_the_error_names_the_remedy(ferris: Platform) -> None:
    result = ferris.run({"a.sql": "-- connection: warehouse\nSELECT 1"})
    assert result.last.data["reason"] == "script_failed"
    assert "no database connection 'warehouse'" in result.last.data["error"]
    assert "an administrator has to create it" in result.last.data["error"]


def test_a_sql_step_that_never_ends_is_timed_out(ferris: Platform, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "x.db").executescript("CREATE TABLE t (n INT)").close()
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    result = ferris.run({"a.sql": endless}, connections={"x": f"sqlite:///{tmp_path}/x.db"}, timeout=1.5)
    assert result.last.data["reason"] == "timeout"


def test_secrets_are_no_parameters_of_sql(ferris: Platform, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "x.db").executescript("CREATE TABLE t (n INT)").close()
    connections = {"x": f"sqlite:///{tmp_path}/x.db"}
    result = ferris.run({"a.sql": "SELECT {{ secrets.a }}"}, connections=connections, secrets={"a": "sesame"})
    assert "'secrets' is undefined" in result.last.data["error"]
