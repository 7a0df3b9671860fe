"""Files of which a repository holds a pointer of Git LFS alone: the content lies on another server, not asked here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ferris import scripts
from ferris.documents import Message

_POINTER: Final = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:[a-z0-9.-]+ [^\n]*\n)*oid ")
_LONGEST: Final = 1024  # bytes of a pointer, as its specification has it
_SAID: Final = 20  # files that are named, of many
_NEEDED: Final = (
    "is a pointer of Git LFS and not the file, which a sync does not fetch: "
    "commit it as an ordinary file (git lfs untrack)"
)
_DATA: Final = (
    "is a pointer of Git LFS and not the file, which a sync does not fetch; scripts get the pointer: "
    "commit it as an ordinary file (git lfs untrack), or put it into a bucket"
)


def pointers(files: Mapping[str, bytes]) -> list[str]:
    """The paths of those that are pointers, sorted."""
    return sorted(path for path, content in files.items() if _is_pointer(content))


def told(paths: Sequence[str], read: Sequence[str]) -> list[Message]:
    """What the owner of a service is told of these pointers. Code, and what the platform itself has to `read`, is no
    use as one: an error. Of other files scripts may need to know only that they are there: a warning."""
    needed = [path for path in paths if path in read or path.endswith(scripts.SUFFIXES)]
    others = [path for path in paths if path not in needed]
    said = [Message("error", path, "", _NEEDED) for path in needed]
    said += [Message("warning", path, "", _DATA) for path in others[:_SAID]]
    if len(others) > _SAID:
        more = f"{len(others) - _SAID} more files are pointers of Git LFS, as those named here"
        said.append(Message("warning", "", "", more))
    return said


def _is_pointer(content: bytes) -> bool:
    return len(content) < _LONGEST and _POINTER.match(content) is not None
