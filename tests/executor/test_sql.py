"""SQL scripts as steps of an execution."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tests.executor.control_server import Platform


def connection(tmp_path: Path, sql: str = "CREATE TABLE t (n INT, who TEXT)", **more: Any) -> dict[str, Any]:
    """A connection called `data` to a new SQLite file."""
    sqlite3.connect(tmp_path / "data.db").executescript(sql).close()
    return {"data": {"url": f"sqlite:///{tmp_path}/data.db", **more}}


def test_a_sql_step_between_python_steps(ferris: Platform, tmp_path: Path) -> None:
    files = {
        "a.py": "print('before')",
        "b.sql": "-- connection: data\nINSERT INTO t VALUES ({{ n }}, {{ package_name }});\nSELECT * FROM t",
        "c.py": "print('after')",
    }
    result = ferris.run(files, params={"n": 7}, connections=connection(tmp_path))
    assert result.types[-1] == "execution.completed", result.lines
    assert [(line["step"], line["message"]) for line in result.lines] == [
        ("a.py", "before"),
        ("b.sql", "line 2: INSERT: 1 row"),
        ("b.sql", "line 3: SELECT: 1 row, in b.csv"),
        ("c.py", "after"),
    ]
    done = [event.data for event in result.reports if event.type == "ferris.step.completed"]
    assert [step.get("tables") for step in done] == [
        None,
        [
            {
                "columns": ["n", "who"],
                "rows": [["7", "a_service"]],
                "count": 1,
                "truncated": False,
                "file": "b.csv",
                "line": 3,
            }
        ],
        None,
    ]


def test_a_result_as_an_event_that_keeps_its_id(ferris: Platform, tmp_path: Path) -> None:
    result = ferris.run(
        {"a.sql": "SELECT 1 AS one"},
        connections=connection(tmp_path),
        sql={"result_event": "shop.report.ready", "format": "none"},
    )
    [sent] = result.events
    assert (sent.type, sent.source, sent.hops) == ("shop.report.ready", "a_service", 1)
    assert sent.data["rows"] == [{"one": 1}]
    assert sent.causation_id == result.reports[0].subject


def test_without_a_connection_the_error_names_the_remedy(ferris: Platform) -> None:
    result = ferris.run({"a.sql": "-- connection: warehouse\nSELECT 1"})
    assert result.last.data["reason"] == "script_failed"
    assert "no database connection 'warehouse'" in result.last.data["error"]
    assert "an administrator has to create it" in result.last.data["error"]


def test_a_sql_step_that_never_ends_is_timed_out(ferris: Platform, tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    result = ferris.run({"a.sql": endless}, connections=connection(tmp_path), timeout=2.5)
    assert result.last.data["reason"] == "timeout"


def test_secrets_are_no_parameters_of_sql(ferris: Platform, tmp_path: Path) -> None:
    result = ferris.run(
        {"a.sql": "SELECT {{ secrets.a }}"}, connections=connection(tmp_path), secrets={"a": "sesame"}
    )
    assert "'secrets' is undefined" in result.last.data["error"]


def test_python_steps_see_no_connection_and_its_password_is_masked(ferris: Platform, tmp_path: Path) -> None:
    connections = {
        **connection(tmp_path),
        "other": {"url": "postgresql://ada:open-sesame%21@127.0.0.1:1/x"},
    }
    files = {
        "a.py": "import os, sys; print('127.0.0.1:1/x' in sys.argv[1] + str(dict(os.environ)), 'open-' + 'sesame!')",
        "b.sql": "-- connection: data\nSELECT {{ 'open-' ~ 'sesame!' }} AS v",
        "c.sql": "-- connection: other\nSELECT 1",
    }
    result = ferris.run(files, connections=connections)
    assert result.text("stdout").splitlines()[0] == "False ***"
    assert "connection 'other'" in result.last.data["error"]
    assert "refused" in result.last.data["error"]
    said = str([event.data for event in result.reports]) + str(result.lines)
    assert "open-sesame" not in said
    assert "***" in str(next(event.data["tables"] for event in result.reports if "tables" in event.data))


def test_modules_of_the_package_do_not_stand_in_for_the_platforms(ferris: Platform, tmp_path: Path) -> None:
    files = {
        "a.sql": "SELECT 1",
        "json.py": "raise SystemExit('mine')",
        "sqlalchemy.py": "raise SystemExit('mine')",
    }
    result = ferris.run(files, scripts=("a.sql",), connections=connection(tmp_path))
    assert result.types[-1] == "execution.completed", result.lines


def test_a_script_that_is_too_large_for_its_memory_says_so(ferris: Platform, tmp_path: Path) -> None:
    files = {"a.sql": "SELECT {{ 'x' * 10**10 }}"}
    result = ferris.run(files, connections=connection(tmp_path), limits={"memory": 256 * 1024**2})
    assert "Traceback" not in result.text("stderr")
    assert "MemoryError: the script, its values or its rows" in result.last.data["error"]
    [failed] = [event.data for event in result.reports if event.type == "ferris.step.failed"]
    assert failed["exit_reason"].endswith("out of memory, the limit is 256 MB")


def test_all_rows_are_an_artifact_of_the_step(ferris: Platform, tmp_path: Path) -> None:
    result = ferris.run({"a.sql": "SELECT 1 AS one; SELECT 2 AS two"}, connections=connection(tmp_path))
    kept = [event.data["artifacts"] for event in result.reports if event.type == "ferris.step.completed"]
    assert [artifact["name"] for artifact in kept[0]] == ["a-2.csv", "a.csv"]
