"""Artifacts in the API and in the console: listed, downloaded, shown so that they can do nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from ferris.artifacts import BUCKET
from ferris_web import wiring
from ferris_web.executions.models import Artifact, Execution
from tests.web.calling import Caller, problem_of
from tests.web.platform import NOW, dispatch, event, service

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]

CONTENTS = {
    "report.html": ("text/html", b"<h1>Report</h1><script>parent.hacked = 1</script>"),
    "charts/a b.svg": ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"),
    "table.csv": ("text/csv", "name;amount\nä;1\n<b>x</b>;2\n".encode()),
    "data.json": ("application/json", b'{"a": ["</script><script>alert(1)</script>"]}'),
    "notes.txt": ("text/plain", b"plain <i>text</i> \xff"),
    "data.parquet": ("application/octet-stream", b"PAR1"),
    "evil.js": ("text/javascript", b"alert(1)"),
    "page": ("application/xhtml+xml", b"<html/>"),
}


@pytest.fixture
def row() -> Execution:
    """An execution that has left files."""
    service("one", "a.happened")
    (bell,) = dispatch(event())
    made = Execution.objects.get(pk=bell.execution_id)
    for name, (kind, content) in CONTENTS.items():
        add(made, name, kind, content)
    return made


def add(
    execution: Execution, name: str, kind: str, content: bytes, attempt: int = 1, step: int = 0
) -> Artifact:
    made = Artifact.objects.create(
        execution=execution, attempt=attempt, step=step, script="run.py", name=name,
        content_type=kind, size=len(content), day="2026-03-01", created_at=NOW,
    )  # fmt: skip
    wiring.object_store().put(BUCKET, made.key, content, kind)
    return made


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_the_list_pages_and_leads_to_the_contents(api: Caller, row: Execution) -> None:
    found = api.all(f"/api/v1/executions/{row.pk}/artifacts/?limit=3")
    assert [one["name"] for one in found] == sorted(CONTENTS)
    first = found[0]
    assert set(first) == {"name", "size", "content_type", "attempt", "step", "script", "created_at", "url"}
    for one in found:
        answer = api.get(one["url"].removeprefix("http://testserver"))
        assert body(answer) == CONTENTS[one["name"]][1]
        assert int(answer["Content-Length"]) == one["size"]


@pytest.mark.parametrize("name", CONTENTS)
def test_a_download_can_do_nothing(api: Caller, row: Execution, name: str) -> None:
    answer = api.get(f"/api/v1/executions/{row.pk}/artifacts/{name}")
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox")
    assert "allow-scripts" not in answer["Content-Security-Policy"]


def test_of_one_name_the_latest_is_given_unless_another_is_asked_for(api: Caller, row: Execution) -> None:
    add(row, "table.csv", "text/csv", b"second step", step=1)
    add(row, "table.csv", "text/csv", b"second attempt", attempt=2)
    place = f"/api/v1/executions/{row.pk}/artifacts/table.csv"
    assert body(api.get(place)) == b"second attempt"
    assert body(api.get(f"{place}?attempt=1")) == b"second step"
    assert body(api.get(f"{place}?attempt=1&step=0")) == CONTENTS["table.csv"][1]
    problem_of(api.get(f"{place}?attempt=7"), 404)
    problem_of(api.get(f"{place}?attempt=x"), 400)


@pytest.mark.parametrize("name", ["../../x", "..%2f..%2fx", "none", "%00", "report.html/", "a" * 2000])
def test_other_names_lead_nowhere(api: Caller, row: Execution, name: str) -> None:
    assert api.get(f"/api/v1/executions/{row.pk}/artifacts/{name}").status_code == 404


def test_another_executions_artifacts_are_not_found_here(api: Caller, row: Execution) -> None:
    dispatch(event(id="other"))
    other = Execution.objects.exclude(pk=row.pk).get()
    assert api.get(f"/api/v1/executions/{other.pk}/artifacts/").json()["results"] == []
    problem_of(api.get(f"/api/v1/executions/{other.pk}/artifacts/report.html"), 404)


def test_a_content_that_is_gone_is_not_found(api: Caller, row: Execution) -> None:
    wiring.object_store().delete(BUCKET, Artifact.objects.get(name="report.html").key)
    problem_of(api.get(f"/api/v1/executions/{row.pk}/artifacts/report.html"), 404)


def test_a_stranger_gets_neither(anonymous: Caller, client: Client, row: Execution) -> None:
    for place in ("artifacts/", "artifacts/report.html"):
        problem_of(anonymous.get(f"/api/v1/executions/{row.pk}/{place}"), 401)
    for place in ("artifacts/report.html", "artifact-files/report.html"):
        assert client.get(f"/executions/{row.pk}/{place}").status_code == 302


def test_the_page_of_the_execution_lists_them(person: Client, row: Execution) -> None:
    page = person.get(f"/executions/{row.pk}/").content.decode()
    for name in CONTENTS:
        assert name in page
    assert f"/executions/{row.pk}/artifact-files/charts/a%20b.svg?attempt=1&amp;step=0" in page


def test_a_page_is_shown_in_a_frame_that_can_do_nothing(person: Client, row: Execution) -> None:
    page = person.get(f"/executions/{row.pk}/artifacts/report.html")
    assert b'sandbox=""' in page.content
    assert b"hacked" not in page.content
    assert page["Content-Security-Policy"].endswith("frame-src 'self'")
    answer = person.get(f"/executions/{row.pk}/artifact-files/report.html")
    assert answer["Content-Disposition"].startswith("inline")
    policy = answer["Content-Security-Policy"]
    assert policy.startswith("sandbox;")
    assert "allow-" not in policy
    assert "'self'" not in policy.replace("frame-ancestors 'self'", "")
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["evil.js", "data.parquet", "notes.txt"])
def test_only_pictures_and_pages_are_shown_as_themselves(person: Client, row: Execution, name: str) -> None:
    answer = person.get(f"/executions/{row.pk}/artifact-files/{name}")
    assert answer["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("name", "shown", "not_shown"),
    [
        ("table.csv", ["<td>ä</td>", "&lt;b&gt;x&lt;/b&gt;", '<th scope="col">amount</th>'], "<b>x"),
        ("data.json", ["&lt;script&gt;"], "<script>alert"),
        ("notes.txt", ["plain &lt;i&gt;text", "\ufffd"], "<i>text"),
        ("evil.js", ["alert"], "<script>alert"),
        ("charts/a b.svg", ['<img src="/executions/'], "<svg xmlns='"),
        ("data.parquet", ["There is no preview of application/octet-stream"], "PAR1"),
    ],
)
def test_what_is_shown_of_a_file(
    person: Client, row: Execution, name: str, shown: list[str], not_shown: str
) -> None:
    page = person.get(f"/executions/{row.pk}/artifacts/{name}").content.decode()
    for text in shown:
        assert text in page
    assert not_shown not in page


def test_a_long_table_is_cut(person: Client, row: Execution) -> None:
    lines = "\n".join(",".join(f"r{n}c{m}" for m in range(60)) for n in range(50_000))
    add(row, "long.csv", "text/csv", lines.encode())
    page = person.get(f"/executions/{row.pk}/artifacts/long.csv").content.decode()
    assert "The first 200 rows." in page
    assert "r200c49" in page
    assert "r201c0" not in page
    assert "r1c50" not in page


@pytest.mark.parametrize("content", [b"", b"\0\0", b'"' * 100, b"one column\n1\n", b'"' + b"x" * 300_000])
def test_no_table_breaks_the_page(person: Client, row: Execution, content: bytes) -> None:
    add(row, "odd.csv", "text/csv", content)
    assert person.get(f"/executions/{row.pk}/artifacts/odd.csv").status_code == 200


def test_progress_in_the_api_and_on_the_pages(api: Caller, administrator: Client, row: Execution) -> None:
    said = {"done": 3, "total": 12, "message": "<b>reading</b>", "at": "2026-03-01T12:00:01.123456Z"}
    assert api.get(f"/api/v1/executions/{row.pk}/").json()["progress"] is None
    Execution.objects.filter(pk=row.pk).update(progress=said, status="in_progress", started_at=NOW)
    shown = api.get(f"/api/v1/executions/{row.pk}/").json()["progress"]
    assert json.dumps(shown) == json.dumps({**said, "at": "2026-03-01T12:00:01.123Z"})
    for place in (f"/executions/{row.pk}/", "/executions/"):
        page = administrator.get(place).content.decode()
        assert '<progress max="100" value="25"' in page
        assert "25 % (3 of 12)" in page
        assert "&lt;b&gt;reading" in page
