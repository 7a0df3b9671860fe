"""Packages: fetched once by digest, checked, unpacked safely, and copied for every execution."""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import re
import secrets
import shutil
import tarfile
import tempfile
import threading
from pathlib import Path
from typing import IO, Final

from ferris.config import PACKAGES_BUCKET
from ferris.errors import FerrisError, NotFound
from ferris.ports import ObjectStore
from tasks.package_copy import PackageCopy
from tasks.spares import Spares

MOST_FILES: Final = 20_000
MOST_BYTES: Final = 1024 * 1024 * 1024
LONGEST_PATH: Final = 1000
_CHUNK: Final = 1024 * 1024
_MOST_COPIES: Final = 64
"""Of small packages, in memory."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class PackageError(FerrisError):
    """The package is not there, is not what its digest says, or holds what must not be unpacked."""


class PackageCache:
    """Unpacked packages below a folder, one per digest, never changed. Several workers may share the folder."""

    def __init__(self, folder: Path, objects: ObjectStore) -> None:
        self._folder = folder
        self._objects = objects
        self._lock = threading.Lock()
        self._fetching: dict[str, threading.Lock] = {}
        self._copies: dict[str, PackageCopy] = {}

    def folder(self, digest: str) -> Path:
        """The unpacked package, fetched if need be. Read only: see `copy`. PackageError; BackendError."""
        if not _DIGEST.fullmatch(digest):
            raise PackageError(f"{digest!r} is no SHA-256 digest")
        there = self._folder / digest
        if not os.path.isdir(there):
            with self._lock:
                fetching = self._fetching.setdefault(digest, threading.Lock())
            with fetching:
                if not there.is_dir():
                    self._fetch(digest, there)
            with self._lock:
                self._fetching.pop(digest, None)
        return there

    def copy(self, digest: str, target: Path, spares: Spares) -> None:
        """A copy of the package that a script may change at will: one that none has changed, or a new one."""
        folder = self.folder(digest)
        copy = self._copies.get(digest)
        if copy is None:
            copy = PackageCopy(folder)
            with self._lock:
                self._copies[digest] = copy
                if len(self._copies) > _MOST_COPIES:
                    del self._copies[next(iter(self._copies))]
        if not copy.small or not spares.take(target, digest, copy.unchanged):
            copy.make(target)

    def _fetch(self, digest: str, there: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f".{digest[:16]}.{os.getpid()}.{secrets.token_hex(4)}"
        try:
            with tempfile.TemporaryFile(dir=self._folder) as archive:
                self._download(digest, archive)
                part.mkdir()
                unpack(archive, part)
            _publish(part, there)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _download(self, digest: str, archive: IO[bytes]) -> None:
        seen = hashlib.sha256()
        try:
            with self._objects.open(PACKAGES_BUCKET, f"{digest}.tar.gz") as source:
                while chunk := source.read(_CHUNK):
                    seen.update(chunk)
                    archive.write(chunk)
        except NotFound:
            raise PackageError(
                f"package {digest} is not in the object store; sync its project again"
            ) from None
        if seen.hexdigest() != digest:
            raise PackageError(f"package {digest} is damaged: its content has the digest {seen.hexdigest()}")
        archive.seek(0)


def unpack(archive: IO[bytes], folder: Path, *, over: bool = False) -> list[str]:
    """Unpack a tar.gz into an empty folder; with `over` into one that no script has seen, in place of files of the
    same names. Everything is checked before anything is written. The paths of all that was in it.

    Refused with a PackageError: paths that leave the folder, links, devices, two names that differ by case
    alone, a file that is also a folder, too many files, too many bytes.
    """
    try:
        with tarfile.open(fileobj=archive, mode="r:gz") as tar:
            members = _checked(tar)
            for member, path in members:
                if over and member.isreg():
                    (folder / path).unlink(missing_ok=True)
                _write(tar, member, folder / path)
            return [path for _, path in members]
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise PackageError(f"the archive cannot be read: {type(error).__name__}: {error}") from None


def _checked(tar: tarfile.TarFile) -> list[tuple[tarfile.TarInfo, str]]:
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    size = 0
    checked: list[tuple[tarfile.TarInfo, str]] = []
    for member in tar:
        path = _path(member)
        if path == ".":
            continue
        if not (member.isreg() or member.isdir()):
            raise PackageError(
                f"{member.name!r} is neither a file nor a folder; links and devices are refused"
            )
        size += member.size
        if size > MOST_BYTES or len(checked) >= MOST_FILES:
            raise PackageError(f"it holds more than {MOST_FILES} files or {MOST_BYTES} bytes")
        parents = _parents(path)
        for parent in [*parents, path] if member.isdir() else parents:
            if folders.setdefault(parent.casefold(), parent) != parent or parent.casefold() in files:
                raise PackageError(f"{member.name!r} clashes with another name")
        if member.isreg():
            if path.casefold() in files or path.casefold() in folders:
                raise PackageError(f"{member.name!r} clashes with another name")
            files[path.casefold()] = path
        checked.append((member, path))
    return checked


def _path(member: tarfile.TarInfo) -> str:
    name = member.name
    parts = name.split("/")
    if (
        not name
        or name.startswith("/")
        or ".." in parts
        or "\\" in name
        or "\0" in name
        or len(name) > LONGEST_PATH
        or re.match(r"[A-Za-z]:", name)
    ):
        raise PackageError(f"{name[:200]!r} is no path inside the package")
    return posixpath.normpath(name)


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    mode = 0o755 if member.mode & 0o100 else 0o644
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as target:
        if source is not None:
            shutil.copyfileobj(source, target, _CHUNK)
        target.flush()
        os.fsync(target.fileno())
    if os.path.getsize(path) != member.size:
        raise PackageError(f"{member.name!r} is cut off")


def _publish(part: Path, there: Path) -> None:
    """Give the finished folder its name. When another worker was first, its folder is as good."""
    try:
        part.rename(there)
    except OSError:
        if not there.is_dir():
            raise
        return
    with contextlib.suppress(OSError):
        handle = os.open(there.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
