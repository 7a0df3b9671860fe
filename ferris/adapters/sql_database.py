"""A database that SQL scripts run on, through SQLAlchemy: one connection, one transaction. PostgreSQL and SQLite.

Imported by the process of a SQL step, and by the web process when somebody tests a connection; by nobody at start.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from ferris.databases import KINDS, DatabaseUrl
from ferris.errors import FerrisError

CONNECT_SECONDS: Final = 10
_BUSY_SECONDS: Final = 30.0
_LOOK_EVERY: Final = 10_000
"""Steps of SQLite's machine between two looks at the clock."""
_AT_ONCE: Final = 1000
# Scripts may neither reach other files nor undo what they were given.
_DENIED: Final = frozenset({sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH})
_DENIED_PRAGMAS: Final = frozenset(
    {
        "query_only",
        "writable_schema",
        "journal_mode",
        "locking_mode",
        "trusted_schema",
        "temp_store_directory",
    }
)
_LIMIT_SQLITE_LENGTH: Final = 256 * 1024 * 1024


class DatabaseError(FerrisError):
    """The database refused something. `line` is that of the statement's text, from 0, where the database says it."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


class Rows:
    """What a statement gave: `columns` is None when it gives no rows, `count` then how many it changed (or -1)."""

    def __init__(self, database: Database, result: sqlalchemy.CursorResult[Any]) -> None:
        self._database, self._result = database, result
        self.columns = list(result.keys()) if result.returns_rows else None
        self.count = -1 if result.returns_rows else result.rowcount

    def __iter__(self) -> Any:
        """The rows, some at a time. DatabaseError, also when the time is over."""
        while True:
            try:
                part = self._result.fetchmany(_AT_ONCE)
            except (SQLAlchemyError, sqlite3.Error) as error:
                raise self._database.wrong(error) from None
            if not part:
                return
            yield from part
            if self._database.late:
                raise DatabaseError(self._database.too_long)

    def close(self) -> None:
        """No more of them."""
        self._result.close()


class Database:
    """One connection with a transaction begun. Use it with `with`; what is not committed is undone."""

    def __init__(
        self, url: str, *, read_only: bool = False, timeout: float | None = None, name: str = "ferris"
    ) -> None:
        """Connect and begin. WrongUrl; DatabaseError."""
        self._at = DatabaseUrl.parse(url)
        self.kind = self._at.kind
        self._timeout = timeout
        self._deadline: float | None = None
        self._engine = (_sqlite if self.kind == "sqlite" else _postgresql)(self._at, read_only, name)
        try:
            self._connection = self._engine.connect()
            if self.kind == "sqlite":
                self._begin_sqlite(read_only)
            else:
                self._begin_postgresql(read_only)
        except (SQLAlchemyError, sqlite3.Error, UnicodeError) as error:
            self._engine.dispose()
            raise self.wrong(error) from None

    def execute(self, text: str, values: Mapping[str, Any], *, stream: bool = False) -> Rows:
        """Run one statement; `text` has a `placeholder` for each value. DatabaseError.

        `stream`: it only gives rows; they are fetched little by little.
        """
        if self._timeout is not None:
            self._deadline = time.monotonic() + self._timeout
        options: dict[str, Any] = {"stream_results": True, "max_row_buffer": _AT_ONCE} if stream else {}
        try:
            result = self._connection.exec_driver_sql(text, dict(values), execution_options=options)
        except (SQLAlchemyError, sqlite3.Error, UnicodeError, OverflowError) as error:
            raise self.wrong(error) from None
        if self.kind == "postgresql" and not self._raw.info.transaction_status:
            raise DatabaseError("the transaction around all statements was ended by one of them")
        return Rows(self, result)

    def placeholder(self, name: str) -> str:
        """What stands for a value in a statement's text."""
        return f":{name}" if self.kind == "sqlite" else f"%({name})s"

    def literal(self, text: str) -> str:
        """A part of a statement's text as it must be written between placeholders."""
        return text if self.kind == "sqlite" else text.replace("%", "%%")

    def commit(self) -> None:
        """Make it last. DatabaseError: nothing was changed."""
        try:
            self._connection.commit()
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise self.wrong(error) from None

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._connection.close()
        except (SQLAlchemyError, sqlite3.Error):
            pass  # it is gone already, and with it the transaction
        self._engine.dispose()

    @property
    def version(self) -> str:
        """What kind of server it is, in words."""
        info = self._connection.dialect.server_version_info or ()
        return f"{KINDS[self.kind]} {'.'.join(map(str, info))}"

    @property
    def late(self) -> bool:
        """True when the statement's time is over."""
        return self._deadline is not None and time.monotonic() > self._deadline

    @property
    def too_long(self) -> str:
        """Said when it is."""
        return f"the statement took longer than its timeout of {self._timeout:g} s"

    def wrong(self, error: Exception) -> DatabaseError:
        """The driver's error in words a script's author can use; without SQL, values or addresses."""
        original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        code = getattr(original, "pgcode", None)
        if code == "57014" or (self.late and "interrupt" in str(original)):
            return DatabaseError(
                self.too_long if self._timeout is not None else "the statement was cancelled"
            )
        diagnosis: Any = getattr(original, "diag", None)
        told = getattr(diagnosis, "message_primary", None)
        if told:
            more = [told, *filter(None, (diagnosis.message_detail, diagnosis.message_hint))]
            return DatabaseError("; ".join(more), _line(original))
        text = " ".join(str(original).split()) or type(original).__name__
        return DatabaseError(text.replace(self._at.password, "***") if self._at.password else text)

    @property
    def _raw(self) -> Any:
        """The driver's own connection."""
        return self._connection.connection.dbapi_connection

    def _begin_sqlite(self, read_only: bool) -> None:
        raw = self._raw
        if read_only:
            raw.execute("PRAGMA query_only = ON")
        raw.execute("PRAGMA trusted_schema = OFF")
        self._connection.exec_driver_sql("BEGIN")
        raw.execute("SELECT 1 FROM sqlite_schema LIMIT 1")  # a file that is no database is told here
        raw.set_progress_handler(lambda: int(self.late), _LOOK_EVERY)
        raw.set_authorizer(_authorize)

    def _begin_postgresql(self, read_only: bool) -> None:
        if read_only:
            self._connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        limit = str(round(self._timeout * 1000)) if self._timeout is not None else "0"
        # A server that notices when its client has gone does not go on with a step that was cancelled.
        self._connection.exec_driver_sql(
            "SELECT set_config('statement_timeout', %(limit)s, true), (SELECT set_config(name, '2s', true)"
            " FROM pg_settings WHERE name = 'client_connection_check_interval')",
            {"limit": limit},
        )


def try_out(url: str, *, read_only: bool) -> str:
    """Connect, begin, ask something, undo: what answered. WrongUrl or DatabaseError."""
    with Database(url, read_only=read_only, timeout=CONNECT_SECONDS, name="ferris test") as database:
        database.execute("SELECT 1", {}).close()
        return database.version


def _sqlite(at: DatabaseUrl, read_only: bool, name: str) -> sqlalchemy.Engine:
    path = Path(at.database)

    def connect() -> sqlite3.Connection:
        # rw: a file that is not there is an error, not a new database
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
        )
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LIMIT_SQLITE_LENGTH)
        return connection

    return sqlalchemy.create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _postgresql(at: DatabaseUrl, read_only: bool, name: str) -> sqlalchemy.Engine:
    options: dict[str, Any] = {"connect_timeout": str(CONNECT_SECONDS), "application_name": name[:63]}
    url = sqlalchemy.URL.create(
        "postgresql+psycopg2",
        username=at.user or None,
        password=at.password or None,
        host=at.host,
        port=at.port,
        database=at.database,
        query={**options, **dict(at.options)},
    )
    return sqlalchemy.create_engine(url, poolclass=NullPool, hide_parameters=True)


def _authorize(
    action: int, first: str | None, second: str | None, schema: str | None, source: str | None
) -> int:
    if action in _DENIED or (
        action == sqlite3.SQLITE_PRAGMA and second is not None and first in _DENIED_PRAGMAS
    ):
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and second == "load_extension":
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _line(error: Any) -> int | None:
    """In which line of the statement PostgreSQL saw it; a value with line breaks before it moves that down."""
    position = getattr(error.diag, "statement_position", None)
    query = getattr(getattr(error, "cursor", None), "query", None)
    if not position or not query:
        return None
    return query.decode("utf-8", "replace")[: int(position) - 1].count("\n")  # type: ignore[no-any-return]
