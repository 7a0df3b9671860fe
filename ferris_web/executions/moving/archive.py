"""The file that carries a platform: a ZIP of JSON lines and objects, written and read as a stream.

Its members have names of this module's own making (`rows/executions.flow.jsonl`, `objects/00000000.contents/017`):
whatever a bucket or a key is called, unpacking it with any program writes to no other place. The last member,
`manifest.json`, says what the others hold; an archive whose writing was cut short cannot be opened at all.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, TypeVar, cast

from ferris.errors import FerrisError
from remote.saving import new_file

FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_CHUNK: Final = 1024 * 1024
T = TypeVar("T")


class ArchiveError(FerrisError):
    """The file cannot be read, or is no archive of a platform."""


class Writer:
    """An archive under way. Members are written one after the other."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file

    def lines(self, name: str, rows: Iterable[Any]) -> int:
        """Write a member of one JSON value per line; how many there were."""
        count = 0
        with self._file.open(f"{name}.jsonl", "w", force_zip64=True) as member:
            for row in rows:
                member.write(json.dumps(row, separators=(",", ":"), default=str).encode() + b"\n")
                count += 1
        return count

    def content(self, name: str, source: IO[bytes]) -> int:
        """Write a member of any bytes; how many there were."""
        size = 0
        with self._file.open(name, "w", force_zip64=True) as member:
            while chunk := source.read(_CHUNK):
                size += member.write(chunk)
        return size

    def manifest(self, said: Mapping[str, Any]) -> None:
        """Write what the archive holds; nothing may follow."""
        self._file.writestr(_MANIFEST, json.dumps({"format": FORMAT, **said}, indent=1))


@contextmanager
def written(path: Path) -> Iterator[Writer]:
    """A new archive at `path`, readable by its owner only. It appears there when it is whole, or not at all; Refused
    when something is there."""
    with (
        new_file(path) as stream,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
    ):
        yield Writer(file)


class Reader:
    """An archive as it was written."""

    def __init__(self, file: zipfile.ZipFile, path: Path) -> None:
        self._file, self._path = file, path
        self._names = frozenset(file.namelist())
        self.manifest = self._manifest()

    def _manifest(self) -> dict[str, Any]:
        try:
            said = json.loads(self._file.read(_MANIFEST))
            number = int(said["format"])
        except (KeyError, ValueError, TypeError):
            raise ArchiveError(f"{self._path} is no archive that `manage.py export` made") from None
        if number > FORMAT:
            raise ArchiveError(
                f"{self._path} has format {number}, this release reads up to {FORMAT}: upgrade this platform first"
            )
        return dict(said)

    def lines(self, name: str) -> Iterator[Any]:
        """The JSON values of a member, one after the other; none when there is no such member."""
        if f"{name}.jsonl" not in self._names:
            return
        with self._file.open(f"{name}.jsonl") as member:
            for number, line in enumerate(member, 1):
                try:
                    yield json.loads(line)
                except ValueError:
                    raise ArchiveError(
                        f"{self._path} is damaged: line {number} of {name}.jsonl; export again"
                    ) from None

    @contextmanager
    def content(self, name: str) -> Iterator[BinaryIO]:
        """The bytes of a member."""
        with self._file.open(name) as member:
            yield cast(BinaryIO, member)


def read(path: Path, use: Callable[[Reader], T]) -> T:
    """What `use` makes of the archive; ArchiveError when it is none, or was damaged."""
    try:
        with zipfile.ZipFile(path) as file:
            return use(Reader(file, path))
    except zipfile.BadZipFile as error:
        raise ArchiveError(f"{path} is no whole archive ({error}); export again") from error
    except OSError as error:
        if error.filename is None or Path(str(error.filename)) != path:
            raise
        raise ArchiveError(f"{path} cannot be read: {error.strerror}") from error
