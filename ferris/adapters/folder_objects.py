"""Objects as plain files: `<root>/<bucket>/<key>`, so that a person can open them too.

A new version is written aside (`<root>/.tmp`), flushed, and renamed into place. Content type and SHA-256
stand in a note (`<root>/.notes`) named after the version's inode and modification time, written before the
rename: content and note change together. A file that came there by another way has no note: its hash is
computed when asked for.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import wraps
from io import BytesIO
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, ParamSpec, TypeVar, cast

from ferris.adapters import local_path
from ferris.errors import BackendError, NotFound
from ferris.ports import ObjectInfo

P = ParamSpec("P")
T = TypeVar("T")

_BACKEND = "object store"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_CHUNK = 1024 * 1024
_LEFTOVER_SECONDS = 24 * 3600.0


def _explained(method: Callable[P, T]) -> Callable[P, T]:
    """What the operating system refuses leaves as BackendError."""

    @wraps(method)
    def explained(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except OSError as error:
            raise BackendError(
                _BACKEND,
                f"cannot use {error.filename or 'its folder'} ({error.strerror or error})",
                "check the folder's rights and the space on its disk",
            ) from error

    return explained


class FolderObjectStore:
    """`ObjectStore` in a folder; `url` is `file:///absolute/folder`."""

    def __init__(self, url: str) -> None:
        self._root = Path(local_path("FERRIS_OBJECT_STORE", url))
        self._swept = False

    @_explained
    def put(
        self, bucket: str, key: str, data: BinaryIO | bytes, content_type: str | None = None
    ) -> ObjectInfo:
        """See `ObjectStore.put`."""
        target = self._path(bucket, key)
        self._sweep()
        part = self._folder(".tmp") / secrets.token_hex(16)
        status = None
        try:
            digest, status = _copy(BytesIO(data) if isinstance(data, bytes) else data, part)
            note = {"etag": digest, "type": content_type or _guess(key)}
            self._write_note(status, note)
            self._put_in_place(part, target, bucket, key)
        except BaseException:
            part.unlink(missing_ok=True)
            if status is not None:
                self._note_path(status).unlink(missing_ok=True)
            raise
        return _info(bucket, key, status, note)

    def _put_in_place(self, part: Path, target: Path, bucket: str, key: str) -> None:
        for _ in range(10):
            try:
                _make_folders(target.parent, self._root)
                before = _status(target)
                os.replace(part, target)
                break
            except FileNotFoundError:
                continue  # a `delete` took the empty folder away just now
            except IsADirectoryError as error:
                try:
                    target.rmdir()  # an empty one may have stayed behind
                except OSError:
                    raise _both(bucket, key) from error
            except (NotADirectoryError, FileExistsError) as error:
                raise _both(bucket, key) from error
        else:
            raise BackendError(_BACKEND, f"cannot keep the folder of {bucket}/{key}", "try again")
        _sync_folder(target.parent)
        if before is not None:
            self._note_path(before).unlink(missing_ok=True)

    @_explained
    def open(self, bucket: str, key: str) -> BinaryIO:
        """See `ObjectStore.open`."""
        path = self._path(bucket, key)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"there is no object {bucket}/{key}") from None
        if not S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise NotFound(f"there is no object {bucket}/{key}")
        return cast(BinaryIO, os.fdopen(fd, "rb"))

    @_explained
    def stat(self, bucket: str, key: str) -> ObjectInfo | None:
        """See `ObjectStore.stat`."""
        path = self._path(bucket, key)
        return self._look(bucket, key, path)

    @_explained
    def delete(self, bucket: str, key: str) -> None:
        """See `ObjectStore.delete`."""
        path = self._path(bucket, key)
        before = _status(path)
        if before is None:
            return
        path.unlink(missing_ok=True)
        self._note_path(before).unlink(missing_ok=True)
        _sync_folder(path.parent)
        with suppress(OSError):  # not empty: the usual case
            for folder in path.parents:
                if folder == self._root / bucket:
                    break
                folder.rmdir()

    @_explained
    def buckets(self) -> list[str]:
        """See `ObjectStore.buckets`."""
        if not self._root.is_dir():
            return []
        return sorted(path.name for path in self._root.iterdir() if _BUCKET.fullmatch(path.name))

    @_explained
    def list(
        self, bucket: str, prefix: str = "", after: str | None = None, limit: int = 1000
    ) -> list[ObjectInfo]:
        """See `ObjectStore.list`."""
        folder = self._root / _checked_bucket(bucket)
        found: list[ObjectInfo] = []
        for key in _keys(folder, "", prefix.encode(), (after or "").encode()):
            if len(found) >= limit:
                break
            info = self._look(bucket, key, folder / key)
            if info is not None:  # else deleted meanwhile
                found.append(info)
        return found

    # ---------------------------------------------------------------------------------------- notes

    def _note_path(self, status: os.stat_result) -> Path:
        name = f"{status.st_ino:x}-{status.st_mtime_ns:x}"
        return self._root / ".notes" / name[-2:] / name

    def _write_note(self, status: os.stat_result, note: dict[str, str]) -> None:
        path = self._note_path(status)
        _make_folders(path.parent, self._root)
        with path.open("w") as file:
            json.dump(note, file)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)

    def _look(self, bucket: str, key: str, path: Path) -> ObjectInfo | None:
        status = _status(path)
        return None if status is None else self._describe(bucket, key, path, status)

    def _describe(self, bucket: str, key: str, path: Path, status: os.stat_result) -> ObjectInfo:
        try:
            note = json.loads(self._note_path(status).read_text())
        except (FileNotFoundError, ValueError):
            now = _status(path)
            if now is not None and _version(now) != _version(status):  # replaced meanwhile
                return self._describe(bucket, key, path, now)
            note = {"etag": _digest(path), "type": _guess(key)}
        return _info(bucket, key, status, note)

    # -------------------------------------------------------------------------------------- folders

    def _path(self, bucket: str, key: str) -> Path:
        folder = self._root / _checked_bucket(bucket)
        path = folder / _checked_key(key)
        inside = os.path.realpath(path.parent)
        if inside != os.path.join(os.path.realpath(folder), *path.parent.relative_to(folder).parts):
            raise BackendError(_BACKEND, f"finds a link on the way to {bucket}/{key}", "remove that link")
        return path

    def _folder(self, name: str) -> Path:
        folder = self._root / name
        _make_folders(folder, self._root)
        return folder

    def _sweep(self) -> None:
        """Once per process: remove what writers killed in the middle left behind."""
        if self._swept:
            return
        self._swept = True
        for path in self._folder(".tmp").iterdir():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
                    path.unlink()


def _keys(folder: Path, above: str, prefix: bytes, after: bytes) -> Iterator[str]:
    """Keys below a folder in the order of their bytes, leaving out folders that cannot hold any wanted."""
    try:
        entries = [(e.name, e.is_dir(follow_symlinks=False)) for e in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return
    keyed = []
    for name, is_folder in entries:
        with suppress(UnicodeEncodeError):  # a name that is no UTF-8 is no key
            key = above + name + ("/" if is_folder else "")
            keyed.append((key.encode(), key, is_folder))
    for encoded, key, is_folder in sorted(keyed):
        if not is_folder:
            if encoded.startswith(prefix) and encoded > after:
                yield key
        elif (encoded.startswith(prefix) or prefix.startswith(encoded)) and (
            encoded > after or after.startswith(encoded)
        ):
            yield from _keys(folder / key[len(above) : -1], key, prefix, after)


def _checked_bucket(bucket: str) -> str:
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise BackendError(
            _BACKEND, f"cannot have a bucket named {bucket!r}", "use 3 to 63 of a-z 0-9 . -, as S3 does"
        )
    return bucket


def _checked_key(key: str) -> str:
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        encoded = b""
    segments = encoded.split(b"/")
    if (
        not 1 <= len(encoded) <= 1024
        or _FORBIDDEN.search(key)
        or any(segment in (b"", b".", b"..") or len(segment) > 255 for segment in segments)
    ):
        raise BackendError(
            _BACKEND,
            f"cannot have the key {key[:200]!r}",
            "use up to 1024 bytes of text, in segments of up to 255 parted by '/', none empty, '.' or '..'",
        )
    return key


def _copy(data: BinaryIO, part: Path) -> tuple[str, os.stat_result]:
    """Write and flush a new file; give its SHA-256 and status."""
    digest = hashlib.sha256()
    with part.open("xb") as file:
        while chunk := data.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        return digest.hexdigest(), os.fstat(file.fileno())


def _info(bucket: str, key: str, status: os.stat_result, note: dict[str, str]) -> ObjectInfo:
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return ObjectInfo(bucket, key, status.st_size, note["etag"], note["type"], modified)


def _both(bucket: str, key: str) -> BackendError:
    return BackendError(
        _BACKEND,
        f"cannot have {bucket}/{key} beside an object whose key is a folder of it, or the other way round",
        "use another key",
    )


def _status(path: Path) -> os.stat_result | None:
    """Of a regular file; None for anything else."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status if S_ISREG(status.st_mode) else None


def _version(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_mtime_ns


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _guess(key: str) -> str:
    return mimetypes.guess_type(key)[0] or "application/octet-stream"


def _make_folders(folder: Path, root: Path) -> None:
    """Like mkdir -p, each new folder's name flushed to disk."""
    if folder.is_dir():
        return
    if folder == root or root not in folder.parents:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    _make_folders(folder.parent, root)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # emptied and removed meanwhile
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
