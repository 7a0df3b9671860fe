"""The command of a SQL script: the platform's own Python and packages, and the one connection that it uses.

Its process holds the password of a database. So nothing of the service's is imported in it, and what it is told it need
not look for in a folder where an earlier script may have left links: it gets the script's text.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ferris.config import ROOT
from ferris.databases import SQLITE, DatabaseUrl, WrongUrl
from ferris.execution import ExecutionOrder, script_argument
from ferris.isolation import BEST, NONE
from ferris.sql_steps import SqlOptions, named
from tasks.cell import Cell
from tasks.isolation import SYSTEM, Isolation, IsolationMissing, Opened, Plan
from tasks.runner import Command
from tasks.within import opened

_PROGRAM: Final = Path(__file__).resolve().parent / "sql" / "__main__.py"
_LONGEST: Final = 16 * 1024 * 1024
_CERTIFICATE: Final = "sslrootcert"
_WITHOUT_SECRETS: Final = (*(path for path in SYSTEM if path != "/etc"), "/etc/localtime", "/etc/ld.so.cache")
"""For a process that stays the worker's user, which may be root: then /etc holds what other users cannot read."""

# What takes longest to import: forks of a warm interpreter have it.
_IMPORTS: Final = (
    "sqlalchemy.dialects.sqlite.pysqlite",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "tasks.sql.script",
)


class SqlStep:
    """One script of an execution, as it stands in the package's folder now."""

    def __init__(self, order: ExecutionOrder, script: str, folder: Path) -> None:
        self._order, self._script, self._folder = order, script, folder
        self._text, self._problem = _text(folder, script)
        name = named(self._text) or SqlOptions.of(order.sql).connection
        self._connections = _chosen(order.connections, name)
        self._database = _database(self._connections)

    def command(self, environ: Mapping[str, str]) -> Command:
        """How to run it. `environ`: its environment."""
        params = json.loads(script_argument(self._order))
        del params["secrets"]
        said = {
            "script": self._script,
            "template": self._text,
            "problem": self._problem,
            "params": params,
            "connections": self._connections,
            "options": dict(self._order.sql),
        }
        return Command(
            python=sys.executable,
            script=str(_PROGRAM),
            folder=self._folder,
            environment={**environ, "FERRIS_WARM_IMPORTS": " ".join(_IMPORTS), "FERRIS_WARM_PATH": str(ROOT)},
            argument=json.dumps(said).encode(),
        )

    def plan(self, isolation: Isolation, cell: Cell, relay_port: int) -> Plan | None:
        """How it confines itself: as a Python script, but it must reach its database: over the network, whatever the
        manifest says of that; a file as the worker's user, whose it is. IsolationMissing."""
        order, database = self._order, self._database
        opened = Opened(sys.executable, (str(ROOT / "ferris"), str(ROOT / "tasks")), lists=(str(ROOT),))
        if database is not None and database.kind == SQLITE:
            cell = replace(cell, uid=None)
            opened = replace(opened, writes=_folders(database.database), system=_WITHOUT_SECRETS)
            level, _ = isolation.layers(order)
            if level == BEST and (taken := sorted(isolation.closed.intersection(opened.writes))):
                raise IsolationMissing(
                    f"its database is a file in {taken[0]}, which is closed at level best: SQLite needs the folder "
                    "of its file; move it to a folder of its own, and correct the connection"
                )
        elif database is not None:
            named = (value for name, value in database.options if name == _CERTIFICATE)
            opened = replace(opened, reads=(*opened.reads, *named))
        far = database is not None and database.kind != SQLITE
        return isolation.plan_with(
            order, cell, opened, relay_port if order.network == NONE and not far else None
        )


def _folders(file: str) -> tuple[str, ...]:
    """Where SQLite makes others beside a file, which may be a link."""
    return tuple(sorted({os.path.dirname(file), os.path.dirname(os.path.realpath(file))}))


def _database(connections: Mapping[str, Mapping[str, Any]]) -> DatabaseUrl | None:
    """What it connects to; None when it will not, which its process explains."""
    try:
        [connection] = connections.values()
        return DatabaseUrl.parse(str(connection["url"]))
    except (ValueError, KeyError, WrongUrl):
        return None


def _chosen(connections: Mapping[str, Mapping[str, Any]], name: str | None) -> dict[str, dict[str, Any]]:
    """Of the connections the one that is used; where it is not clear which, their names alone, for the error."""
    if name is None and len(connections) == 1:
        return {known: dict(one) for known, one in connections.items()}
    if name is not None and name in connections:
        return {name: dict(connections[name])}
    return {known: {} for known in connections}


def _text(folder: Path, script: str) -> tuple[str, str]:
    """The script's text, and why there is none."""
    file = opened(folder, script)
    if isinstance(file, str):
        return "", f"{script} cannot be run: {file}"
    with file:
        content = file.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        return "", f"{script} cannot be run: it is longer than {_LONGEST // 1024**2} MB"
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        return "", f"{script} is no UTF-8: {error}"
