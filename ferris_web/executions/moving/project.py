"""One project as a folder that git takes: a ZIP, made while it is read, of a platform that goes on running.

`project_tree`: the folders of its services. `project_rest`: what the platform has of it beside them. `project_readme`:
what somebody who unpacks it has to know and to do.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from ferris import promises
from ferris_web.catalog.models import Project
from ferris_web.executions.moving.project_readme import readme
from ferris_web.executions.moving.project_rest import promise_file, rest
from ferris_web.executions.moving.project_tree import Member, services, tree

README: Final = "README.md"
PLATFORM: Final = "platform.json"
_PIECE: Final = 256 * 1024
_CHUNK: Final = 64 * 1024
_OLDEST: Final = (1980, 1, 1, 0, 0, 0)  # of a ZIP


def archive_name(project: Project, now: datetime) -> str:
    """What the file is called where it is saved."""
    return f"{project.name}-{now:%Y%m%d-%H%M%S}.zip"


def project_archive(project: Project, now: datetime) -> Iterator[bytes]:
    """The archive piece by piece, each a few hundred KiB, whatever the project weighs: one folder, with its name.

    It has no secret in it. Each service is as it is when its turn comes. A fault on the way ends it in the middle: the
    list of members, without which no program opens a ZIP, comes last.
    """
    out = _Pieces()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for member in _members(project, now):
            with file.open(_info(project.name, member), "w") as target:
                while chunk := member.content.read(_CHUNK):
                    target.write(chunk)
                    if out.size >= _PIECE:
                        yield out.taken()
    yield out.taken()


def _members(project: Project, now: datetime) -> Iterator[Member]:
    said: dict[str, Any] = {}
    names = set()
    for stored in services(project):
        name = stored.service.name
        names.add(name)
        said[name] = yield from tree(stored, name, now)
    promised = promise_file(project)
    found = rest(project, said, now)
    if promised and promises.FILE in names:
        found["left_out"].append(
            {"what": promises.FILE, "why": "a service has its name", "promises": promised["promises"]}
        )
    elif promised:
        yield _written(promises.FILE, json.dumps(promised, indent=2, ensure_ascii=False), now)
    yield _written(_free(PLATFORM, names), json.dumps(found, indent=2, ensure_ascii=False), now)
    yield _written(_free(README, names), readme(found, _free(PLATFORM, names)), now)


def _free(name: str, taken: set[str]) -> str:
    """The name, or one like it that no service's folder has."""
    while name in taken:
        name = f"_{name}"
    return name


def _written(path: str, text: str, now: datetime) -> Member:
    return Member(path, io.BytesIO(f"{text.rstrip()}\n".encode("utf-8", "replace")), now)


def _info(folder: str, member: Member) -> zipfile.ZipInfo:
    at = member.at.astimezone(UTC)
    info = zipfile.ZipInfo(f"{folder}/{member.path}", max(_OLDEST, at.timetuple()[:6]))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # Unix: whether a file may be executed is kept
    info.external_attr = (0o100755 if member.executable else 0o100644) << 16
    return info


class _Pieces(io.RawIOBase):
    """Keeps what is written until it is taken. It cannot seek: the ZIP is written from its beginning to its end."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        content = bytes(part)
        self._parts.append(content)
        self.size += len(content)
        return len(content)

    def taken(self) -> bytes:
        """All that was written since it was taken last."""
        whole = b"".join(self._parts)
        self._parts.clear()
        self.size = 0
        return whole
