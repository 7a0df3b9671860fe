"""The object store and the system map over the API."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ferris_web import wiring
from ferris_web.executions.services.bonds import bonds_renew
from tests.web.at_once import at_once
from tests.web.calling import problem_of
from tests.web.platform import service

pytestmark = pytest.mark.django_db
PLACE = "/api/v1/buckets/reports/objects/2026/may.csv"


def _put(api, body=b"a,b\n", place=PLACE, **headers):
    return api("PUT", place, body, type="text/csv", **headers)


def test_files_are_put_listed_read_and_removed(api):
    made = _put(api)
    assert made.status_code == 201, made.content
    told = made.json()
    assert {name: told[name] for name in ("key", "size", "content_type")} == {
        "key": "2026/may.csv", "size": 4, "content_type": "text/csv",
    }  # fmt: skip
    assert "reports" in [row["name"] for row in api.all("/api/v1/buckets/")]
    listed = api.get("/api/v1/buckets/reports/objects/?prefix=2026/").json()
    assert [row["key"] for row in listed["results"]] == ["2026/may.csv"]
    content = api.get(PLACE)
    assert b"".join(content.streaming_content) == b"a,b\n"
    assert content.headers["Content-Disposition"].startswith("attachment")
    assert content.headers["ETag"] == made.headers["ETag"]
    assert _put(api, b"c\n").status_code == 200
    assert api.delete(PLACE).status_code == 204
    problem_of(api.get(PLACE), 404)
    problem_of(api.delete(PLACE), 404)


def test_pages_of_a_bucket(api):
    for name in ("a", "b", "c"):
        wiring.object_store().put("reports", name, b"x")
    first = api.get("/api/v1/buckets/reports/objects/?limit=2").json()
    assert [row["key"] for row in first["results"]] == ["a", "b"]
    assert [row["key"] for row in api.all("/api/v1/buckets/reports/objects/?limit=2")] == ["a", "b", "c"]
    problem_of(api.get("/api/v1/buckets/nothing/objects/"), 404)


def test_nothing_of_somebody_else_is_overwritten(api):
    tag = _put(api).headers["ETag"]
    problem_of(_put(api, b"c\n", If_None_Match="*"), 412)
    problem_of(_put(api, b"c\n", If_Match='"other"'), 412)
    problem_of(api("DELETE", PLACE, If_Match='"other"'), 412)
    changed = _put(api, b"c\n", If_Match=tag)
    assert changed.status_code == 200
    assert api("DELETE", PLACE, If_Match=changed.headers["ETag"]).status_code == 204


@pytest.mark.django_db(transaction=True)
def test_of_several_at_once_one_wins(api):
    def wins(what, **condition):
        answers = list[int]()
        at_once(*(lambda n=n: answers.append(_put(api, what % n, **condition).status_code) for n in range(4)))
        return sorted(answers)

    assert wins(b"%d", If_None_Match="*") == [201, 412, 412, 412]
    assert wins(b"other %d", If_Match=api.get(PLACE).headers["ETag"]) == [200, 412, 412, 412]


def test_what_is_not_taken(api):
    problem_of(_put(api, b"\x7fELFx"), 400)
    problem_of(_put(api, b"", "/api/v1/buckets/reports/objects/a/../b"), 400)
    problem_of(_put(api, b"x", "/api/v1/buckets/X/objects/a"), 400)
    problem_of(_put(api, b"x", "/api/v1/buckets/packages/objects/a"), 409)
    wiring.object_store().put("packages", "a", b"x")
    problem_of(api.delete("/api/v1/buckets/packages/objects/a"), 409)


def test_the_map(api):
    for name in ("mailer", "packer", "shipper"):
        service(name, "order.placed")
    assert bonds_renew(datetime.now(UTC))
    found = api.get("/api/v1/map/").json()
    assert [row["name"] for row in found["services"]] == ["mailer", "packer", "shipper"]
    bond = found["bonds"][0]
    assert (bond["service"], bond["kind"], bond["event_type"]) == ("mailer", "triggers", "order.placed")
    assert bond["state"] == "declared"
    assert found["next"] is None
    nothing = {"services": [], "bonds": [], "next": None, "previous": None}
    assert api.get("/api/v1/map/?project=nothing").json() == nothing


def test_the_map_comes_in_pages_of_services_with_all_their_bonds(api):
    for name in ("mailer", "packer", "shipper"):
        service(name, "order.placed")
    assert bonds_renew(datetime.now(UTC))
    first = api.get("/api/v1/map/?limit=2").json()
    assert [row["service"] for row in first["bonds"]] == ["mailer", "packer"]
    second = api.get(first["next"]).json()
    assert [row["service"] for row in second["bonds"]] == ["shipper"]
    assert api.get(second["previous"]).json()["services"] == first["services"]
    for name, wrong in (("cursor", "x"), ("limit", "0"), ("limit", "501"), ("limit", "x")):
        problem = problem_of(api.get(f"/api/v1/map/?{name}={wrong}"), 400)
        assert [error["field"] for error in problem["errors"]] == [name], wrong
