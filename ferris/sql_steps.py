"""What a manifest says about a service's .sql scripts: `connection` and `sql`; and which connections they name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from ferris.documents import Section

KEYS: Final = ("connection", "sql")
FORMATS: Final = ("csv", "parquet", "none")
MAX_ROWS: Final = 10_000_000
MAX_EVENT_ROWS: Final = 10_000
MAX_TIMEOUT: Final = 30 * 86400
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_LINE: Final = re.compile(r"\s*--\s*connection:\s*(\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SqlOptions:
    """How a service's .sql scripts run. `timeout` is of each statement, `rows` the most that are taken of a query."""

    connection: str | None = None
    read_only: bool = False
    timeout: float | None = None
    rows: int = 100_000
    format: str = "csv"
    result_event: str | None = None
    event_rows: int = 100

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> SqlOptions:
        """From plain values; what is not said has its default, what a newer platform says is left out."""
        return cls(**{name: said[name] for name in cls.__slots__ if said.get(name) is not None})

    def to_json(self) -> dict[str, Any]:
        """Only what is not the default."""
        default = asdict(SqlOptions())
        return {name: value for name, value in asdict(self).items() if value != default[name]}


def named(template: str) -> str | None:
    """The connection that a script's first line names."""
    found = _LINE.match(template)
    return found[1] if found else None


def parse(manifest: Section) -> SqlOptions:
    """`connection` and `sql` of a manifest; mistakes are noted."""
    connection = manifest.text("connection", limit=100).strip() or None
    if connection is not None and not NAME.fullmatch(connection):
        manifest.wrong("connection", "the name of a database connection, such as warehouse")
    given = manifest.get("sql")
    if given is None:
        return SqlOptions(connection)
    if not isinstance(given, dict):
        manifest.wrong("sql", 'an object such as {"timeout": "30s", "read_only": true}')
        return SqlOptions(connection)
    section = Section(given, manifest.file, manifest.key("sql"), manifest.notes)
    section.known(("read_only", "timeout", "rows", "format", "result_event", "event_rows"))
    default = SqlOptions()
    format = section.text("format", default.format).strip().lower()
    if format not in FORMATS:
        section.wrong("format", f"one of {', '.join(FORMATS)}")
    return SqlOptions(
        connection=connection,
        read_only=section.flag("read_only", default.read_only),
        timeout=section.duration("timeout", None, 0.01, MAX_TIMEOUT),
        rows=section.whole("rows", default.rows, 1, MAX_ROWS),
        format=format,
        result_event=section.text("result_event", limit=512).strip() or None,
        event_rows=section.whole("event_rows", default.event_rows, 0, MAX_EVENT_ROWS),
    )


def connections(
    options: SqlOptions, scripts: Iterable[str], files: Mapping[str, bytes]
) -> tuple[str, ...] | None:
    """The connections that the scripts name, or the manifest for them; None when one of them leaves it open."""
    found: dict[str, None] = {}
    for script in scripts:
        if script.endswith(".sql"):
            name = named(files.get(script, b"")[:4096].decode("utf-8-sig", "replace")) or options.connection
            if name is None:
                return None
            found[name] = None
    return tuple(found)
