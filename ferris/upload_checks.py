"""Whether a file that a person uploads may be kept: its name, its size, its type, and whether it is what it says."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

from ferris.errors import EventError

BEGINNING: Final = 16  # bytes that tell what a file is
_PROGRAMS: Final = (
    b"\x7fELF",
    b"MZ",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
)
_MARKS: Final = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "application/pdf": (b"%PDF-",),
    "application/zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "application/gzip": (b"\x1f\x8b",),
}
_LONGEST_NAME = 200  # bytes


def checked(
    name: str, size: int, beginning: bytes, *, limit: int, types: Sequence[str] = ()
) -> tuple[str, str]:
    """The name under which a file is kept, and its content type by the name; EventError says what is wrong.

    `name` as a browser gave it, `beginning` its first bytes, `types` those that are taken (`image/*`; empty: all).
    What a browser says of the type counts for nothing.
    """
    plain = re.split(r"[/\\]", name)[-1].strip()
    if not plain or plain in (".", ".."):
        raise EventError("file", "has no name")
    if re.search(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]", plain):
        raise EventError("file", "has a control character in its name: rename it")
    if len(plain.encode(errors="replace")) > _LONGEST_NAME:
        raise EventError("file", f"has a name of more than {_LONGEST_NAME} bytes: rename it")
    if size > limit:
        raise EventError("file", f"has {size / (1 << 20):.1f} MiB; at most {limit >> 20} MiB are taken")
    kind, packed = mimetypes.guess_type(plain, strict=False)
    kind = {"gzip": "application/gzip"}.get(packed or "", kind or "application/octet-stream")
    if types and not any(fnmatchcase(kind, wanted) for wanted in types):
        raise EventError("file", f"is of the type {kind}; taken are {', '.join(types)}")
    if beginning.startswith(_PROGRAMS) and not types:
        raise EventError("file", "is a program: buckets hold data")
    marks = _MARKS.get(kind)
    if marks and not beginning.startswith(marks):
        raise EventError("file", f"is named like {kind}, and its content is something else")
    return plain, kind
