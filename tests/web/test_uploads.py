"""Uploads make events: of what a store tells by itself, and of what people upload to one that does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from ferris import events, uploads
from ferris.config import DEAD_LETTER, EVENTS, PACKAGES_BUCKET, UPLOADS
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.executions.services.uploads import file_upload
from gateway import roles
from gateway.uploads import Uploads
from tests.web.platform import NOW, service

pytestmark = pytest.mark.django_db(transaction=True)


class Store:
    """A store that tells by itself, and shares its server with others."""

    tells, prefix = True, "here-"

    def watch(self) -> list[str]:
        return []


def notice(bucket: str, key: str = "in/a+b.csv", name: str = "s3:ObjectCreated:Put", sequencer: str = "1"):
    found = {"key": key, "size": 3, "eTag": "abc", "contentType": "text/csv", "sequencer": sequencer}
    record = {
        "eventName": name,
        "eventTime": "2026-03-01T12:00:00.000Z",
        "s3": {"bucket": {"name": bucket}, "object": found},
    }
    return json.dumps({"EventName": name, "Key": f"{bucket}/{key}", "Records": [record]}).encode()


@pytest.fixture
def seen():
    """What comes onto a topic from now on."""
    follower = wiring.event_log().tail([EVENTS, DEAD_LETTER])
    yield lambda: follower.poll(1000, timeout=60)
    follower.close()


def test_what_a_store_tells_becomes_events_and_the_same_ones_when_it_is_told_again(seen):
    log = wiring.event_log()
    log.append(
        UPLOADS,
        [
            Record(notice("here-inbox")),
            Record(notice("here-inbox")),
            Record(notice("here-inbox", sequencer="2")),
            Record(notice(f"here-{PACKAGES_BUCKET}")),
            Record(notice("elsewhere-inbox")),
            Record(notice("here-inbox", name="s3:ObjectRemoved:Delete")),
            Record(b"{}"),
        ],
    )
    role = Uploads(log, Store())
    role.turn()
    role.close()
    records = seen()
    made = [events.from_record(r.value, r.headers, now=NOW) for r in records if r.topic == EVENTS]
    assert [event.type for event in made] == [uploads.FILE_UPLOADED] * 3
    assert made[0].key == made[1].key != made[2].key
    assert (made[0].source, made[0].subject) == ("ferris/objects/inbox", "inbox/in/a b.csv")
    assert made[0].time == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert made[0].data == {
        "bucket": "inbox", "key": "in/a b.csv", "file_name": "a b.csv", "size": 3, "etag": "abc",
        "content_type": "text/csv",
    }  # fmt: skip
    [letter] = [r for r in records if r.topic == DEAD_LETTER]
    assert letter.headers["ferris-reason"] == b"unreadable_notice"


def test_a_platform_whose_store_tells_nothing_needs_no_role_for_it():
    made = roles.make(wiring.config(), ["uploads"], engine_began=NOW)
    assert made == []


def test_a_file_that_is_uploaded_is_told_of_and_the_platforms_own_are_not(seen):
    file_upload("inbox", "a/b.csv", b"1;2", now=NOW)
    file_upload(PACKAGES_BUCKET, "x.tar.gz", b"packed", now=NOW)
    [record] = seen()
    event = events.from_record(record.value, record.headers, now=NOW)
    assert event.type == uploads.FILE_UPLOADED
    assert event.flow_id
    assert event.data["content_type"] == "text/csv"
    assert event.data["size"] == wiring.object_store().stat("inbox", "a/b.csv").size == 3


def test_the_file_of_a_run_form_is_told_of(client, admin_user, seen):
    made = service("one")
    made.version.parameters = [
        {"type": "file", "name": "table", "label": "Table", "required": True, "bucket": "inbox"}
    ]
    made.version.save()
    client.force_login(admin_user)
    answer = client.post(f"/services/{made.name}/run/", {"p-0": SimpleUploadedFile("t.csv", b"1;2")})
    assert answer.status_code == 302, answer.content.decode()
    types = [events.from_record(r.value, r.headers, now=NOW).type for r in seen()]
    assert uploads.FILE_UPLOADED in types
