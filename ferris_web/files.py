"""Files that anybody may have written, served from the platform's own origin: they can do nothing there.

Whatever a browser could run is sandboxed into an origin of its own without scripts, and nothing is guessed from the
content.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from django.http import FileResponse

from ferris.errors import NotFound
from ferris.ports import ObjectInfo
from ferris_web import wiring

# What a page of the object store may do: look as its author wrote it, and start a download. No script, no form, no
# request.
SANDBOX = (
    "sandbox allow-downloads; default-src 'none'; style-src 'unsafe-inline'; img-src data: 'self'; "
    "font-src data:; media-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# What a preview inside a page of ours may do: look. It asks nobody for anything, the platform neither.
PREVIEW = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_AS_PLAIN_TEXT = frozenset({"text/csv", "text/markdown", "text/x-python", "application/x-sql"})


def file_response(
    content: BinaryIO, name: str, content_type: str, size: int, *, download: bool, policy: str = SANDBOX
) -> FileResponse:
    """The file, shown or offered as a download, under the policy."""
    answer = FileResponse(
        content,
        as_attachment=download,
        filename=name.rsplit("/", 1)[-1],
        content_type=content_type if download else served_as(content_type),
    )
    answer.headers["Content-Length"] = str(size)
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = policy
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def served_as(kind: str) -> str:
    """The content type under which a browser shows a file of this type."""
    kind = "text/plain" if kind in _AS_PLAIN_TEXT else kind
    return f"{kind}; charset=utf-8" if kind.startswith("text/") or kind == "application/json" else kind


def object_named(bucket: str, key: str) -> ObjectInfo:
    """What is known of an object, whatever names somebody gives. NotFound."""
    info = wiring.object_store().stat(bucket, key) if object_possible(bucket, key) else None
    if info is None:
        raise NotFound(f"there is no object {key!r} in the bucket {bucket!r}")
    return info


def object_possible(bucket: str, key: str) -> bool:
    """True for names that the store takes (see ferris.ports.ObjectStore): others are no fault of its."""
    segments = key.split("/")
    return (
        re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket) is not None
        and len(key.encode(errors="replace")) <= 1024
        and all(s not in ("", ".", "..") and len(s.encode(errors="replace")) <= 255 for s in segments)
        and not re.search(r"[\\\x00-\x1f\x7f]", key)
    )
