"""SQL scripts: values are bound, templates are harmless, statements are one transaction."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tasks.sql import SqlError, render, run, statements


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "data.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE quakes (id TEXT, mag REAL); INSERT INTO quakes VALUES ('a', 4.5), ('b', 6.4)"
        )
    connection.close()
    return path


def ran(database: Path, sql: str, **params: Any) -> None:
    script = database.with_suffix(".sql")
    script.write_text(sql)
    run(str(script), params, {"main": f"sqlite:///{database}"})


def rows(database: Path) -> list[Any]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute("SELECT * FROM quakes ORDER BY id").fetchall()
    finally:
        connection.close()


def test_values_are_bound_never_pasted(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "x'; DROP TABLE quakes; --"
    ran(
        database,
        "INSERT INTO quakes VALUES ({{ id }}, {{ mag }}); SELECT id FROM quakes WHERE id = {{ id }}",
        id=evil,
        mag=None,
    )
    assert rows(database) == [("a", 4.5), ("b", 6.4), (evil, None)]
    assert capsys.readouterr().out == f"1 rows changed\n{json.dumps({'id': evil})}\n1 rows\n"


@pytest.mark.parametrize(
    "shown",
    ["{{ v }}", "{{ v | safe }}", "{{ v | upper | lower }}", "{{ v ~ '' }}", "{{ '%s' | format(v) }}"],
)
def test_no_filter_gets_round_the_binding(shown: str) -> None:
    sql, values = render(f"SELECT {shown}", {"v": "'; drop"})
    assert sql == "SELECT :ferris_value_0"
    assert values == {"ferris_value_0": "'; drop"}


def test_lists_dicts_constants_and_loops() -> None:
    sql, values = render(
        "SELECT {{ 5 }} WHERE id IN {{ ids }} AND j = {{ d }} "
        "{% for x in ids if x > 1 %}OR y = {{ x }} {% endfor %}OR e IN {{ [] }}",
        {"ids": [1, 2], "d": {"a": 1}},
    )
    assert sql == (
        "SELECT :ferris_value_0 WHERE id IN (:ferris_value_1, :ferris_value_2) AND j = :ferris_value_3 "
        "OR y = :ferris_value_4 OR e IN (NULL)"
    )
    assert list(values.values()) == [5, 1, 2, '{"a": 1}', 2]


def test_names_of_tables_are_checked_and_quoted() -> None:
    assert (
        render("SELECT * FROM {{ t | identifier }}", {"t": "main.quakes"})[0]
        == 'SELECT * FROM "main"."quakes"'
    )
    for bad in ('a"b', "a; drop", "", "1a", 5):
        with pytest.raises(SqlError, match="no name of a table"):
            render("SELECT * FROM {{ t | identifier }}", {"t": bad})


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("SELECT {{ nothing }}", "'nothing' is undefined"),
        ("SELECT '{{ v }}'", "between quotation marks"),
        ('SELECT "a {{ v }}"', "between quotation marks"),
        ("SELECT {{ v", "line 1:"),
        ("{{ v.__class__.__mro__ }}", "unsafe"),
        ("{{ ''.__class__ }}", "unsafe"),
        ("{{ v.append(1) }}", "unsafe|no attribute"),
        ("{% for x in range(10000000) %}x{% endfor %}", "[Rr]ange too big"),
        ("SELECT {{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% include 'other.sql' %}", "."),
    ],
)
def test_bad_templates(template: str, problem: str) -> None:
    with pytest.raises(SqlError, match=problem):
        render(template, {"v": [1]})


def test_an_error_undoes_everything(database: Path) -> None:
    with pytest.raises(SqlError, match="no such table: nowhere; nothing was changed"):
        ran(database, "DELETE FROM quakes; DELETE FROM nowhere;")
    assert len(rows(database)) == 2


def test_statements_are_divided_where_they_end() -> None:
    sql = (
        "-- a; b\nSELECT ';'; /* ; */ SELECT \"a;b\";\n"
        "CREATE TRIGGER t AFTER INSERT ON q BEGIN SELECT 1; SELECT 2; END; ; -- end"
    )
    found = [" ".join(statement.split()) for statement in statements(sql)]
    assert found == [
        "-- a; b SELECT ';';",
        '/* ; */ SELECT "a;b";',
        "CREATE TRIGGER t AFTER INSERT ON q BEGIN SELECT 1; SELECT 2; END;",
        ";",
    ]


@pytest.mark.parametrize(
    ("head", "connections", "problem"),
    [
        ("", {}, "begin the script with a line"),
        ("", {"a": "sqlite:////x", "b": "sqlite:////y"}, "use one of a, b"),
        (
            "-- connection: c\n",
            {"a": "sqlite:////x"},
            "no database connection 'c'.*there is: a.*administrator",
        ),
        (
            "-- connection: a\n",
            {"a": "postgresql://h/x"},
            "of type 'postgresql'; this executor speaks sqlite only",
        ),
        ("-- connection: a\n", {"a": "sqlite:////nowhere/at/all.db"}, "cannot be opened"),
    ],
)
def test_connections(head: str, connections: dict[str, str], problem: str, tmp_path: Path) -> None:
    script = tmp_path / "x.sql"
    script.write_text(f"{head}SELECT 1")
    with pytest.raises(SqlError, match=problem):
        run(str(script), {}, connections)


def test_many_rows_are_counted_and_not_all_shown(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran(
        database,
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1500) SELECT x, x'ff' AS b FROM n",
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '{"x": 1, "b": "ff"}'
    assert len(lines) == 1001
    assert lines[-1] == "1500 rows, of which 1000 are shown"
