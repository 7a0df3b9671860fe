"""The way in for events, and the journal."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ferris import events
from ferris.config import EVENTS
from ferris_web import wiring
from tests.web.calling import BATCH, CLOUDEVENT, an_event, problem_of
from tests.web.platform import NOW, dispatch, event, service

pytestmark = pytest.mark.django_db
EVENTS_URL = "/api/v1/events/"


def on_the_log():
    return [
        events.from_record(record.value, record.headers, now=NOW)
        for record in wiring.event_log().browse(EVENTS, offset=0, limit=500)
    ]


def send(api, body, type=CLOUDEVENT, **headers):
    return api("POST", EVENTS_URL, body, type=type, **headers)


def test_a_structured_event_is_on_the_log_when_it_is_answered(api):
    answer = send(api, an_event(subject="order/1", colour="red"))
    assert answer.status_code == 202
    [found] = on_the_log()
    assert answer.json() == {"id": "1", "correlation_id": found.flow_id}
    assert (found.type, found.source, found.subject) == ("shop.order.placed", "/shop", "order/1")
    assert found.data == {"n": 1}
    assert found.extensions["colour"] == "red"


def test_data_as_a_text_of_json_is_taken_as_its_object(api):
    assert send(api, an_event(data='{"n": 2}')).status_code == 202
    assert on_the_log()[0].data == {"n": 2}


def test_an_originator_brings_its_correlation(api):
    assert send(api, an_event(correlationid="my/flow 1")).json()["correlation_id"] == "my/flow 1"
    assert send(api, an_event(correlationid="ABCDEF1234_07")).json()["correlation_id"] == "ABCDEF1234"
    assert send(api, an_event(data={"_fxcid": "ZZZZZZ9999_01"})).json()["correlation_id"] == "ZZZZZZ9999"


def test_the_slash_may_be_left_out(api):
    assert api("POST", "/api/v1/events", an_event(), type=CLOUDEVENT).status_code == 202


@pytest.mark.parametrize("type", [CLOUDEVENT, CLOUDEVENT + "; charset=utf-8", "Application/CloudEvents+JSON"])
def test_the_content_type_may_have_parameters_and_any_case(api, type):
    assert send(api, an_event(), type).status_code == 202


def test_binary_mode(api):
    answer = send(
        api,
        b'{"n": 3}',
        "application/json",
        ce_specversion="1.0",
        ce_id="b%201",
        ce_source="/shop",
        ce_type="shop.order.placed",
        ce_colour="red",
    )
    assert answer.status_code == 202, answer.content
    [found] = on_the_log()
    assert (found.id, found.data, found.extensions["colour"]) == ("b 1", {"n": 3}, "red")


@pytest.mark.parametrize(
    "type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_binary_mode_takes_any_content(api, type):
    answer = send(api, b"a=1&b=2", type, ce_specversion="1.0", ce_id="1", ce_source="/s", ce_type="t")
    assert answer.status_code == 202, answer.content
    assert on_the_log()[0].data in ("a=1&b=2", b"a=1&b=2")


def test_a_batch_is_answered_in_its_order(api):
    answer = send(api, [an_event(id=str(n)) for n in range(5)], BATCH)
    assert answer.status_code == 202
    assert [item["id"] for item in answer.json()["events"]] == list("01234")
    assert [event.flow_id for event in on_the_log()] == [i["correlation_id"] for i in answer.json()["events"]]


def test_an_empty_batch_is_a_batch(api):
    assert send(api, [], BATCH).json() == {"events": []}


def test_one_bad_event_refuses_its_batch_and_is_named(api):
    bad = [an_event(), an_event(id="2", type=None), an_event(id="3")]
    document = problem_of(send(api, bad, BATCH), 400)
    assert (document["index"], document["attribute"]) == (1, "type")
    assert on_the_log() == []


def test_a_reserved_type_refuses_its_batch_and_is_named(api):
    bad = [an_event(), an_event("ferris.execution.completed", id="2")]
    document = problem_of(send(api, bad, BATCH), 400)
    assert (document.get("index"), document["attribute"]) == (1, "type")
    assert on_the_log() == []


@pytest.mark.parametrize(
    ("change", "attribute"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": 5}, "id"),
        ({"source": None}, "source"),
        ({"type": None}, "type"),
        ({"type": "x" * 513}, "type"),
        ({"type": "ferris.execution.started"}, "type"),
        ({"type": "ferris.schedule.due"}, "type"),
        ({"specversion": "0.3"}, "specversion"),
        ({"time": "yesterday"}, "time"),
        ({"subject": "a\u0000b"}, "subject"),
        ({"data": {"n": "a\u0000b"}}, "data"),
        ({"Colour": "red"}, "Colour"),
        ({"colour": {"a": 1}}, "colour"),
        ({"ferrishops": 3}, "ferrishops"),
        ({"ferrisservice": "x"}, "ferrisservice"),
        ({"ferristrigger": "manual"}, "ferristrigger"),
    ],
)
def test_a_bad_event_is_refused_and_its_attribute_named(api, change, attribute):
    document = problem_of(send(api, an_event(**change)), 400)
    assert document["attribute"] == attribute
    assert attribute in document["detail"]
    assert on_the_log() == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe",
     b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":NaN}',
     b"[" * 100_000, b'{"data":' * 70 + b"1" + b"}" * 70],
)  # fmt: skip
def test_what_is_no_event_is_refused(api, body):
    problem_of(send(api, body), 400)
    assert on_the_log() == []


@pytest.mark.parametrize(
    "type", ["application/json", "text/plain", "application/cloudevents+xml", "nonsense"]
)
def test_an_unknown_form_is_refused(api, type):
    assert problem_of(send(api, b"{}", type), 415)["attribute"] == "content-type"


def test_what_is_too_large_is_refused(api):
    assert "1048576" in problem_of(send(api, an_event(data="x" * events.MAX_EVENT_BYTES)), 413)["detail"]
    many = [an_event(id=str(n), data="x" * 1_000_000) for n in range(17)]
    problem_of(send(api, many, BATCH), 413)
    assert on_the_log() == []


def test_an_event_of_the_largest_size_is_taken(api):
    empty = len(json.dumps(an_event(data="")))
    assert send(api, an_event(data="x" * (events.MAX_EVENT_BYTES - empty))).status_code == 202


# --- the journal -------------------------------------------------------------------------------------


@pytest.fixture
def journal(backends):
    """Six events of two types and sources, in two flows."""
    service("mailer", "shop.*")
    dispatch(*(event("shop.order.placed", {"n": n}, id=f"o{n}", correlation_id="FLOW/1") for n in range(3)))
    paid = (event("bank.paid", {"n": n}, id=f"b{n}", correlation_id="FLOW2") for n in range(3))
    dispatch(*(replace(one, source="/bank") for one in paid))


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 6),
        ("type=shop.order.placed", 3),
        ("type=shop.*", 3),
        ("type=*", 6),
        ("type=shop.", 0),
        ("source=/tests", 3),
        ("flow_id=FLOW/1", 3),
        ("flow_id=FLOW2&type=shop.*", 0),
        ("since=2026-03-01T12:00:00Z", 6),
        ("until=2026-03-01T12:00:00Z", 0),
        ("since=2026-03-01T13:00:00%2B02:00", 6),
        ("type=", 6),
    ],
)
def test_events_are_found(api, journal, query, count):
    assert len(api.get(f"{EVENTS_URL}?{query}").json()["results"]) == count


def test_an_event_as_the_journal_has_it(api, journal):
    [found] = api.get(f"{EVENTS_URL}?type=bank.paid&limit=1").json()["results"]
    assert found["received_at"] == "2026-03-01T12:00:00.000Z"
    assert found["subject"] is None
    assert found["data"] == {"n": int(found["id"][1])}
    one = api.get(f"{EVENTS_URL}{found['key']}/").json()
    assert {name: one[name] for name in found} == found
    assert one["executions"] == []
    assert one["topic"] == EVENTS


def test_an_event_is_found_by_its_own_id_and_tells_what_it_caused(api, journal):
    found = api.get(f"{EVENTS_URL}o1/").json()
    assert found["matched"] == 1
    assert [run["service"] for run in found["executions"]] == ["mailer"]
    problem_of(api.get(f"{EVENTS_URL}nothing/"), 404)


def test_pages_of_events_that_came_at_the_same_time_are_whole(api, journal):
    whole = api.get(f"{EVENTS_URL}?limit=500").json()["results"]
    assert api.all(f"{EVENTS_URL}?limit=2") == whole


@pytest.mark.parametrize(
    "query", ["since=tomorrow", "until=5", "limit=0", "limit=501", "limit=x", "cursor=abc"]
)
def test_a_wrong_parameter_is_named(api, query):
    [error] = problem_of(api.get(f"{EVENTS_URL}?{query}"), 400)["errors"]
    assert error["field"] == query.partition("=")[0]


def test_a_list_is_a_fixed_number_of_queries(api, journal, django_assert_num_queries):
    api.get(EVENTS_URL)  # notes that the token was used, once a minute
    for limit in (1, 6):
        with django_assert_num_queries(3):  # who calls, with which roles, and the page
            api.get(f"{EVENTS_URL}?limit={limit}")
