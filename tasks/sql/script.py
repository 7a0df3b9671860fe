"""Runs one SQL script: all its statements on one connection, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ferris.adapters.sql_database import Database, DatabaseError, Rows
from ferris.databases import DatabaseUrl, WrongUrl
from ferris.sql_steps import SqlOptions, named
from tasks.sql.results import Files, Result
from tasks.sql.statements import VALUE, SqlError, Statement, statements
from tasks.sql.template import render

Tell = Callable[[dict[str, Any]], None]
"""Takes a message for the executor."""


def run(
    script: str,
    template: str,
    params: Mapping[str, Any],
    connections: Mapping[str, Mapping[str, Any]],
    options: SqlOptions,
    *,
    folder: Path | None,
    say: Callable[[str], None],
    tell: Tell,
) -> None:
    """Run the statements of a script, whose text is `template`. `folder` takes the files of its results, `say` a line
    for each statement, `tell` tables, and after the commit events. SqlError, with the script's line."""
    name, connection = _chosen(template, connections, options.connection)
    kind = _kind(name, connection)
    sql, values = render(template, params)
    parts = statements(sql, kind)
    read_only = options.read_only or bool(connection.get("read_only"))
    files = Files(folder, script, options.format)
    results = []
    try:
        with Database(
            connection["url"],
            read_only=read_only,
            timeout=options.timeout,
            name=f"ferris {params.get('package_name', '')} {script}",
        ) as database:
            for statement in parts:
                result = _run_one(database, statement, values, options, files, say)
                if result is not None:
                    results.append(result)
                    tell({"op": "table", **result.table()})
            _at(parts[-1] if parts else None, database.commit)
    except DatabaseError as error:
        raise SqlError(f"connection {name!r}: {error}") from None
    if options.result_event:
        for result in results:
            tell({"op": "event", "type": options.result_event, "data": result.event(script)})


def _chosen(
    template: str, connections: Mapping[str, Mapping[str, Any]], default: str | None
) -> tuple[str, Mapping[str, Any]]:
    """The connection the script names, or the manifest, or the only one there is. SqlError with the remedy."""
    name = named(template) or default
    if name is None and len(connections) != 1:
        known = f"use one of {', '.join(sorted(connections))}" if connections else "this project has none"
        raise SqlError(
            'begin the script with a line `-- connection: NAME`, or set "connection" in manifest.json '
            f"({known}; an administrator creates connections and lets projects use them)"
        )
    name = name if name is not None else next(iter(connections))
    if name not in connections:
        raise SqlError(
            f"there is no database connection {name!r} for this project; an administrator has to create it, or to "
            "let the project use it"
        )
    return name, connections[name]


def _kind(name: str, connection: Mapping[str, Any]) -> str:
    try:
        return DatabaseUrl.parse(str(connection["url"])).kind
    except WrongUrl as error:
        raise SqlError(f"connection {name!r}: its URL {error}") from None


def _run_one(
    database: Database,
    statement: Statement,
    values: list[Any],
    options: SqlOptions,
    files: Files,
    say: Callable[[str], None],
) -> Result | None:
    try:
        rows = database.execute(*_bound(database, statement, values), stream=statement.reads)
        if rows.columns is None:
            changed = "done" if rows.count < 0 else f"{rows.count} {'row' if rows.count == 1 else 'rows'}"
            say(f"line {statement.line}: {statement.verb}: {changed}")
            return None
        result = Result(rows.columns, statement.line, *files.next(), options.event_rows)
        _take(rows, result, options.rows)
    except DatabaseError as error:
        raise _placed(statement, error) from None
    said = f"{result.count} {'row' if result.count == 1 else 'rows'}"
    if result.cut:
        said = f'cut off after {said}, the limit ("sql": {{"rows": …}} in manifest.json)'
    say(f"line {statement.line}: {statement.verb}: {said}" + (f", in {result.file}" if result.file else ""))
    return result


def _take(rows: Rows, result: Result, most: int) -> None:
    try:
        for row in rows:
            if result.count == most:
                result.cut = True
                break
            result.add(row)
        rows.close()
        result.close()
    except BaseException:
        result.discard()
        raise


def _bound(database: Database, statement: Statement, values: list[Any]) -> tuple[str, dict[str, Any]]:
    """The statement as the driver wants it, and the values that stand in it."""
    text, own, done = "", {}, 0
    for mark in VALUE.finditer(statement.text):
        name = f"v{mark[1]}"
        own[name] = values[int(mark[1])]
        text += database.literal(statement.text[done : mark.start()]) + database.placeholder(name)
        done = mark.end()
    return text + database.literal(statement.text[done:]), own


def _at(statement: Statement | None, commit: Callable[[], None]) -> None:
    """What is checked at the end only (deferred constraints) has no line of its own."""
    try:
        commit()
    except DatabaseError as error:
        raise SqlError(f"at the end: {error}; nothing was changed") from None


def _placed(statement: Statement, error: DatabaseError) -> SqlError:
    line = statement.line
    if error.line is not None:
        line = statement.lines[min(error.line, len(statement.lines) - 1)]
    return SqlError(f"line {line}: {error}; nothing was changed")
