"""Operations pages: backends, consumers, the banner, schedules by hand, files in buckets."""

from __future__ import annotations

import os
import socket

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from ferris.errors import BackendError, EventError
from ferris.upload_checks import checked
from ferris_web import wiring
from ferris_web.accounts.models import Membership, User
from ferris_web.catalog.models import Schedule
from ferris_web.catalog.services import schedule_add
from ferris_web.console.templatetags import console as tags
from ferris_web.console.views import backends
from ferris_web.executions.checkup.readiness import Readiness, State
from tests.web.console_pages import page
from tests.web.console_rows import Rows

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


def _role(role: str) -> Client:
    person = User.objects.create_user(f"every-{role}", password="a long password")
    Membership.objects.filter(user=person).delete()
    Membership.objects.create(user=person, role=role)
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def readiness(monkeypatch: pytest.MonkeyPatch) -> Readiness:
    fresh = Readiness()
    for place in (tags, backends):
        monkeypatch.setattr(place, "READINESS", fresh)
    return fresh


def test_a_backend_that_is_away_is_told_on_its_page_and_on_all(rows: Rows, administrator, readiness) -> None:
    readiness.look()
    assert "no answer" not in page(administrator, "/consumers/").text

    def away() -> State:
        raise BackendError("object store", "cannot be reached", "start it")

    readiness._checks["object_store"] = away
    readiness._looked_at = float("-inf")
    shown = page(administrator, "/backends/").text
    assert "cannot be reached" in shown
    assert "packages of services" in shown
    assert "Object store: no answer." in page(administrator, "/services/").text
    readiness._checks["object_store"] = lambda: State(True)
    readiness._looked_at = float("-inf")
    readiness.look()
    assert "no answer" not in page(administrator, "/services/").text


def test_a_full_disk_is_told_on_all_pages(rows: Rows, administrator, readiness) -> None:
    def full() -> State:
        raise BackendError("the disk", "takes nothing more", "free space on it")

    readiness._checks["disk"] = full
    assert "free space on it" in page(administrator, "/backends/").text
    shown = page(administrator, "/services/").text
    assert "The disk is full." in shown
    assert "no answer" not in shown


def test_no_page_waits_for_a_look(rows: Rows, administrator, readiness) -> None:
    def asked() -> State:
        raise AssertionError("a page looked")

    readiness._checks = dict.fromkeys(readiness._checks, asked)
    for address in ("/services/", "/executions/"):
        assert administrator.get(address).status_code == 200


def test_no_password_is_shown(rows: Rows, administrator, readiness) -> None:
    text = page(administrator, "/backends/").text
    assert "sqlite" in text
    assert "://" not in text


def test_consumers_and_queues(rows: Rows, administrator) -> None:
    log = wiring.event_log()
    consumer = log.subscribe("their.group", ["ferris.events"])
    records = consumer.poll(timeout=0)
    if records:
        consumer.commit(records)
    found = page(administrator, "/consumers/")
    assert not found.dangers
    assert not found.unclosed
    assert f"process {os.getpid()} {socket.gethostname()} ferris.events partitions 0" in found.text
    consumer.close()
    shown = page(administrator, "/consumers/").text
    assert f"process {os.getpid()}" not in shown
    assert "no member is connected" in shown
    assert "within the engine" in shown
    assert "Groups of consumers" in shown


# --- schedules ---------------------------------------------------------------------------------------


def test_a_schedule_is_paused_goes_on_and_is_deleted(rows: Rows, db) -> None:
    from ferris_web.catalog.models import Service

    service = Service.objects.get(name="make_report")
    row = schedule_add(service, origin="person", cron="0 5 * * *", timezone="UTC", now=timezone.now())
    maintainer, operator = _role("maintainer"), _role("operator")
    place = f"/schedules/{row.pk}/switch/"
    assert operator.post(place, {"what": "pause"}).status_code == 403
    assert maintainer.get(place).status_code == 405
    maintainer.post(place, {"what": "pause"})
    row.refresh_from_db()
    assert not row.active
    assert "Go on" in page(maintainer, "/schedules/").text
    assert "Go on make_report" not in page(operator, "/schedules/").text
    maintainer.post(place, {"what": "resume"})
    row.refresh_from_db()
    assert row.active
    assert row.next_due_at > timezone.now()
    maintainer.post(place, {"what": "remove"})
    assert not Schedule.objects.filter(pk=row.pk).exists()
    assert maintainer.post(place, {"what": "pause"}).status_code == 404


def test_a_schedule_of_a_manifest_is_not_deleted(rows: Rows, db) -> None:
    from ferris_web.catalog.models import Service

    service = Service.objects.get(name="make_report")
    row = schedule_add(service, origin="manifest", cron="0 6 * * *", timezone="UTC", now=timezone.now())
    answer = _role("maintainer").post(f"/schedules/{row.pk}/switch/", {"what": "remove"}, follow=True)
    assert "pause it here" in answer.content.decode()
    assert Schedule.objects.filter(pk=row.pk).exists()
    row.delete()


# --- files -------------------------------------------------------------------------------------------


def _upload(client: Client, name: str, content: bytes, prefix: str = "quakes/", **more: str):
    file = SimpleUploadedFile("x", content)
    file._name = name  # as a browser may send it
    return client.post(f"/objects/reports/?prefix={prefix}", {"file": file, **more})


def test_a_file_is_uploaded_replaced_and_deleted(rows: Rows, db) -> None:
    maintainer, viewer = _role("maintainer"), _role("viewer")
    assert _upload(maintainer, "new.csv", b"a,b").status_code == 302
    info = wiring.object_store().stat("reports", "quakes/new.csv")
    assert info is not None
    assert info.content_type == "text/csv"
    answer = _upload(maintainer, "new.csv", b"c,d")
    assert answer.status_code == 422
    assert "already" in answer.content.decode()
    assert _upload(maintainer, "new.csv", b"c,d", replace="on").status_code == 302
    with wiring.object_store().open("reports", "quakes/new.csv") as stored:
        assert stored.read() == b"c,d"
    assert _upload(viewer, "other.csv", b"x").status_code == 403
    assert viewer.post("/objects/reports/quakes/new.csv").status_code == 403
    assert "Upload" not in page(viewer, "/objects/reports/").text
    assert maintainer.post("/objects/reports/quakes/new.csv").status_code == 302
    assert wiring.object_store().stat("reports", "quakes/new.csv") is None
    assert maintainer.post("/objects/reports/quakes/new.csv").status_code == 404


def test_the_platforms_own_buckets_stay_as_they_are(rows: Rows, db) -> None:
    wiring.object_store().put("ferris-artifacts", "kept/x.txt", b"x")
    maintainer = _role("maintainer")
    answer = maintainer.post("/objects/ferris-artifacts/", {"file": SimpleUploadedFile("a.txt", b"a")})
    assert answer.status_code == 422
    assert maintainer.post("/objects/ferris-artifacts/kept/x.txt").status_code == 403
    assert wiring.object_store().stat("ferris-artifacts", "kept/x.txt") is not None
    assert "Upload a file" not in page(maintainer, "/objects/ferris-artifacts/").text


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "..\\..\\boot.ini", "a/b/c.csv", "<script>alert(1)</script>.csv"]
)
def test_a_hostile_name_leads_nowhere_else(rows: Rows, db, name) -> None:
    maintainer = _role("maintainer")
    before = {info.key for info in wiring.object_store().list("reports")}
    _upload(maintainer, name, b"a,b")
    new = {info.key for info in wiring.object_store().list("reports")} - before
    assert all(key.startswith("quakes/") and key.count("/") == 1 for key in new)
    assert not page(maintainer, "/objects/reports/?prefix=quakes/").dangers
    for key in new:
        wiring.object_store().delete("reports", key)


def test_what_is_uploaded_is_checked() -> None:
    assert checked("C:\\folder\\a.CSV", 5, b"a,b", limit=10) == ("a.CSV", "text/csv")
    assert checked("p.png", 5, PNG, limit=10, types=("image/*",)) == ("p.png", "image/png")
    assert checked("x.tar.gz", 5, b"\x1f\x8b", limit=10)[1] == "application/gzip"
    for name, size, content, types, problem in (
        ("", 1, b"", (), "no name"),
        ("..", 1, b"", (), "no name"),
        ("a\r\nb.txt", 1, b"", (), "control character"),
        ("invoice\u202efdp.exe", 1, b"", (), "control character"),
        ("x" * 300, 1, b"", (), "more than 200 bytes"),
        ("a.txt", 11 << 20, b"", (), "at most"),
        ("a.txt", 1, b"", ("image/*",), "taken are image/*"),
        ("a.png", 1, b"<html>", (), "something else"),
        ("a.txt", 1, b"\x7fELF", (), "is a program"),
        ("a.csv", 1, b"MZ\x90", (), "is a program"),
    ):
        with pytest.raises(EventError, match=problem):
            checked(name, size, content, limit=10 << 20, types=types)
