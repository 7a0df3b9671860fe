"""Runs a .sql script: a process of its own, started by the executor with `{"script", "params", "connections"}`.

The script is a Jinja template. What `{{ ... }}` gives is never pasted into the SQL but bound as a value (a list
becomes `(?, ?, ...)`), so it cannot change what the statement does. A first line `-- connection: NAME` says where it
runs. Rows are printed as JSON, one to a line. All statements are one transaction.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from jinja2 import StrictUndefined, TemplateError, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_ROWS: Final = 1000
_CONNECTION: Final = re.compile(r"\s*--\s*connection:\s*(\S+)", re.IGNORECASE)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_BOUND: Final = "ferris_value_"
# Texts, quoted names and comments, whole; and what stands between them, one by one.
_TOKEN: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|.", re.DOTALL)


class SqlError(Exception):
    """The script cannot be run; the text says why, for its author."""


class _Identifier(str):
    """A name of a table or column that was checked: pasted, where everything else is bound."""


def render(template: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The SQL with a placeholder for each value, and the values. SqlError."""
    values: dict[str, Any] = {}

    def bind(value: Any) -> str:
        name = f"{_BOUND}{len(values)}"
        values[name] = json.dumps(value) if isinstance(value, dict) else value
        return f":{name}"

    @pass_context
    def finalize(_: Context, value: Any) -> str:
        if isinstance(value, _Identifier):
            return str(value)
        if isinstance(value, StrictUndefined):
            str(value)  # raises, naming it
        if isinstance(value, (list, tuple)):
            return f"({', '.join(map(bind, value)) or 'NULL'})"
        return bind(value)

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, finalize=finalize, autoescape=False
    )
    environment.filters = {**environment.filters, "identifier": _identifier}
    try:
        sql = environment.from_string(template).render(params)
    except TemplateError as error:
        at = getattr(error, "lineno", None)
        raise SqlError(f"line {at}: {error.message}" if at else str(error.message)) from None
    except (TypeError, ValueError, ArithmeticError, AttributeError, KeyError) as error:
        raise SqlError(f"the template failed: {type(error).__name__}: {error}") from None
    _check_places(sql)
    return sql, values


def statements(sql: str) -> Iterator[str]:
    """The statements one by one; a trigger's inner semicolons do not divide it."""
    text = ""
    for part in _TOKEN.findall(sql):
        text += part
        if part == ";" and sqlite3.complete_statement(text):
            yield text
            text = ""
    if _has_code(text):
        yield text


def connect(template: str, connections: Mapping[str, str]) -> sqlite3.Connection:
    """The connection the script names, or the only one there is. SqlError with the remedy."""
    named = _CONNECTION.match(template)
    if named is None and len(connections) != 1:
        known = f"use one of {', '.join(sorted(connections))}" if connections else "none is configured"
        raise SqlError(f"begin the script with a line `-- connection: NAME` ({known})")
    name = named[1] if named else next(iter(connections))
    if name not in connections:
        known = ", ".join(sorted(connections)) or "none at all"
        raise SqlError(
            f"there is no database connection {name!r} for this service (there is: {known}); "
            "an administrator has to create it"
        )
    url = urlsplit(connections[name])
    if url.scheme != "sqlite":
        raise SqlError(f"connection {name!r} is of type {url.scheme!r}; this executor speaks sqlite only")
    path = Path(unquote(url.path))
    try:
        return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=30.0, isolation_level=None)
    except (sqlite3.Error, ValueError) as error:
        raise SqlError(f"connection {name!r} cannot be opened: {error}") from None


def run(script: str, params: Mapping[str, Any], connections: Mapping[str, str]) -> None:
    """Run the script's statements; print rows and counts. SqlError."""
    template = Path(script).read_text(encoding="utf-8")
    sql, values = render(template, params)
    connection = connect(template, connections)
    try:
        connection.execute("BEGIN")
        for statement in statements(sql):
            _execute(connection, statement, values)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise SqlError(f"{error}; nothing was changed") from None
    finally:
        connection.close()


def _execute(connection: sqlite3.Connection, statement: str, values: Mapping[str, Any]) -> None:
    own = {name: value for name, value in values.items() if re.search(rf":{name}\b", statement)}
    cursor = connection.execute(statement, own)
    if cursor.description is None:
        if cursor.rowcount >= 0:
            print(f"{cursor.rowcount} rows changed")
        return
    names = [column[0] for column in cursor.description]
    count = 0
    for count, row in enumerate(cursor, 1):
        if count <= MOST_ROWS:
            print(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=_plain))
    print(f"{count} rows" + (f", of which {MOST_ROWS} are shown" if count > MOST_ROWS else ""))


def _plain(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _identifier(value: Any) -> _Identifier:
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise SqlError(f"{value!r} is no name of a table or column")
    return _Identifier('"' + value.replace(".", '"."') + '"')


def _check_places(sql: str) -> None:
    for token in _TOKEN.findall(sql):
        if token[0] in "'\"" and _BOUND in token:
            raise SqlError(
                "a {{ ... }} stands between quotation marks; write it without them, its value is bound"
            )


def _has_code(text: str) -> bool:
    return any(not token.isspace() and not token.startswith(("--", "/*")) for token in _TOKEN.findall(text))


def main() -> int:
    """The process: 0, or 1 with the reason on standard error."""
    order = json.loads(sys.argv[1])
    try:
        run(order["script"], order["params"], order["connections"])
    except (SqlError, OSError, UnicodeDecodeError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
