"""The documentation in the console: every page is there, every link of it leads somewhere, words find their section."""

from __future__ import annotations

import re

import pytest
from django.core.management import get_commands
from django.test import Client

from ferris_web.console import manual
from tests.web.console_pages import page

NAMES = sorted(name for name in manual._sources() if name)


def test_each_page_is_in_the_contents_or_a_decision(person: Client) -> None:
    listed = {name for group in manual.contents() for name, _ in group.pages}
    assert listed | {name for name, _ in manual.decisions()} == set(NAMES)
    found = page(person, "/help/")
    assert all(f"/help/{name}/" in found.links for name in NAMES)
    assert "/api/docs/" in found.links


@pytest.mark.parametrize("name", NAMES)
def test_a_page_and_its_links(name: str, person: Client) -> None:
    found = page(person, f"/help/{name}/")
    assert not found.dangers
    assert not found.unclosed
    for link in found.links:
        address, _, anchor = link.partition("#")
        if link.startswith("/help/") and "?" not in link:
            behind = address.removeprefix("/help/").rstrip("/")
            html = manual.page(behind).html if behind else page(person, "/help/").html
            assert not anchor or f'id="{anchor}"' in html, link
        elif link.startswith("#") and anchor != "main":
            assert f'id="{anchor}"' in found.html, link


def test_every_command_is_explained() -> None:
    ours = {name for name, app in get_commands().items() if str(app).startswith(("ferris_web.", "embedded"))}
    assert {"sync", "emit", "doctor", "ferris"} <= ours
    assert ours <= {anchor for anchor, _ in manual.page("commands").headings}
    assert "`--wait`" not in manual.page("commands").html, "Markdown was read"
    assert "--wait" in manual.page("commands").html


def test_each_screen_has_its_part(person: Client) -> None:
    anchors = {anchor for anchor, _ in manual.page("console").headings}
    first = {link.split("/")[1] or "dashboard" for link in page(person, "/").links if link.startswith("/")}
    assert first - {"administration", "admin", "api"} <= anchors


def test_words_find_their_section(person: Client) -> None:
    hits = manual.search("ROTATE-KEYS encryption keys")
    assert "operations" in {hit.page for hit in hits}
    assert all("mark" in hit.excerpt for hit in hits)
    assert hits == manual.search("  keys rotate-keys encryption")
    assert manual.search("dead letters")[0].heading.casefold().startswith("dead letters")
    assert manual.search("") == manual.search("xyzzyplugh") == []
    assert "<mark>" in page(person, "/help/?q=retry").html
    nothing = page(person, "/help/?q=<script>alert(1)</script>")
    assert not nothing.dangers
    assert "No section holds" in nothing.text


@pytest.mark.parametrize("name", ["nothing", "../README", "decisions/../../README", "README", "%00"])
def test_other_names_are_not_found(name: str, person: Client) -> None:
    assert person.get(f"/help/{name}/").status_code == 404


def test_a_stranger_is_asked_to_sign_in(client: Client) -> None:
    assert client.get("/help/tutorial/").status_code == 302


def test_each_diagram_has_its_picture() -> None:
    from django.contrib.staticfiles.finders import find

    texts = [
        text
        for path in manual._sources().values()
        if path.exists()
        for text in re.findall(r"^```mermaid\n(.*?)^```", path.read_text(), re.S | re.M)
    ]
    assert texts
    assert [text for text in texts if find(manual.picture_name(text)) is None] == [], (
        "make pictures draws them"
    )


@pytest.mark.parametrize("address", ["/help/", "/help/tutorial/"])
def test_a_german_reader_is_led_in_german_and_told_that_pages_are_not(address: str, person: Client) -> None:
    person.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    found = page(person, address)
    for title in ("Einführung", "Anleitungen", "Nachschlagen", "Erklärungen", "ist auf Englisch."):
        assert title in found.text, title
    assert re.search(r'<a href="/help/commands/" lang="en"', found.html)
    person.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    assert "in English" not in page(person, address).text
