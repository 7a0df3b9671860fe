"""What a store tells about uploads: MinIO's own notifications, on Kafka, become events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from ferris import adapters, events, uploads
from ferris.adapters.folder_objects import FolderObjectStore
from ferris.adapters.s3_objects import S3ObjectStore
from ferris.config import PACKAGES_BUCKET, UPLOADS
from ferris.errors import ConfigError
from ferris.events import Event
from ferris.ports import EventLog

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def log(real: Callable[[str], str]) -> Iterator[EventLog]:
    opened = adapters.open_event_log(real("FERRIS_EVENT_LOG"))
    opened.prepare([UPLOADS])  # type: ignore[attr-defined]
    yield opened
    opened.close()


@pytest.mark.real
def test_minio_tells_kafka_of_each_upload_once_asked_to_when_the_bucket_is_made(
    real: Callable[[str], str], log: EventLog
):
    run = f"t{uuid4().hex[:8]}"
    url = real("FERRIS_OBJECT_STORE")
    assert "notify=" in url
    store = adapters.open_object_store(url.replace("?", f"/{run}?"))
    assert isinstance(store, S3ObjectStore)
    before = log.tail([UPLOADS])
    store.put("inbox", "a b/über.csv", b"1;2", "text/csv")
    store.put(PACKAGES_BUCKET, "x.tar.gz", b"packed")
    store.put("inbox", "a b/über.csv", b"1;2;3", "text/csv")
    store.delete("inbox", "a b/über.csv")
    made: list[Event] = []
    again: list[Event] = []
    deadline = time.monotonic() + 60
    while len(made) < 2 and time.monotonic() < deadline:
        for record in before.poll(100, timeout=1):
            made += uploads.from_notice(record.value, store.prefix, now=NOW)
            again += uploads.from_notice(record.value, store.prefix, now=NOW)
    before.close()
    assert [event.data for event in made] == [
        {
            "bucket": "inbox",
            "key": "a b/über.csv",
            "file_name": "über.csv",
            "size": size,
            "etag": made[n].data["etag"],
            "content_type": "text/csv",
        }
        for n, size in enumerate((3, 5))
    ]
    assert {event.type for event in made} == {"ferris.apps.modules.minio.file_uploaded"}
    assert made[0].subject == "inbox/a b/über.csv"
    assert made[0].id != made[1].id
    assert [event.key for event in again] == [event.key for event in made]
    assert store.watch() == ["inbox"]
    assert [one.level for one in store.examine() if "about uploads" in one.text] == ["ok"]


@pytest.mark.real
def test_a_target_that_the_store_does_not_have_is_a_finding_and_no_fault(real: Callable[[str], str]):
    run = f"t{uuid4().hex[:8]}"
    url = real("FERRIS_OBJECT_STORE").replace("FERRIS:kafka", "NOBODY:kafka").replace("?", f"/{run}?")
    store = adapters.open_object_store(url)
    assert isinstance(store, S3ObjectStore)
    store.put("inbox", "a.csv", b"1")
    assert store.watch() == []
    [found] = [one for one in store.examine() if "make no events" in one.text]
    assert (found.level, "inbox" in found.text) == ("warning", True)


def test_who_tells_is_known_from_the_address(tmp_path):
    assert uploads.teller(FolderObjectStore(f"file://{tmp_path}")) is None
    assert uploads.teller(S3ObjectStore("s3://k:secret@localhost:1?secure=0")) is None
    assert uploads.teller(S3ObjectStore("s3://k:secret@localhost:1?secure=0&notify=arn:minio:sqs::F:kafka"))
    with pytest.raises(ConfigError, match="notify"):
        S3ObjectStore("s3://k:secret@localhost:1?notify=kafka")
    assert events.is_reserved(uploads.FILE_UPLOADED) is False
