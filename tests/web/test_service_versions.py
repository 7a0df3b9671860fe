"""What two versions of a service differ in, what an execution's version changed, and how its last runs went."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from ferris_web.catalog import services as catalog
from ferris_web.catalog.differences import MOST_BYTES, versions_compared
from ferris_web.catalog.models import Project, Service
from ferris_web.console import charts
from ferris_web.executions.models import Execution
from tests.web.console_fixtures import HOSTILE
from tests.web.console_pages import page
from tests.web.console_rows import Rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]


def upload(files: dict[str, bytes], name: str = "compared") -> Service:
    project, _ = Project.objects.get_or_create(name="comparing")
    catalog.service_upload(project, name, {"manifest.json": b"{}", **files}, now=timezone.now())
    return Service.objects.get(name=name)


@pytest.fixture
def service() -> Service:
    """Two versions: one file changed, one gone, one new, one that is no text."""
    upload({"run.py": b"print(1)\nprint(2)\n", "old.txt": b"x\n", "data.bin": b"\0a", "same.py": b"1\n"})
    return upload(
        {"run.py": b"print(1)\nprint(3)\n", "new.txt": b"y\n", "data.bin": b"\0b", "same.py": b"1\n"}
    )


def test_files_are_compared(service: Service) -> None:
    new, old = service.versions.order_by("-number")
    found = {change.path: change for change in versions_compared(old, new)}
    assert {path: change.kind for path, change in found.items()} == {
        "data.bin": "changed",
        "new.txt": "added",
        "old.txt": "removed",
        "run.py": "changed",
    }
    assert found["run.py"].lines[1:] == (" print(1)", "-print(2)", "+print(3)")
    assert found["data.bin"].note
    assert not found["data.bin"].lines


def test_files_are_compared_over_the_api(service: Service, api: Any) -> None:
    place = "/api/v1/services/compared/versions"
    said = api.get(f"{place}/2/").json()
    assert (said["version"]["number"], said["to"]["number"], said["manifest_differs"]) == (2, 1, False)
    kinds = {one["path"]: one["kind"] for one in said["files"]}
    assert kinds == {"data.bin": "changed", "new.txt": "added", "old.txt": "removed", "run.py": "changed"}
    assert "+print(3)" in said["files"][-1]["lines"]
    assert api.get(f"{place}/1/").json()["to"] is None
    assert "+print(2)" in api.get(f"{place}/1/?to=2").json()["files"][-1]["lines"]
    assert (api.get(f"{place}/3/").status_code, api.get(f"{place}/{2**40}/").status_code) == (404, 404)
    assert api.get(f"{place}/2/?to=x").status_code == 400


def test_what_is_too_long_is_named(service: Service) -> None:
    last = upload({"run.py": b"#\n" * MOST_BYTES})
    [change] = [c for c in versions_compared(service.version, last.version) if c.path == "run.py"]
    assert (change.lines, bool(change.note)) == ((), True)


def test_the_page_shows_them(service: Service, person: Client) -> None:
    shown = page(person, "/services/compared/versions/2/")
    assert "+print(3)" in shown.text
    assert "-print(2)" in shown.text
    assert "No file differs" in page(person, "/services/compared/versions/2/?with=2").text
    assert "the first version" in page(person, "/services/compared/versions/1/").text
    assert "/services/compared/versions/2/" in page(person, "/services/compared/versions/").links
    page(person, "/services/compared/versions/9/", 404)
    page(person, "/services/compared/versions/2/?with=%00", 404)


def test_what_stands_in_files_is_text(person: Client) -> None:
    upload({"run.py": b"1\n"}, "evil")
    upload({"run.py": HOSTILE.encode() + b"\n"}, "evil")
    shown = page(person, "/services/evil/versions/2/")
    assert not shown.dangers
    assert "alert(1)" in shown.text


def test_an_execution_says_whether_its_version_ran_before(rows: Rows, person: Client) -> None:
    row = rows.executions["running"]
    assert "unchanged," in page(person, f"/executions/{row.pk}/").text
    before = Execution.objects.filter(service=row.service, created_at__lt=row.created_at).order_by(
        "-created_at"
    )[0]
    other = row.service.versions.create(number=0, digest="0" * 64, manifest={"scripts": []})
    Execution.objects.filter(pk=before.pk).update(version=other)
    shown = page(person, f"/executions/{row.pk}/")
    assert "changed since the run before" in shown.text
    assert f"/services/make_report/versions/{row.version.number}/?with=0" in shown.links


def test_an_execution_shows_configuration_and_masked_secrets(rows: Rows, person: Client) -> None:
    row = Execution.objects.filter(service__name="quakes_alert").order_by("created_at")[0]
    text = page(person, f"/executions/{row.pk}/").text
    assert "seismology" in text
    assert "webhook ••••••" in text
    assert "CONSUL_HOST" in text


def test_the_history_is_drawn_oldest_first(rows: Rows, person: Client) -> None:
    found = list(Execution.objects.filter(service__name="make_report").order_by("-created_at", "-id"))
    chart = charts.runs(found)
    assert [run.row.pk for run in chart.runs] == [row.pk for row in reversed(found)]
    assert max(run.bar.height for run in chart.runs) <= chart.base
    assert charts.runs([]).runs == []
    full = charts.runs(found * charts.RUNS).runs
    assert len(full) == charts.RUNS
    assert min(run.bar.x for run in full) >= charts.LABELS  # no bar lies behind a time
    shown = page(person, "/services/make_report/")
    assert f"the last {len(found)} executions" in shown.text
    assert shown.html.count("data-here") >= 10, "the next ten times, in the viewer's zone"


def test_force_is_offered_after_a_cancel(rows: Rows, person: Client) -> None:
    row = rows.executions["running"]
    address = f"/executions/{row.pk}/"
    assert "Force" not in page(person, address).text
    person.post(f"{address}cancel/")
    assert "Force" in page(person, address).text
    answer: Any = person.post(f"{address}cancel/", {"force": "1"}, follow=True)
    assert "It counts as ended" in answer.content.decode()
