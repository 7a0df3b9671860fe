"""What SQL scripts are promised, on every kind of database they may use."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ferris.adapters.sql_database import Database, DatabaseError, try_out
from ferris.config import ROOT
from ferris.sql_steps import SqlOptions
from tasks.sql.script import run
from tasks.sql.statements import SqlError

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n",
    "postgresql": "SELECT pg_sleep(600)",
}


ON_POSTGRESQL = pytest.mark.parametrize(
    "site", [pytest.param("postgresql", marks=pytest.mark.real)], indirect=True
)


class Site:
    """A database with an empty place for tables in it, and a folder for scripts."""

    def __init__(self, kind: str, url: str, folder: Path) -> None:
        self.kind, self.url, self.folder = kind, url, folder
        self.table = f"t{uuid4().hex[:12]}"
        self.said: list[str] = []
        self.told: list[dict[str, Any]] = []

    def run(self, sql: str, options: SqlOptions | None = None, **params: Any) -> list[dict[str, Any]]:
        """Run a script; @T stands for the table. The tables it told."""
        self.said, self.told = [], []
        files = self.folder / "files"
        files.mkdir(exist_ok=True)
        run(
            "report.sql",
            sql.replace("@T", self.table),
            params,
            {"main": {"url": self.url}},
            options or SqlOptions(),
            folder=files,
            say=self.said.append,
            tell=self.told.append,
        )
        return [message for message in self.told if message["op"] == "table"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Each kind of database."""
    monkeypatch.chdir(tmp_path)
    if request.param == "sqlite":
        sqlite3.connect(tmp_path / "data.db").executescript("CREATE TABLE made (n INT)").close()
        yield Site("sqlite", f"sqlite:///{tmp_path}/data.db", tmp_path)
        return
    real: Callable[[str], str] = request.getfixturevalue("real")
    made = Site("postgresql", real("FERRIS_DATABASE"), tmp_path)
    yield made
    made.run("DROP TABLE IF EXISTS @T; DROP FUNCTION IF EXISTS @T_f")


def test_values_rows_and_changes(site: Site) -> None:
    evil = 'x\'; DROP TABLE y; -- %s %(v0)s :v0 \\ \u00fc\U0001f300\n"q"'
    site.run("CREATE TABLE @T (id INTEGER PRIMARY KEY, who TEXT, n NUMERIC)")
    [shown] = site.run(
        "INSERT INTO @T VALUES (1, {{ who }}, {{ n }}), (2, '100%', NULL);\n"
        "SELECT id, who, n FROM @T WHERE who LIKE '%' AND id IN {{ ids }} ORDER BY id",
        who=evil,
        n=1.5,
        ids=[1, 2],
    )
    assert site.said[0] == "line 1: INSERT: 2 rows"
    assert shown["rows"] == [["1", evil, "1.5"], ["2", "100%", None]]
    assert (site.folder / "files" / "report.csv").read_text().startswith("id,who,n\n")


def test_an_error_undoes_all_and_names_its_line(site: Site) -> None:
    site.run("CREATE TABLE @T (id INTEGER PRIMARY KEY)")
    with pytest.raises(SqlError, match=r"^line 3: .*nothing was changed"):
        site.run("INSERT INTO @T VALUES (1);\n\nINSERT INTO @T VALUES (1);")
    with pytest.raises(SqlError, match=r"^line [12]: .*nope"):
        site.run("SELECT\n nope FROM @T")
    assert site.run("SELECT count(*) AS n FROM @T")[0]["rows"] == [["0"]]


def test_tables_are_made_in_the_same_transaction(site: Site) -> None:
    with pytest.raises(SqlError):
        site.run("CREATE TABLE @T (id INTEGER); SELECT nope")
    site.run("CREATE TABLE @T (id INTEGER)")


def test_read_only(site: Site) -> None:
    site.run("CREATE TABLE @T (id INTEGER)")
    for sql in ("INSERT INTO @T VALUES (1)", "DROP TABLE @T", "CREATE TABLE @T_x (n INT)"):
        with pytest.raises(SqlError, match=r"read-?only"):
            site.run(sql, SqlOptions(read_only=True))
    assert site.run("SELECT count(*) FROM @T", SqlOptions(read_only=True))[0]["rows"] == [["0"]]


def test_a_statement_that_takes_too_long(site: Site) -> None:
    began = time.monotonic()
    with pytest.raises(SqlError, match=r"line 2: the statement took longer than its timeout of 0.3 s"):
        site.run(f"SELECT 1;\n{ENDLESS[site.kind]}", SqlOptions(timeout=0.3))
    assert time.monotonic() - began < 60


def test_many_rows_do_not_fill_the_memory_and_are_limited(site: Site) -> None:
    many = {
        "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n",
        "postgresql": "SELECT x FROM generate_series(1, 100000000) AS x",
    }[site.kind]
    [shown] = site.run(many, SqlOptions(rows=5000))
    assert (shown["count"], shown["truncated"], len(shown["rows"])) == (5000, True, 50)
    assert len((site.folder / "files" / "report.csv").read_text().splitlines()) == 5001


def test_events_are_json(site: Site) -> None:
    site.run("SELECT 1.5 AS n, NULL AS none, 'x' AS t", SqlOptions(result_event="a.b"))
    [event] = [message for message in site.told if message["op"] == "event"]
    assert json.loads(json.dumps(event["data"]))["rows"][0] | {"n": 1} == {"n": 1, "none": None, "t": "x"}


def test_what_answers(site: Site) -> None:
    assert try_out(site.url, read_only=True).lower().startswith(site.kind)


@ON_POSTGRESQL
def test_postgresql_of_all_kinds(site: Site) -> None:
    [shown, again] = site.run(
        "SELECT '2026-01-02'::date AS d, '{\"a\": [1]}'::jsonb AS j, '\\xff'::bytea AS b, ARRAY[1, 2] AS l,\n"
        " interval '1 day' AS i, 1.10::numeric AS n, true AS t, '5%' AS p, 'a:b'::text AS c, $x$;$x$ AS s;\n"
        "SELECT {{ d }}::jsonb -> 'a' AS v, {{ when }}::timestamptz AT TIME ZONE 'UTC' AS w",
        SqlOptions(format="csv"),
        d={"a": 1},
        when="2026-01-02T03:04:05Z",
    )
    assert shown["rows"] == [
        ["2026-01-02", '{"a": [1]}', "ff", "[1, 2]", "1 day, 0:00:00", "1.10", "true", "5%", "a:b", ";"]
    ]
    assert again["rows"] == [["1", "2026-01-02T03:04:05"]]


@ON_POSTGRESQL
def test_postgresql_functions_and_a_transaction_ended_in_secret(site: Site) -> None:
    site.run("CREATE FUNCTION @T_f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;\nSELECT @T_f() AS n")
    assert site.told[0]["rows"] == [["2"]]
    with Database(site.url) as database, pytest.raises(DatabaseError, match="was ended by one of them"):
        database.execute("SELECT 1; COMMIT", {})


@ON_POSTGRESQL
def test_postgresql_a_step_that_is_killed_does_not_go_on_at_the_server(site: Site) -> None:
    with Database(site.url) as database:
        set_to = list(database.execute("SHOW client_connection_check_interval", {}))
    assert set_to == [("2s",)]


@ON_POSTGRESQL
def test_postgresql_errors_hold_no_password(site: Site) -> None:
    from ferris.databases import DatabaseUrl

    password = DatabaseUrl.parse(site.url).password
    wrong = site.url.replace(password, "not-the-one-4711")
    with pytest.raises(DatabaseError, match="password authentication failed") as caught:
        try_out(wrong, read_only=True)
    assert "not-the-one" not in str(caught.value)


@ON_POSTGRESQL
def test_postgresql_a_step_that_is_killed_does_not_go_on(site: Site) -> None:
    """Its server looks after its client, and ends what nobody waits for."""
    code = (
        "import sys; from ferris.adapters.sql_database import Database\n"
        f"database = Database(sys.stdin.readline(), name='ferris {site.table}')\n"
        "print('begun', flush=True)\nlist(database.execute('SELECT pg_sleep(600)', {}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(site.url + "\n")
        process.stdin.flush()
        try:
            assert process.stdout.readline() == "begun\n"
            _wait_for(site, 1)
        finally:
            process.kill()
    _wait_for(site, 0)


def _wait_for(site: Site, wanted: int) -> None:
    """Wait until so many statements of the step are at work."""
    text = (
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ferris {site.table}'"
        " AND state = 'active' AND strpos(query, 'pg_sleep') > 0"
    )
    deadline = time.monotonic() + 60
    while True:
        with Database(site.url) as database:
            [(found,)] = database.execute(text, {})
        if found == wanted:
            return
        assert time.monotonic() < deadline, f"{found} are at work"
        time.sleep(0.1)
