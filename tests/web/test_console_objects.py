"""Files of the object store are served as what they are, and can do nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from ferris_web import wiring
from ferris_web.console.views import objects
from tests.web.console_pages import page
from tests.web.console_rows import Rows

_REPORT = "/objects/reports/quakes/2026/report.html"


def body(answer: object) -> bytes:
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def test_a_report_is_shown_in_a_sandbox(rows: Rows, person: Client) -> None:
    answer = person.get(_REPORT)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert answer["Content-Disposition"].startswith("inline")
    assert b"<h1>Report</h1>" in body(answer)
    policy = answer["Content-Security-Policy"]
    assert policy.startswith("sandbox")
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("key", "kind", "shown"),
    [
        ("quakes/2026/quakes.csv", "text/plain; charset=utf-8", "inline"),
        ("photo.svg", "image/svg+xml", "inline"),
        ("data.bin", "application/octet-stream", "attachment"),
    ],
)
def test_files_are_what_they_say(key: str, kind: str, shown: str, rows: Rows, person: Client) -> None:
    answer = person.get(f"/objects/reports/{key}")
    assert answer["Content-Type"] == kind
    assert answer["Content-Disposition"].startswith(shown)
    assert answer["Content-Security-Policy"].startswith("sandbox")
    assert int(answer["Content-Length"]) == len(body(answer))
    assert person.get(f"/objects/reports/{key}?download=1")["Content-Disposition"].startswith("attachment")


def test_a_lying_content_type_runs_nothing(rows: Rows, person: Client) -> None:
    store = wiring.object_store()
    for n, kind in enumerate(
        ("text/javascript", "application/xhtml+xml", "text/xml", "text/html; x=y\r\nSet-Cookie: a=b")
    ):
        store.put("reports", f"odd/{n}", b"alert(1)", kind.replace("\r\n", " "))
        answer = person.get(f"/objects/reports/odd/{n}")
        assert answer["Content-Security-Policy"].startswith("sandbox"), kind
        assert answer["X-Content-Type-Options"] == "nosniff"
        if "html;" not in kind:
            assert answer["Content-Disposition"].startswith("attachment"), kind


def test_odd_names_are_listed_and_served(rows: Rows, person: Client) -> None:
    store = wiring.object_store()
    for key in ("a b/ü?#&%2e.txt", "quote\"'<b>.txt", "%2e%2e/x.txt", "semi;colon=1.txt", "l" * 251 + ".txt"):
        store.put("odd-names", key, key.encode(), "text/plain")
        name = key.rsplit("/", 1)
        folder = f"?prefix={name[0]}/" if len(name) == 2 else ""
        shown = page(person, f"/objects/odd-names/{folder.replace('%', '%25').replace(' ', '%20')}")
        link = next(
            link for link in shown.links if link.startswith("/objects/odd-names/") and link.endswith(".txt")
        )
        assert not shown.dangers
        answer = person.get(link)
        assert body(answer) == key.encode()
        assert "\n" not in answer["Content-Disposition"]
        store.delete("odd-names", key)


def test_nothing_outside_the_store_is_served(rows: Rows, person: Client) -> None:
    for key in (
        "../../keys/session.key",
        "..%2f..%2fkeys%2fsession.key",
        "/etc/passwd",
        "a//b",
        ".",
        "..",
        "%00",
        "\\x",
    ):
        answer = person.get(f"/objects/reports/{key}")
        assert answer.status_code in (404, 503, 301, 302), key
        assert b"-----" not in answer.content
    assert person.get("/objects/../keys/").status_code == 404


def test_an_unchanged_file_is_not_sent_again(rows: Rows, person: Client) -> None:
    etag = person.get(_REPORT)["ETag"]
    assert person.get(_REPORT, headers={"if-none-match": etag}).status_code == 304
    wiring.object_store().put("reports", "quakes/2026/report.html", b"new", "text/html")
    assert person.get(_REPORT, headers={"if-none-match": etag}).status_code == 200


def test_large_buckets_are_paged(rows: Rows, person: Client) -> None:
    store = wiring.object_store()
    for n in range(450):
        store.put("many", f"f{n:04d}.txt" if n % 2 else f"folder{n % 3}/f{n}", b"x")
    seen: set[str] = set()
    address = "/objects/many/"
    for _ in range(10):
        shown = page(person, address)
        seen |= {
            link for link in shown.links if link.startswith("/objects/many/f") and "download" not in link
        }
        more = [link for link in shown.links if "after=" in link]
        if not more:
            break
        address = "/objects/many/" + more[0]
    assert len(seen) == 225


def test_what_lies_in_a_folder_is_not_looked_at_from_above(
    rows: Rows, person: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = wiring.object_store()
    for n in range(30):
        store.put("deep", f"folder{n % 2}/f{n:02d}", b"x")
    store.put("deep", "last.txt", b"x")
    monkeypatch.setattr(objects, "SHOWN", 4)
    whole, seen = type(store).list, []

    def listed(*place: Any, **limit: Any) -> Any:
        found = whole(*place, **limit)
        seen.extend(info.key for info in found)
        return found

    monkeypatch.setattr(type(store), "list", listed)
    shown = page(person, "/objects/deep/")
    assert {"?prefix=folder0%2F", "?prefix=folder1%2F", "/objects/deep/last.txt"} <= set(shown.links)
    assert not [link for link in shown.links if "after=" in link]
    assert len(seen) <= 9, "four keys of a folder tell that it is there"
