"""Saved views: one's own, shared ones, and the one a list opens with."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.test import Client

from ferris_web.accounts.models import Membership, User
from ferris_web.catalog.models import Project
from ferris_web.executions.models import DefaultView, SavedView
from ferris_web.executions.services.saved_views import VIEWED
from tests.web.console_pages import page
from tests.web.console_rows import Rows

QUERY = "status=failed&since=24h"


def _member(name: str, role: str, project: str = "reports") -> Client:
    person = User.objects.create_user(name, password="a long password")
    Membership.objects.filter(user=person).delete()
    Membership.objects.create(user=person, role=role, project=Project.objects.get(name=project))
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def ada(rows: Rows, db: None) -> Client:
    return _member("ada-l", "operator")


def _save(client: Client, name: str, query: str = QUERY, listing: str = "executions", **more: str):
    return client.post(f"/views/{listing}/?{query}", {"name": name, **more})


def test_filters_are_kept_under_a_name_and_come_back(ada) -> None:
    answer = _save(ada, "Mine", f"{QUERY}&cursor=abc&page=2&service=")
    assert answer.status_code == 302
    assert answer.url == f"/executions/?{QUERY}"
    shown = page(ada, f"/views/executions/?{QUERY}")
    assert f"/executions/?{QUERY}" in shown.links
    assert "Mine" in shown.text
    _save(ada, "Mine", "status=open")
    assert SavedView.objects.get(name="Mine").query == "status=open"
    for listing in VIEWED:
        fields = page(ada, f"/views/{listing}/").inputs
        assert not [one for one in fields if one.get("name")]  # nothing to save without filters
        assert f"/views/{listing}/?q=x" in page(ada, f"/{listing}/?q=x").html
    assert _save(ada, "Lines", "q=level%3Aerror&kind=logs&since=7d", "search").status_code == 302


@pytest.mark.parametrize(
    ("name", "query"),
    [("", QUERY), ("x" * 101, QUERY), ("a\tb", QUERY), ("A", "colour=red"), ("A", "q=" + "x" * 5000)],
)
def test_what_cannot_be_saved_is_told(ada, name, query) -> None:
    answer = _save(ada, name, query)
    assert answer.status_code == 422
    assert b"Not saved" in answer.content
    assert not SavedView.objects.exists()


def test_a_list_opens_with_the_view_that_was_chosen(ada) -> None:
    _save(ada, "Mine", default="on")
    assert ada.get("/executions/").url == f"/executions/?{QUERY}"
    assert ada.get("/executions/?all=1").status_code == 200
    assert ada.get("/executions/?q=x").status_code == 200
    row = SavedView.objects.get()
    ada.post(f"/views/{row.pk}/change/", {"what": "no-default"})
    assert ada.get("/executions/").status_code == 200
    ada.post(f"/views/{row.pk}/change/", {"what": "default"})
    ada.post(f"/views/{row.pk}/change/", {"what": "remove"})
    assert ada.get("/executions/").status_code == 200
    assert not DefaultView.objects.exists()


def test_one_sees_ones_own_and_what_ones_projects_share(ada) -> None:
    friend, viewer, other = (
        _member("friend", "operator"), _member("viewer", "viewer"), _member("other", "owner", "quakes")
    )  # fmt: skip
    _save(ada, "Private")
    _save(ada, "Shared", project="reports")
    private, shared = SavedView.objects.get(name="Private"), SavedView.objects.get(name="Shared")
    assert "Private" not in page(friend, "/views/executions/").text
    assert "Shared" in page(friend, "/views/executions/").text
    assert "Shared" in page(viewer, "/views/executions/").text
    assert "Shared" not in page(other, "/views/executions/").text
    for client, row, status in (
        (friend, private, 404), (friend, shared, 403), (viewer, shared, 403), (other, shared, 404),
        (other, private, 404),
    ):  # fmt: skip
        assert client.post(f"/views/{row.pk}/change/", {"what": "remove"}).status_code == status
        assert client.delete(f"/api/v1/views/{row.pk}/").status_code == status
    for client, row in ((friend, private), (other, shared)):
        assert client.post(f"/views/{row.pk}/change/", {"what": "default"}).status_code == 404
        assert client.get(f"/api/v1/views/{row.pk}/").status_code == 404
    assert _save(viewer, "Mine too", project="reports").status_code == 404  # offered to operators only
    assert _save(ada, "There", project="quakes").status_code == 404
    assert _save(friend, "Shared", "status=open", project="reports").status_code == 403
    assert (
        _member("boss", "maintainer").post(f"/views/{shared.pk}/change/", {"what": "remove"}).status_code
        == 302
    )
    assert SavedView.objects.get() == private


def test_a_default_that_one_does_not_see_any_more_opens_nothing(ada) -> None:
    friend = _member("leaver", "viewer")
    _save(ada, "Shared", project="reports")
    friend.post(f"/views/{SavedView.objects.get().pk}/change/", {"what": "default"})
    assert friend.get("/executions/").status_code == 302
    Membership.objects.filter(user__username="leaver").delete()
    assert friend.get("/executions/").status_code == 200


def test_views_over_the_api(ada) -> None:
    body = {"list": "events", "name": "Orders", "query": "type=orders.*", "project": "reports"}
    made = ada.post("/api/v1/views/", body, content_type="application/json")
    assert made.status_code == 201, made.content
    assert made.json()["project"] == "reports"
    assert [one["name"] for one in ada.get("/api/v1/views/?list=events").json()["results"]] == ["Orders"]
    assert ada.get("/api/v1/views/?list=flows").json()["results"] == []
    for wrong, status in (
        ({"list": "nothing"}, 400), ({"query": "colour=red"}, 409), ({"name": ""}, 400), ({"project": "quakes"}, 404)
    ):  # fmt: skip
        assert (
            ada.post("/api/v1/views/", {**body, **wrong}, content_type="application/json").status_code
            == status
        )
    assert ada.delete(f"/api/v1/views/{made.json()['id']}/").status_code == 204
    assert ada.delete(f"/api/v1/views/{uuid4()}/").status_code == 404


def test_the_view_a_list_opens_with_over_the_api(ada) -> None:
    def put(listing: str, view: object) -> int:
        body = {"view": str(view)}
        return ada.put(
            f"/api/v1/lists/{listing}/default-view/", body, content_type="application/json"
        ).status_code

    body = {"list": "executions", "name": "Late", "query": QUERY}
    kept = ada.post("/api/v1/views/", body, content_type="application/json").json()["id"]
    place = "/api/v1/lists/executions/default-view/"
    assert ada.get(place).status_code == 404
    assert put("executions", kept) == 200
    assert ada.get(place).json()["name"] == "Late"
    assert (put("events", kept), put("executions", uuid4()), put("nothing", kept)) == (404, 404, 404)
    assert ada.delete(place).status_code == 204
    assert ada.get(place).status_code == 404


def test_hostile_names_are_text(ada) -> None:
    _save(ada, '"><script>alert(1)</script>', "q=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert not page(ada, "/views/executions/").dangers
    assert ada.get("/views/nothing/").status_code == 404
