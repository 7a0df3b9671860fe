"""Files that people upload: stored, and told of."""

from __future__ import annotations

from datetime import datetime
from typing import BinaryIO

from ferris import uploads
from ferris.ports import ObjectInfo
from ferris_web import wiring
from ferris_web.executions.services.requests import events_accept


def file_upload(
    bucket: str, key: str, content: BinaryIO | bytes, *, now: datetime, content_type: str | None = None
) -> ObjectInfo:
    """Store a file; its event is on the log when it returns, unless the store tells of it by itself."""
    store = wiring.object_store()
    info = store.put(bucket, key, content, content_type)
    if uploads.announced(bucket) and uploads.teller(store) is None:
        events_accept([uploads.uploaded(info, now=now)], now=now)
    return info
