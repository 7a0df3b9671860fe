"""A file came into a bucket: the event that says so, made by the platform or of what an S3 store told by itself.

The same upload always makes the same event, so that a notice which comes twice runs nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_plus
from uuid import UUID, uuid5

from ferris import events
from ferris.config import PLATFORM_BUCKETS
from ferris.errors import EventError
from ferris.events import Event
from ferris.ports import ObjectInfo, ObjectStore, TellsUploads

FILE_UPLOADED: Final = "ferris.apps.modules.minio.file_uploaded"
IDS: Final = UUID("5c0f4c8a-0d6f-5f0b-9a0e-3c7b2f6f1d55")
_MOST_NOTICES = 1000


def announced(bucket: str) -> bool:
    """True for buckets of people and scripts: the platform's own are nobody's business."""
    return bucket not in PLATFORM_BUCKETS


def teller(store: ObjectStore) -> TellsUploads | None:
    """The store, if it tells by itself what is uploaded."""
    return store if isinstance(store, TellsUploads) and store.tells else None


def said_of(info: ObjectInfo) -> dict[str, Any]:
    """What an event says of the file."""
    return {
        "bucket": info.bucket,
        "key": info.key,
        "file_name": info.key.rpartition("/")[2],
        "size": info.size,
        "etag": info.etag,
        "content_type": info.content_type,
    }


def source_of(bucket: str) -> str:
    return f"ferris/objects/{bucket}"


def uploaded(info: ObjectInfo, *, now: datetime, id: str | None = None) -> Event:
    """The event of one upload, at the beginning of a flow of its own."""
    event = events.new(
        FILE_UPLOADED,
        source_of(info.bucket),
        said_of(info),
        now=now,
        id=id,
        subject=f"{info.bucket}/{info.key}",
    )
    return events.with_flow(event)


def message(info: ObjectInfo) -> dict[str, Any]:
    """The same as an event that a script sends: it belongs to the flow of its execution."""
    return {
        "type": FILE_UPLOADED,
        "source": source_of(info.bucket),
        "subject": f"{info.bucket}/{info.key}",
        "data": said_of(info),
    }


def from_notice(value: bytes, prefix: str, *, now: datetime) -> list[Event]:
    """The events of a notification in S3's form, as MinIO writes it to Kafka: of buckets with this prefix.

    What is no upload, or came into a bucket of the platform or of another one, makes none. EventError for what has
    not that form.
    """
    try:
        document = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise EventError("body", f"is no JSON: {error}") from None
    records = document.get("Records") if isinstance(document, Mapping) else None
    if not isinstance(records, list) or len(records) > _MOST_NOTICES:
        raise EventError("Records", "is missing; expected a list, as S3's notifications have it")
    return [event for record in records for event in _of_record(record, prefix, now)]


def _of_record(record: Any, prefix: str, now: datetime) -> Iterator[Event]:
    try:
        name = str(record["eventName"])
        bucket, found = str(record["s3"]["bucket"]["name"]), record["s3"]["object"]
        key, etag = unquote_plus(str(found["key"])), str(found.get("eTag", ""))
        size, sequencer = int(found.get("size", 0)), str(found.get("sequencer", ""))
        kind = str(found.get("contentType") or "application/octet-stream")
        at = datetime.fromisoformat(str(record.get("eventTime") or now.isoformat()))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EventError("Records", f"holds something else than an S3 event ({error!r})") from None
    if not bucket.startswith(prefix) or not name.removeprefix("s3:").startswith("ObjectCreated:"):
        return
    bucket = bucket.removeprefix(prefix)
    if announced(bucket):
        info = ObjectInfo(bucket, key, size, etag, kind, at)
        yield uploaded(info, now=at, id=str(uuid5(IDS, json.dumps([bucket, key, etag, sequencer]))))
