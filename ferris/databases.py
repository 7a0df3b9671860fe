"""The address of a database that SQL scripts may use: a URL, checked and shown without its password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ferris.errors import FerrisError

SQLITE: Final = "sqlite"
KINDS: Final = {"postgresql": "PostgreSQL", SQLITE: "SQLite"}
_POSTGRESQL: Final = ("postgresql", "postgres", "postgresql+psycopg2")
LONGEST: Final = 2000
# What a URL may ask of libpq. Whatever makes it read files of the server or follow other configuration is not here.
HIDDEN: Final = "…"
_OPTIONS: Final = frozenset(
    {
        "sslmode", "sslrootcert", "channel_binding", "gssencmode", "connect_timeout", "application_name",
        "target_session_attrs", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
    }
)  # fmt: skip
_EXAMPLES: Final = "postgresql://user:password@host:5432/database or sqlite:////folder/file.db"


class WrongUrl(FerrisError):
    """A text that is no address of a database; the text never holds the password."""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A checked address. `password` stays out of every text but `str(url)`, which nobody but the driver sees."""

    kind: str
    database: str
    host: str = ""
    port: int | None = None
    user: str = ""
    password: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> DatabaseUrl:
        """Read a URL. WrongUrl says what is wrong and what was expected."""
        text = text.strip()
        try:
            parts = urlsplit(text)
            host, port, user, password = parts.hostname or "", parts.port, parts.username, parts.password
        except ValueError:
            raise WrongUrl(f"is no URL; expected {_EXAMPLES}") from None
        if len(text) > LONGEST or any(ord(c) < 32 or ord(c) == 127 for c in text):
            raise WrongUrl(f"is longer than {LONGEST} characters or holds control characters")
        if parts.fragment:
            raise WrongUrl("holds a #, which must be written %23 inside a user name or password")
        if parts.scheme in _POSTGRESQL:
            return cls._postgresql(parts.path, host, port, user, password, parts.query)
        if parts.scheme == "sqlite":
            if parts.netloc or parts.query:
                raise WrongUrl(
                    "is SQLite's, which has neither host nor options; expected sqlite:////folder/file.db"
                )
            return cls("sqlite", _file(unquote(parts.path)))
        kind = parts.scheme[:40] or "none at all"
        raise WrongUrl(f"is of kind {kind!r}, which is not spoken here; expected {_EXAMPLES}")

    @classmethod
    def _postgresql(
        cls, path: str, host: str, port: int | None, user: str | None, password: str | None, query: str
    ) -> DatabaseUrl:
        database = unquote(path.removeprefix("/"))
        if not host or not database or "/" in database:
            raise WrongUrl(
                "names no host or no database; expected postgresql://user:password@host:5432/database"
            )
        options = tuple(parse_qsl(query, keep_blank_values=True))
        for name, _ in options:
            if name not in _OPTIONS:
                raise WrongUrl(f"has the option {name[:40]!r}; possible are {', '.join(sorted(_OPTIONS))}")
        return cls("postgresql", database, host, port, unquote(user or ""), unquote(password or ""), options)

    def __str__(self) -> str:
        """The whole URL, with its password."""
        return self._text(f":{quote(self.password, safe='')}" if self.password else "")

    def __repr__(self) -> str:
        return f"DatabaseUrl({self.shown})"

    @property
    def shown(self) -> str:
        """For people: without the password."""
        return self._text(f":{HIDDEN}" if self.password else "")

    @property
    def place(self) -> tuple[Any, ...]:
        """What makes two URLs the same database."""
        return (self.kind, self.host.lower(), self.port or (5432 if self.host else None), self.database)

    def _text(self, password: str) -> str:
        if self.kind == "sqlite":
            return f"sqlite:///{quote(self.database)}"
        user = f"{quote(self.user, safe='')}{password}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        options = "&".join(f"{name}={quote(value, safe='')}" for name, value in self.options)
        return f"postgresql://{user}{host}{port}/{quote(self.database, safe='')}" + (
            f"?{options}" if options else ""
        )


def passwords(connections: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What must be masked of an order's connections: their passwords."""
    found = []
    for connection in connections.values():
        try:
            found.append(DatabaseUrl.parse(str(connection.get("url", ""))).password)
        except WrongUrl:
            found.append(str(connection.get("url", "")))
    return [password for password in found if password]


def _file(path: str) -> str:
    file = path.removeprefix("/")  # sqlite:////folder is an absolute path, sqlite:///folder none
    if not file.startswith("/") or ".." in PurePosixPath(file).parts or file.endswith("/") or "//" in file:
        raise WrongUrl("is no absolute path of a file; expected four slashes: sqlite:////folder/file.db")
    return file
