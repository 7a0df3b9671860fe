"""What queries give: a file with all rows, a table with the first, an event with some."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

TABLE_ROWS: Final = 50
TABLE_BYTES: Final = 32 * 1024
EVENT_BYTES: Final = 256 * 1024
LONGEST_CELL: Final = 500
_MARK: Final = " …"


class Result:
    """One result: takes its rows one by one, keeps the first, writes all that may be kept to a file."""

    def __init__(
        self, columns: Sequence[str], line: int, file: Path | None, writer: Writer | None, event_rows: int
    ) -> None:
        self.columns, self.line, self._file, self._writer = _unlike(columns), line, file, writer
        self._table, self._event = Some(TABLE_ROWS, TABLE_BYTES), Some(event_rows, EVENT_BYTES)
        self.count = 0
        self.cut = False
        if writer is not None:
            writer.begin(self.columns)

    def add(self, row: Sequence[Any]) -> None:
        """One more row."""
        self.count += 1
        if self._writer is not None:
            self._writer.row(row)
        if self._event.open:
            self._event.add([plain(value) for value in row])
        if self._table.open:
            self._table.add([_cell(value) for value in row])

    def close(self) -> None:
        """There are no more."""
        if self._writer is not None:
            self._writer.close()

    def discard(self) -> None:
        """It is not whole."""
        if self._writer is not None:
            self._writer.discard()

    @property
    def file(self) -> str | None:
        """The name of the file with all rows."""
        return self._file.name if self._file is not None else None

    def table(self) -> dict[str, Any]:
        """For people to look at: the first rows."""
        return {"columns": self.columns, "rows": self._table.rows, **self._said()}

    def event(self, script: str) -> dict[str, Any]:
        """For programs: rows as objects. `count` rows were given, these may be fewer."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self._event.rows]
        return {"script": script, "columns": self.columns, "rows": rows, **self._said()}

    def _said(self) -> dict[str, Any]:
        return {"count": self.count, "truncated": self.cut, "file": self.file, "line": self.line}


class Some:
    """The first rows, as many as fit."""

    def __init__(self, most: int, size: int) -> None:
        self.rows: list[list[Any]] = []
        self._most, self._left = most, size

    @property
    def open(self) -> bool:
        """True while there is room."""
        return len(self.rows) < self._most and self._left > 0

    def add(self, row: list[Any]) -> None:
        """Take it if it fits; after one that does not, none does."""
        self._left -= len(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
        if self._left > 0:
            self.rows.append(row)


class Writer:
    """A file of rows that is whole when it is closed. It has its name only then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")

    def begin(self, columns: Sequence[str]) -> None:
        """The columns come first."""
        raise NotImplementedError

    def row(self, row: Sequence[Any]) -> None:
        """Then the rows."""
        raise NotImplementedError

    def close(self) -> None:
        """The file has its name now."""
        self._part.rename(self._path)

    def discard(self) -> None:
        """It never gets its name."""
        self._part.unlink(missing_ok=True)


class Csv(Writer):
    """RFC 4180, UTF-8. NULL is an empty field, a text that is empty is `""`."""

    def begin(self, columns: Sequence[str]) -> None:
        self._to: IO[str] = self._part.open("w", encoding="utf-8", errors="replace", newline="")
        self._writer = csv.writer(self._to, quoting=csv.QUOTE_MINIMAL)
        self._writer.writerow(columns)

    def row(self, row: Sequence[Any]) -> None:
        self._writer.writerow(["" if value is None else _text(value) for value in row])

    def close(self) -> None:
        self._to.close()
        super().close()


class Parquet(Writer):
    """By pyarrow, imported by who needs it. A column of unlike values becomes text."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        import pyarrow.parquet

        self._pyarrow: Any = pyarrow

    def begin(self, columns: Sequence[str]) -> None:
        self._names = list(columns)
        self._columns: list[list[Any]] = [[] for _ in columns]

    def row(self, row: Sequence[Any]) -> None:
        for column, value in zip(self._columns, row, strict=True):
            column.append(bytes(value) if isinstance(value, memoryview) else value)

    def close(self) -> None:
        arrays = [self._array(column) for column in self._columns]
        table = self._pyarrow.Table.from_arrays(arrays, names=self._names)
        self._pyarrow.parquet.write_table(table, self._part)
        super().close()

    def _array(self, column: list[Any]) -> Any:
        try:
            return self._pyarrow.array(column)
        except (self._pyarrow.ArrowException, TypeError, OverflowError):
            return self._pyarrow.array([None if value is None else str(_text(value)) for value in column])


_WRITERS: Final[dict[str, type[Writer]]] = {"csv": Csv, "parquet": Parquet}


class Files:
    """Names and makes the files of a script's results."""

    def __init__(self, folder: Path | None, script: str, format: str) -> None:
        self._folder = folder if format != "none" else None
        self._stem = str(PurePosixPath(script).with_suffix("")).replace("/", "-")
        self._format, self._number = format, 0

    def next(self) -> tuple[Path | None, Writer | None]:
        """`report.csv`, then `report-2.csv`; none where no files are kept."""
        self._number += 1
        if self._folder is None:
            return None, None
        name = self._stem if self._number == 1 else f"{self._stem}-{self._number}"
        path = self._folder / f"{name}.{self._format}"
        return path, _WRITERS[self._format](path)


def plain(value: Any) -> Any:
    """A value as JSON has it. Numbers that JSON's readers would round are texts."""
    if value is None or isinstance(value, (bool, str, list, dict)):
        return value if not isinstance(value, (list, dict)) else json.loads(json.dumps(value, default=_text))
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    if isinstance(value, float) and abs(value) < float("inf"):
        return value
    return str(_text(value))


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    text = str(_text(value))
    return text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + _MARK


def _text(value: Any) -> Any:
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=_text)
    if isinstance(value, (Decimal, timedelta)):
        return str(value)
    return value if isinstance(value, (str, int, float)) else str(value)


def _unlike(columns: Iterable[str]) -> list[str]:
    """Two columns of one name would be one key of an object."""
    seen: dict[str, int] = {}
    found = []
    for name in columns:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return found
