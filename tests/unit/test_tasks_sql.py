"""SQL scripts: values are bound, templates are harmless, statements are one transaction."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ferris.sql_steps import SqlOptions
from tasks.sql.results import plain
from tasks.sql.script import run
from tasks.sql.statements import SqlError, statements
from tasks.sql.template import render


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE quakes (id TEXT, mag REAL); INSERT INTO quakes VALUES ('a', 4.5), ('b', 6.4)"
        )
    connection.close()
    return path


class Ran:
    """A script that ran: what it said and told."""

    def __init__(
        self, database: Path, sql: str, options: SqlOptions, params: dict[str, Any], read_only: bool = False
    ) -> None:
        self.folder = database.parent / "artifacts"
        self.folder.mkdir(exist_ok=True)
        self.said: list[str] = []
        self.told: list[dict[str, Any]] = []
        connections = {"main": {"url": f"sqlite:///{database}", "read_only": read_only}}
        run(
            "data.sql",
            sql,
            params,
            connections,
            options,
            folder=self.folder,
            say=self.said.append,
            tell=self.told.append,
        )


def ran(
    database: Path, sql: str, options: SqlOptions | None = None, read_only: bool = False, **params: Any
) -> Ran:
    return Ran(database, sql, options or SqlOptions(), params, read_only)


def rows(database: Path) -> list[Any]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute("SELECT * FROM quakes ORDER BY id").fetchall()
    finally:
        connection.close()


def shown(template: str, params: dict[str, Any], kind: str = "sqlite") -> tuple[str, list[Any]]:
    """The one statement with ?n for values."""
    sql, values = render(template, params)
    [statement] = statements(sql, kind)
    parts = statement.text.split("\0")
    return "".join(f"?{part}" if n % 2 else part for n, part in enumerate(parts)), values


def test_values_are_bound_never_pasted(database: Path) -> None:
    evil = "x'; DROP TABLE quakes; --"
    done = ran(
        database,
        "INSERT INTO quakes VALUES ({{ id }}, {{ mag }});\nSELECT id FROM quakes WHERE id = {{ id }}",
        id=evil,
        mag=None,
    )
    assert rows(database) == [("a", 4.5), ("b", 6.4), (evil, None)]
    assert done.said[0] == "line 1: INSERT: 1 row"
    assert done.told[0]["columns"] == ["id"]
    assert done.told[0]["rows"] == [[evil]]


@pytest.mark.parametrize(
    "written",
    ["{{ v }}", "{{ v | safe }}", "{{ v | upper | lower }}", "{{ v ~ '' }}", "{{ '%s' | format(v) }}"],
)
def test_no_filter_gets_round_the_binding(written: str) -> None:
    assert shown(f"SELECT {written}", {"v": "'; drop"}) == ("SELECT ?0", ["'; drop"])


def test_lists_dicts_constants_and_loops() -> None:
    sql, values = shown(
        "SELECT {{ 5 }} WHERE id IN {{ ids }} AND j = {{ d }} "
        "{% for x in ids if x > 1 %}OR y = {{ x }} {% endfor %}OR e IN {{ [] }}",
        {"ids": [1, 2], "d": {"a": 1}},
    )
    assert sql == "SELECT ?0 WHERE id IN (?1, ?2) AND j = ?3 OR y = ?4 OR e IN (NULL)"
    assert values == [5, 1, 2, '{"a": 1}', 2]


def test_names_of_tables_are_checked_and_quoted() -> None:
    template = "SELECT * FROM {{ t | identifier }}"
    assert shown(template, {"t": "main.quakes"})[0] == 'SELECT * FROM "main"."quakes"'
    for bad in ('a"b', "a; drop", "", "1a", 5, "a\nb", "ä"):
        with pytest.raises(SqlError, match="line 1: .*no name of a table"):
            render(template, {"t": bad})


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("SELECT {{ nothing }}", "line 1: 'nothing' is undefined"),
        ("SELECT\n'{{ v }}'", "line 2: .*between quotation marks"),
        ('SELECT "a {{ v }}"', "between quotation marks"),
        ("SELECT 1 -- {{ v }}", "in a comment"),
        ("SELECT {{ v", "line 1:"),
        ("\n\n{{ v.__class__.__mro__ }}", "line 3: .*unsafe"),
        ("{{ ''.__class__ }}", "unsafe"),
        ("{{ v.append(1) }}", "unsafe|no attribute"),
        ("{{ self.__init__.__globals__ }}", "unsafe"),
        ("{{ cycler.__init__.__globals__.os }}", "unsafe"),
        ("{{ ''.format.__globals__ }}", "unsafe|no attribute|undefined"),
        ("{{ '{0.__class__}'.format(v) }}", "unsafe"),
        ("{% for x in range(10000000) %}x{% endfor %}", "[Rr]ange too big"),
        ("SELECT\n{{ 1 / 0 }}", "line 2: .*ZeroDivisionError"),
        ("{% include 'other.sql' %}", "."),
        ("{% import 'os' as os %}", "."),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "without an end"),
        ("{% set x %}{{ v }}{% endset %}SELECT {{ x }}", "bound only where it stands"),
        ("SELECT {{ '\\0' }}", "NUL"),
        ("SELECT 1 \0 0 \0", "control characters"),
        ("SELECT {{ range }}", "no value for a database"),
    ],
)
def test_bad_templates(template: str, problem: str) -> None:
    with pytest.raises(SqlError, match=problem):
        statements(render(template, {"v": [1]})[0], "sqlite")


def test_an_error_undoes_everything_and_names_its_line(database: Path) -> None:
    with pytest.raises(SqlError, match="^line 4: no such table: nowhere; nothing was changed"):
        ran(database, "-- connection: main\nDELETE FROM quakes;\n\nDELETE FROM nowhere;")
    assert len(rows(database)) == 2


def test_lines_are_those_of_the_script_whatever_loops_repeat(database: Path) -> None:
    sql = "{% for n in ns %}\nINSERT INTO quakes\nVALUES ({{ n }}, {{ n }});\n{% endfor %}\nSELECT nope FROM quakes"
    with pytest.raises(SqlError, match="^line 5: no such column: nope"):
        ran(database, sql, ns=[1, 2, 3])


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT",
        "begin immediate",
        "SELECT 1; ROLLBACK",
        "/* x */ END",
        "SAVEPOINT a",
        "COM{% if true %}MIT{% endif %}",
        "START TRANSACTION",
        "SET TRANSACTION READ WRITE",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    ],
)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_script_does_not_end_the_transaction(sql: str, kind: str) -> None:
    with pytest.raises(SqlError, match="line 1: .* is not possible"):
        statements(render(sql, {})[0], kind)


def test_other_files_cannot_be_reached(database: Path, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "other.db").executescript("CREATE TABLE t (n)").close()
    for sql in (
        f"ATTACH '{tmp_path}/other.db' AS o",
        f"VACUUM INTO '{tmp_path}/new.db'",
        "SELECT load_extension('x')",
        "PRAGMA query_only = OFF",
    ):
        with pytest.raises(SqlError, match="not possible|not authorized|no such function"):
            ran(database, sql)
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("where", ["connection", "manifest"])
def test_read_only(database: Path, where: str) -> None:
    options = SqlOptions(read_only=where == "manifest")
    with pytest.raises(SqlError, match="readonly"):
        ran(database, "DELETE FROM quakes", options, read_only=where == "connection")
    assert ran(database, "SELECT id FROM quakes", options, read_only=True).told[0]["count"] == 2


def test_a_statement_that_takes_too_long_is_interrupted(database: Path) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    with pytest.raises(SqlError, match=r"line 1: the statement took longer than its timeout of 0.2 s"):
        ran(database, endless, SqlOptions(timeout=0.2))


def test_statements_are_divided_where_they_end() -> None:
    sql = (
        "-- a; b\nSELECT ';'; /* ; */ SELECT \"a;b\";\n"
        "CREATE TRIGGER t AFTER INSERT ON q BEGIN SELECT 1; SELECT 2; END; ; -- end"
    )
    found = [(" ".join(one.text.split()), one.line) for one in statements(sql, "sqlite")]
    assert found == [
        ("-- a; b SELECT ';';", 2),
        ('/* ; */ SELECT "a;b";', 2),
        ("CREATE TRIGGER t AFTER INSERT ON q BEGIN SELECT 1; SELECT 2; END;", 3),
    ]


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        ("SELECT $$a;b$$; SELECT $x$ $$;$$ ; $x$", 2),
        (r"SELECT E'\'; COMMIT; --'; SELECT 1", 2),
        ("SELECT E'a'\n'\\'; COMMIT; --'; SELECT 1", 2),
        ("/* a /* b; */ c; */ SELECT 1; SELECT 2", 2),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 1",
            2,
        ),
        ("SELECT a[1]; SELECT '{a;b}'::text[]", 2),
    ],
)
def test_statements_of_postgresql(sql: str, count: int) -> None:
    assert len(statements(sql, "postgresql")) == count


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("SELECT 1", True),
        ("(SELECT 1)", True),
        ("WITH a AS (SELECT 1) SELECT * FROM a", True),
        ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", False),
        ("SELECT * INTO b FROM a", False),
        ("SELECT 'INTO'", True),
        ("INSERT INTO a VALUES (1) RETURNING *", False),
    ],
)
def test_what_only_reads(sql: str, reads: bool) -> None:
    assert statements(sql, "postgresql")[0].reads is reads


@pytest.mark.parametrize(
    ("head", "default", "connections", "problem"),
    [
        ("", None, {}, "begin the script with a line.*this project has none"),
        ("", None, {"a": "sqlite:////x", "b": "sqlite:////y"}, "use one of a, b"),
        ("-- connection: c\n", None, {"a": "sqlite:////x"}, "no database connection 'c'.*administrator"),
        ("", "c", {"a": "sqlite:////x"}, "no database connection 'c'.*administrator"),
        ("-- connection: a\n", None, {"a": "mysql://h/x"}, "of kind 'mysql', which is not spoken here"),
        ("-- connection: a\n", "b", {"a": "sqlite:////nowhere/at/all.db"}, "unable to open"),
    ],
)
def test_connections(head: str, default: str | None, connections: dict[str, str], problem: str) -> None:
    held = {name: {"url": url} for name, url in connections.items()}
    options = SqlOptions(connection=default)
    with pytest.raises(SqlError, match=problem):
        run("x.sql", f"{head}SELECT 1", {}, held, options, folder=None, say=print, tell=print)


NUMBERS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1500) SELECT x, x'ff' AS b FROM n"


def test_all_rows_are_in_the_file_and_the_first_in_the_table(database: Path) -> None:
    done = ran(database, f"{NUMBERS}; SELECT 'a\"b' AS t, NULL AS none, '' AS empty")
    assert done.said == ["line 1: WITH: 1500 rows, in data.csv", "line 1: SELECT: 1 row, in data-2.csv"]
    first, second = done.told
    assert (first["count"], len(first["rows"]), first["file"], first["truncated"]) == (
        1500,
        50,
        "data.csv",
        False,
    )
    assert first["rows"][0] == ["1", "ff"]
    assert second["rows"] == [['a"b', None, ""]]
    with (done.folder / "data.csv").open(newline="") as file:
        found = list(csv.reader(file))
    assert found[0] == ["x", "b"]
    assert len(found) == 1501
    assert found[-1] == ["1500", "ff"]
    assert [path.name for path in done.folder.iterdir() if path.name.startswith(".")] == []


def test_the_limit_of_rows_is_told(database: Path) -> None:
    done = ran(database, NUMBERS, SqlOptions(rows=10))
    assert 'cut off after 10 rows, the limit ("sql": {"rows"' in done.said[0]
    assert (done.told[0]["count"], done.told[0]["truncated"]) == (10, True)
    assert len((done.folder / "data.csv").read_text().splitlines()) == 11


def test_a_result_becomes_an_event(database: Path) -> None:
    options = SqlOptions(result_event="shop.report.ready", event_rows=2, format="none")
    done = ran(database, "SELECT id, mag, id FROM quakes; SELECT count(*) AS n FROM quakes", options)
    events = [message for message in done.told if message["op"] == "event"]
    assert [event["type"] for event in events] == ["shop.report.ready"] * 2
    assert events[0]["data"] == {
        "script": "data.sql",
        "columns": ["id", "mag", "id_2"],
        "rows": [{"id": "a", "mag": 4.5, "id_2": "a"}, {"id": "b", "mag": 6.4, "id_2": "b"}],
        "count": 2,
        "truncated": False,
        "file": None,
        "line": 1,
    }
    assert done.told[-1] == events[1]
    assert list(done.folder.iterdir()) == []


def test_no_event_when_nothing_was_changed(database: Path) -> None:
    told: list[Any] = []
    options = SqlOptions(result_event="a.b")
    with pytest.raises(SqlError):
        run(
            "data.sql",
            "SELECT 1; SELECT nope FROM quakes",
            {},
            {"m": {"url": f"sqlite:///{database}"}},
            options,
            folder=None,
            say=print,
            tell=told.append,
        )
    assert [message["op"] for message in told] == ["table"]


def test_all_rows_as_parquet(database: Path) -> None:
    import pyarrow.parquet

    done = ran(database, "SELECT id, mag, NULL AS none FROM quakes ORDER BY id", SqlOptions(format="parquet"))
    found = pyarrow.parquet.read_table(done.folder / "data.parquet").to_pylist()
    assert found == [{"id": "a", "mag": 4.5, "none": None}, {"id": "b", "mag": 6.4, "none": None}]


def test_values_of_events() -> None:
    from decimal import Decimal

    given = [None, True, 1, 2**60, 1.5, float("inf"), Decimal("1.10"), b"\xff", {"a": Decimal(1)}, "x"]
    assert json.loads(json.dumps([plain(value) for value in given])) == [
        None, True, 1, str(2**60), 1.5, "inf", "1.10", "ff", {"a": "1"}, "x",
    ]  # fmt: skip
