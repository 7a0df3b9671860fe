"""Files that a step leaves behind: what they may be called, and where they lie in the object store."""

from __future__ import annotations

import mimetypes
import re
from datetime import UTC, datetime
from typing import Final

BUCKET: Final = "ferris-artifacts"
LONGEST_NAME: Final = 255
"""Characters of an artifact's whole name, folders included."""

_NAME_BYTES: Final = 800  # with what stands before it, a key has room for them
_SEGMENT_BYTES: Final = 200
_REFUSED: Final = re.compile(r"[\\\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_KIND: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,100}")


def name_problem(name: str) -> str:
    """What is wrong with an artifact's name (`folder/file.csv`), in words; "" for nothing."""
    segments = name.split("/")
    if not name or len(name) > LONGEST_NAME or len(name.encode(errors="replace")) > _NAME_BYTES:
        return f"its name has {len(name)} characters; expected 1 to {LONGEST_NAME}"
    if any(segment in ("", ".", "..") for segment in segments):
        return "its name is no path inside the folder"
    if _REFUSED.search(name):
        return "its name holds a control character or a backslash"
    if any(len(segment.encode()) > _SEGMENT_BYTES for segment in segments):
        return f"a part of its name is longer than {_SEGMENT_BYTES} bytes"
    return ""


def content_type_of(name: str, stated: str | None = None) -> str:
    """The content type stated for a file, if it is one, else what its name's ending says."""
    kind = (stated or "").split(";")[0].strip().lower()
    if _KIND.fullmatch(kind):
        return kind
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def day_of(time: datetime) -> str:
    """The folder of the bucket for what is stored at that time: keys begin with it, so that what is old comes
    first."""
    return f"{time.astimezone(UTC):%Y-%m-%d}"


def key_of(day: str, execution_id: str, attempt: int, step: int, name: str) -> str:
    """Where an artifact lies: the same however often the step's report is written."""
    return f"{day}/{execution_id}/{attempt}/{step}/{name}"
