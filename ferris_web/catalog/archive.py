"""A service's folder as one archive: the same content always gives the same bytes, and so the same digest."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

SECRETS = "secrets.json"

# Files of local runs (`EF_ENV=local`): the first holds secrets.
_LOCAL = frozenset((SECRETS, "ef_env.json", "ef_package_state.json", ".DS_Store"))
_TOOLS = frozenset(
    {
        ".git", ".hg", ".svn", "__pycache__", ".venv", "node_modules", ".mypy_cache", ".pytest_cache",
        ".ruff_cache", ".idea", ".vscode", ".ipynb_checkpoints", "ef_objects", "ef_artifacts",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a service: its bytes, and whether its owner may execute it."""

    content: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Archive:
    """A packed service. `digest` is the SHA-256 of `content`, in hex."""

    content: bytes
    digest: str
    files: tuple[Mapping[str, Any], ...]  # {"path", "size", "sha256"} of each file in it


def is_tool_folder(name: str) -> bool:
    """True for folders that version control, editors and interpreters leave behind."""
    return name in _TOOLS


def is_packed(path: str) -> bool:
    """True when a file belongs into the archive: no secrets, nothing local, nothing compiled."""
    *folders, name = path.split("/")
    return name not in _LOCAL and not name.endswith(".pyc") and not any(map(is_tool_folder, folders))


def pack(files: Mapping[str, SourceFile]) -> Archive:
    """A gzipped tar of the files that `is_packed`, in the order of their paths.

    Times, owners and the like are fixed, so that the digest depends on nothing but paths, contents and
    whether a file is executable.
    """
    tarred = io.BytesIO()
    listed = []
    with tarfile.open(fileobj=tarred, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(filter(is_packed, files)):
            file = files[path]
            entry = tarfile.TarInfo(path)
            entry.size = len(file.content)
            entry.mode = 0o755 if file.executable else 0o644
            tar.addfile(entry, io.BytesIO(file.content))
            listed.append(
                {"path": path, "size": entry.size, "sha256": hashlib.sha256(file.content).hexdigest()}
            )
    content = _gzip(tarred.getvalue())
    return Archive(content, hashlib.sha256(content).hexdigest(), tuple(listed))


def _gzip(plain: bytes) -> bytes:
    # Not gzip.compress: the header it writes differs between versions of Python.
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=packed, mtime=0) as stream:
        stream.write(plain)
    return packed.getvalue()


def unpack(packed: BinaryIO) -> dict[str, SourceFile]:
    """All files of an archive that `pack` made."""
    return {path: SourceFile(content.read(), executable) for path, content, executable in members(packed)}


def members(packed: BinaryIO) -> Iterator[tuple[str, IO[bytes], bool]]:
    """Each file's path, its content (to be read before the next one), and whether its owner may execute it."""
    with tarfile.open(fileobj=packed, mode="r:gz") as tar:
        for entry in tar:
            content = tar.extractfile(entry) if entry.isfile() else None
            if content is not None:
                yield entry.name, content, bool(entry.mode & 0o100)


def member(packed: BinaryIO, path: str) -> bytes | None:
    """The content of one file of an archive, or None when it holds no such file."""
    return next((content.read() for name, content, _ in members(packed) if name == path), None)
