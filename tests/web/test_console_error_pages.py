"""Pages that tell of an error lead on: navigation, the way back, help; and say nothing of the code."""

from __future__ import annotations

import logging

import pytest
from django.test import Client

from ferris_web.accounts.models import Membership, Role, User
from ferris_web.catalog.models import Project
from tests.web.console_pages import Page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]


def shown(client: Client, address: str, status: int, **more: str) -> Page:
    answer = client.get(address, **more)
    assert answer.status_code == status
    found = Page(answer.content.decode())
    assert not found.dangers
    assert "Traceback" not in found.html
    assert found.tags["h1"] == 1
    assert any(link.endswith("/help/console/#errors") for link in found.links)
    return found


@pytest.fixture
def viewer(client: Client) -> Client:
    project = Project.objects.create(name="quakes")
    user = User.objects.create_user("vera")
    Membership.objects.filter(user=user).update(project=project, role=Role.VIEWER)
    client.force_login(user)
    return client


def test_what_is_not_there(viewer: Client) -> None:
    found = shown(viewer, "/services/nothing/", 404)
    assert "nothing at this address" in found.text
    assert "/services/" in found.links, "the navigation"
    assert "/go/" in found.links


def test_what_is_not_allowed(viewer: Client) -> None:
    found = shown(viewer, "/connections/add/", 403)
    assert "not allowed" in found.text
    assert "/services/" in found.links


def test_the_way_back_leads_within_this_site_only(viewer: Client) -> None:
    found = shown(viewer, "/nothing/", 404, HTTP_REFERER="http://testserver/executions/?status=failed")
    assert "/executions/?status=failed" in found.links
    for elsewhere in ("https://example.org/x", "http://testserver/nothing/", "javascript:alert(1)"):
        found = shown(viewer, "/nothing/", 404, HTTP_REFERER=elsewhere)
        assert "page before" not in found.text


def test_somebody_who_is_not_signed_in_sees_no_navigation(client: Client) -> None:
    found = shown(client, "/nothing/", 404)
    assert "/services/" not in found.links
    assert "/" in found.links


def test_a_place_for_forms_only(viewer: Client) -> None:
    found = shown(viewer, "/failures/retry/", 405)
    assert "only takes what a form sends" in found.text
    assert viewer.get("/failures/retry/")["Allow"] == "POST"


def _fault(*args: object, **named: object) -> None:
    raise RuntimeError("s3cr3t-of-the-code")


def test_a_fault_has_a_reference(
    viewer: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from ferris_web.catalog import selectors

    viewer.raise_request_exception = False
    monkeypatch.setattr(selectors, "project_list", _fault)
    with caplog.at_level(logging.ERROR):
        found = shown(viewer, "/projects/", 500)
    assert "s3cr3t" not in found.html
    assert "/services/" in found.links
    reference = found.text.split("urn:uuid:")[1].split()[0].rstrip(".")
    assert reference in caplog.text


def test_a_fault_of_the_navigation_itself_still_is_a_page(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ferris_web.console.templatetags import console

    viewer.raise_request_exception = False
    monkeypatch.setattr(console, "opens", _fault)
    found = shown(viewer, "/projects/", 500)
    assert "Something went wrong" in found.text
    assert "/services/" not in found.links
