"""The API as pages of the console, and its document."""

from __future__ import annotations

import gzip
import json

import pytest
from django.test import Client

from ferris_web.console import api_reference
from ferris_web.openapi import document
from tests.web.console_pages import page

pytestmark = pytest.mark.django_db


def ids() -> list[str]:
    return [told["operationId"] for methods in document()["paths"].values() for told in methods.values()]


def test_the_index_leads_to_every_operation(person: Client) -> None:
    links = page(person, "/api/docs/").links
    assert {f"/api/docs/{name}/" for name in ids()} <= set(links)
    assert len(ids()) == len(set(ids()))


def test_it_finds_operations_by_all_words(person: Client) -> None:
    found = page(person, "/api/docs/?q=cancel+execution")
    assert "/api/docs/executions_cancel_create/" in found.links
    assert "/api/docs/projects_list/" not in found.links
    assert "No operation holds all of these words" in page(person, "/api/docs/?q=cancel+zzz").text


@pytest.mark.walk
def test_every_operation_has_a_page(person: Client) -> None:
    for name in ids():
        shown = page(person, f"/api/docs/{name}/")
        assert api_reference.operation(name).path in shown.text


def test_a_page_says_what_is_sent_and_answered(person: Client) -> None:
    text = page(person, "/api/docs/services_run_create/").text
    for said in ("Idempotency-Key", "priority", "from 1, to 10", "202 Accepted", "correlation_id"):
        assert said in text


def test_shapes_within_shapes_are_named_by_their_place() -> None:
    answer = api_reference.operation("projects_list").answers[0]
    fields = {one.name: one for one in answer.bodies[0].fields}
    assert fields["results[].repositories[].commit"].kind == "string or null"


def test_choices_are_listed_once(person: Client) -> None:
    schemas = document()["components"]["schemas"]
    assert "description" not in schemas["ExecutionStatus"]
    assert "* `" not in json.dumps(schemas["Execution"])
    assert page(person, "/api/docs/executions_retrieve/").html.count("<code>skipped</code>") == 1


def test_choices_that_ask_for_an_explanation_have_one(person: Client) -> None:
    shown = page(person, "/api/docs/webhooks_retrieve/")
    assert "How requests are verified." in shown.text
    assert shown.html.count("<code>hmac</code>") == 1
    assert "HMAC in a header" in shown.text
    assert "description" not in document()["components"]["schemas"]["WebhookKind"]


def test_an_operation_that_is_none_is_a_page_that_says_so(person: Client) -> None:
    answer = person.get("/api/docs/nothing/")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_stranger_signs_in_first(client: Client) -> None:
    for address in ("/api/docs/", "/api/docs/projects_list/"):
        assert client.get(address).headers["Location"].startswith("/sign-in/")


def test_the_document_comes_packed_to_who_takes_that(person: Client) -> None:
    asked = {"Accept": "application/vnd.oai.openapi+json"}
    plain = person.get("/api/schema/", headers=asked | {"Accept-Encoding": "br"})
    packed = person.get("/api/schema/", headers=asked | {"Accept-Encoding": "gzip, br"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert gzip.decompress(packed.content) == plain.content
    assert len(packed.content) < 100_000
    assert json.loads(plain.content)["openapi"].startswith("3.1")


def test_what_all_operations_understand_has_no_example_of_something_else() -> None:
    headers = [
        one
        for methods in document()["paths"].values()
        for told in methods.values()
        for one in told["parameters"]
        if one["name"] == "If-None-Match"
    ]
    assert headers
    assert not [one for one in headers if "Not found" in one["schema"].get("examples", ())]


def test_what_is_no_shape_has_an_example(person: Client) -> None:
    assert '"currency"' in page(person, "/api/docs/services_config_update/").text
    assert "120 rows were loaded" in page(person, "/api/docs/executions_logs_file_retrieve/").text
    shown = page(person, "/api/docs/buckets_objects_retrieve/").text
    assert "order,total\n1042,120" in shown or "order,total 1042,120" in shown, "as it is, and not as JSON"
