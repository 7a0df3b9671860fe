"""Topics, dead letters, health, metrics, the schema, problem documents."""

from __future__ import annotations

import errno
import json
import os
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import jsonschema
import pytest
from django.conf import settings
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from ferris import events
from ferris.config import EVENTS
from ferris.errors import BackendError
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.api import health, problems
from ferris_web.api.examples import bodies
from ferris_web.executions.checkup import reach
from ferris_web.executions.checkup import readiness as module
from ferris_web.executions.models import DeadLetter
from tests.web.calling import Caller, an_event, problem_of
from tests.web.platform import NOW, append, dispatch, event, service

pytestmark = pytest.mark.django_db


# --- the log -----------------------------------------------------------------------------------------


def test_topics_with_lag(api):
    wiring.event_log().append("t", [Record(b"%d" % n) for n in range(5)])
    consumer = wiring.event_log().subscribe("g", ["t"])
    consumer.commit(consumer.poll(2))
    [group] = api.get("/api/v1/topics/").json()["results"][0]["groups"]
    [member] = group["members"]
    assert member == {"client": f"process {os.getpid()}", "host": socket.gethostname(), "partitions": [0]}
    consumer.close()
    answer = api.get("/api/v1/topics/").json()
    [topic] = answer["results"]
    assert topic["name"] == "t"
    assert topic["records"] == 5
    assert topic["groups"] == [{"group": "g", "lag": 3, "members": []}]
    assert topic["partitions"] == [{"partition": 0, "begin": 0, "end": 5}]


def test_records_of_a_topic(api):
    log = wiring.event_log()
    log.append("t", [Record(b"%d" % n, key=f"k{n}", headers={"a": b"b"}) for n in range(4)])
    log.append("t", [Record(b"\xff\x00")])
    found = api.get("/api/v1/topics/t/records/?offset=0&limit=2").json()
    assert [(r["offset"], r["key"], r["value"], r["headers"]) for r in found["results"]] == [
        (0, "k0", "0", {"a": "b"}),
        (1, "k1", "1", {"a": "b"}),
    ]
    rest = api.all(found["next"])
    assert [r["offset"] for r in rest] == [2, 3, 4]
    assert (rest[2]["value"], rest[2]["value_base64"]) == (None, "/wA=")
    assert [r["offset"] for r in api.get("/api/v1/topics/t/records/?limit=2").json()["results"]] == [3, 4]
    problem_of(api.get("/api/v1/topics/nothing/records/"), 404)
    problem_of(api.get("/api/v1/topics/t/records/?partition=1"), 404)
    problem_of(api.get("/api/v1/topics/t/records/?offset=-1"), 400)


def letter(
    value: bytes = b"{", reason: str = "unreadable", offset: int = 0, topic: str = EVENTS
) -> DeadLetter:
    return DeadLetter.objects.create(
        topic=topic, offset=offset, reason=reason, detail="body: is no JSON", value=value, created_at=NOW
    )


def test_dead_letters(api, django_assert_num_queries):
    rows = [letter(offset=n, reason="unreadable" if n else "hop_limit") for n in range(3)]
    api.get("/api/v1/dead-letters/")
    with django_assert_num_queries(3):
        found = api.get("/api/v1/dead-letters/").json()["results"]
    assert [row["id"] for row in found] == [row.pk for row in reversed(rows)]
    assert api.all("/api/v1/dead-letters/?limit=1") == found
    assert len(api.get("/api/v1/dead-letters/?reason=hop_limit").json()["results"]) == 1
    assert api.get(f"/api/v1/dead-letters/{rows[0].pk}/").json()["value"] == "{"
    problem_of(api.get("/api/v1/dead-letters/999999/"), 404)


def test_a_dead_letter_is_sent_on_its_way_again(api):
    stopped = event("a.happened", {"n": 1}, hops=101, correlation_id="AAAAAAAAAA")
    row = letter(events.encode(stopped), "hop_limit")
    answer = api.post(f"/api/v1/dead-letters/{row.pk}/redrive/")
    assert answer.status_code == 202
    assert answer.json() == {"id": stopped.id, "correlation_id": "AAAAAAAAAA"}
    [record] = wiring.event_log().browse(EVENTS)
    again = events.from_record(record.value, {}, now=NOW)
    assert (again.key, again.hops, again.data) == (stopped.key, 0, {"n": 1})


def test_what_is_no_event_or_was_handled_is_not_sent_again(api):
    problem_of(api.post(f"/api/v1/dead-letters/{letter().pk}/redrive/"), 409)
    done = event("a.happened")
    dispatch(done)
    problem_of(api.post(f"/api/v1/dead-letters/{letter(events.encode(done), offset=1).pk}/redrive/"), 409)
    problem_of(api.post("/api/v1/dead-letters/999999/redrive/"), 404)
    assert wiring.event_log().browse(EVENTS) == []


# --- health and metrics ------------------------------------------------------------------------------


@pytest.fixture
def readiness(monkeypatch):
    """Health without what other tests' looks have left."""
    fresh = module.Readiness()
    monkeypatch.setattr(health, "_readiness", fresh)
    return fresh


def test_alive(anonymous):
    assert anonymous.get("/health/live").json() == {"status": "live"}


def test_ready_names_every_backend(anonymous, readiness):
    answer = anonymous.get("/health/ready")
    assert answer.status_code == 200
    assert {name: part["state"] for name, part in answer.json()["backends"].items()} == dict.fromkeys(
        ("database", "event_log", "object_store", "config_store", "ops_store", "disk", "engine"), "ok"
    )


def test_one_backend_away_is_not_ready(anonymous, readiness):
    def away() -> module.State:
        raise BackendError("ops store", "is away", "start it")

    readiness._checks["ops_store"] = away
    answer = anonymous.get("/health/ready")
    assert answer.status_code == 503
    states = {name: part["state"] for name, part in answer.json()["backends"].items()}
    assert states.pop("ops_store") == "failed"
    assert set(states.values()) == {"ok"}
    assert anonymous.get("/health/live").status_code == 200


@pytest.mark.parametrize("how", ["full", "little", "gone"])
def test_a_home_that_cannot_be_written_is_not_ready(anonymous, api, readiness, monkeypatch, tmp_path, how):
    free, home = 10 * 1024**3, tmp_path
    if how == "full":
        monkeypatch.setattr(reach, "home_written", _no_space)
    elif how == "little":
        free = 49 * 1024**2
    else:
        home = tmp_path / "gone"
    monkeypatch.setattr(settings, "FERRIS", replace(settings.FERRIS, home=home))
    monkeypatch.setattr(reach.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    answer = anonymous.get("/health/ready")
    assert answer.status_code == 503
    states = {name: part["state"] for name, part in answer.json()["backends"].items()}
    assert states.pop("disk") == "failed"
    assert set(states.values()) == {"ok"}
    assert str(home).encode() not in answer.content
    problem = api.get("/health/ready").json()["backends"]["disk"]["problem"]
    assert {"full": "free space", "little": "free at least 50 MiB", "gone": "FERRIS_HOME"}[how] in problem


def _no_space() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_look_is_kept_for_a_moment(anonymous, readiness):
    looks = []

    def counted() -> module.State:
        looks.append(1)
        return module.State(True)

    readiness._checks["ops_store"] = counted
    for _ in range(5):
        anonymous.get("/health/ready")
    assert len(looks) == 1


def test_a_backend_that_hangs_is_not_asked_again(anonymous, readiness, monkeypatch):
    import threading

    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    monkeypatch.setattr(module, "_CACHE_SECONDS", 0.0)
    release, asked = threading.Event(), []

    def hanging() -> module.State:
        asked.append(1)
        release.wait(60)
        return module.State(True)

    readiness._checks = {"ops_store": hanging}
    for _ in range(3):
        assert anonymous.get("/health/ready").status_code == 503
    assert len(asked) == 1
    release.set()


def test_an_engine_that_takes_nothing_up_is_noticed(backends, monkeypatch):
    look = module._Engine()
    append(EVENTS, event())
    assert look().ok  # what waits may be a moment old
    assert look().ok
    later = datetime.now(UTC) + timedelta(seconds=60)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return later

    monkeypatch.setattr(module, "datetime", Clock)
    stalled = look()
    assert not stalled.ok
    assert stalled.facts["lag"]["ferris.router"] == 1
    router = wiring.event_log().subscribe("ferris.router", [EVENTS])
    router.commit(router.poll())
    append(EVENTS, event())
    assert look().ok  # it moves, however long the queue
    router.close()


def test_metrics(api):
    service("a", "a.happened")
    dispatch(event("a.happened"))
    letter()
    append(EVENTS, event())
    api("POST", "/api/v1/events/", an_event(), type="application/cloudevents+json")
    answer = api.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    samples = [
        s for family in text_string_to_metric_families(answer.content.decode()) for s in family.samples
    ]
    assert all(sample.name.startswith("ferris_") for sample in samples)
    found = {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}
    assert found["ferris_executions", "queued"] == 1
    assert found["ferris_dead_letters", "unreadable"] == 1
    assert found["ferris_topic_end_offset", "0", EVENTS] == 2
    assert found[("ferris_events_accepted_total",)] >= 1
    assert not [s for s in samples if any(len(value) > 80 for value in s.labels.values())]


# --- the schema --------------------------------------------------------------------------------------


@pytest.mark.parametrize("accepted", ["*/*", "application/json", "application/yaml", "text/html, */*"])
def test_the_schema_comes_in_the_form_that_is_asked_for(api, accepted):
    said = api.get("/api/schema/?format=json", Accept=accepted)
    assert (said.status_code, json.loads(said.content)["openapi"]) == (200, "3.1.0")
    assert api.get("/api/schema/?format=yaml", Accept=accepted).content.startswith(b"openapi: 3.1.0")
    [error] = problem_of(api.get("/api/schema/?format=xml", Accept=accepted), 400)["errors"]
    assert error["field"] == "format"


def test_the_schema_is_complete(api):
    answer = api.get("/api/schema/", Accept="application/json")
    assert answer.status_code == 200
    schema = json.loads(answer.content)
    assert schema["openapi"] == "3.1.0"
    assert {"/api/v1/events/", "/api/v1/executions/{id}/logs/", "/api/v1/flows/{flow_id}/"} <= set(
        schema["paths"]
    )
    assert not any(f"{path}/" in schema["paths"] for path in schema["paths"]), "each address once"
    assert "Problem" in schema["components"]["schemas"]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["security"], (method, path)
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_every_route_is_in_the_schema(api):
    from ferris_web.api.urls import urlpatterns

    schema = json.loads(api.get("/api/schema/", Accept="application/json").content)
    routes = {str(p.pattern).rstrip("/") for p in urlpatterns if str(p.pattern).startswith("api/v1/")}
    assert len(routes) == len(schema["paths"])


def test_examples_are_what_their_fields_take(api):
    schema = json.loads(api.get("/api/schema/", Accept="application/json").content)
    shapes = schema["components"]["schemas"]
    fields = [
        (shape, name, field)
        for shape in shapes
        for name, field in shapes[shape].get("properties", {}).items()
    ]
    shown = [(shape, name, field) for shape, name, field in fields if "examples" in field]
    for shape, name, field in shown:
        checker = jsonschema.Draft202012Validator(field, format_checker=jsonschema.FormatChecker())
        for example in field["examples"]:
            assert checker.is_valid(example), (shape, name, example)
    assert len(shown) > len(fields) / 3
    assert shapes["Execution"]["properties"]["correlation_id"]["examples"] == ["ABCDEF1234_01"]


def test_each_body_has_an_example_that_fits_it(api):
    schema = json.loads(api.get("/api/schema/", Accept="application/json").content)
    shown, free = [], 0
    for body in bodies(schema):
        whole = jsonschema.Draft202012Validator({**body["schema"], "components": schema["components"]})
        examples = [one["value"] for one in body.get("examples", {}).values()]
        examples += [body["example"]] if "example" in body else []
        free += not examples
        for example in examples:
            whole.validate(example)
            shown.append(example)
    assert len(shown) > 200
    assert free == 0
    raw = {
        (method, address, kind): body
        for address, operations in schema["paths"].items()
        for method, operation in operations.items()
        if isinstance(operation, dict)
        for one in (operation.get("requestBody", {}), *operation["responses"].values())
        for kind, body in one.get("content", {}).items()
        if not {"example", "examples"} & body.keys()
    }
    # CSV, whose columns are those of its list; an archive; streams.
    others = ("text/csv", "text/event-stream", "application/zip", "application/problem+json")
    assert [key for key in raw if not key[2].startswith(others)] == []
    run = schema["paths"]["/api/v1/executions/{id}/"]["get"]["responses"]["200"]["content"][
        "application/json"
    ]
    assert run["example"]["correlation_id"] == "ABCDEF1234_01"


# --- problem documents -------------------------------------------------------------------------------


def test_every_kind_of_problem_has_its_page(anonymous):
    assert anonymous.get("/problems/").status_code == 200
    for name, kind in problems.KINDS.items():
        page = anonymous.get(f"/problems/{name}/")
        assert page.status_code == 200
        assert kind.title in page.content.decode()
    problem_of(anonymous.get("/problems/other/"), 404)


def test_where_nothing_is(api, anonymous):
    for path in (
        "/api/",
        "/api/v1/",
        "/api/v1/nothing/",
        "/api/v2/events/",
        "/control/",
        "/health/",
        "/metrics/x",
    ):
        problem_of(api.get(path), 404)
        problem_of(anonymous("POST", path, {}), 404)
    page = anonymous.get("/nothing/for/people")
    assert page.status_code == 404
    assert page.headers["Content-Type"].startswith("text/html")


def test_methods_that_are_not_offered(api, executor):
    answer = api.delete("/api/v1/executions/")
    problem_of(answer, 405)
    assert "GET" in answer.headers["Allow"]
    answer = executor.get("/control/claim")
    problem_of(answer, 405)
    assert answer.headers["Allow"] == "POST"


def test_strangers_are_told_how_to_come_in(anonymous):
    answer = anonymous.get("/api/v1/executions/")
    problem_of(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_answer_in_another_form_is_not_offered(api):
    problem_of(api.get("/api/v1/executions/", Accept="text/csv"), 406)


def test_a_body_of_another_form_is_refused(api):
    service("a")
    problem_of(api("POST", "/api/v1/services/a/run/", b"<a/>", type="application/xml"), 415)


def test_a_body_beyond_all_limits_is_refused(api, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    problem_of(api("POST", "/api/v1/events/", b"x" * 1001, type="application/cloudevents+json"), 413)


def test_a_fault_of_ours_tells_nothing_of_its_cause(api, monkeypatch):
    from ferris_web.executions import selectors

    def broken(found: object) -> None:
        raise RuntimeError("the secret cause")

    monkeypatch.setattr(selectors, "with_names", broken)
    api = Caller(api.token, raise_faults=False)
    document = problem_of(api.get("/api/v1/executions/"), 500)
    assert document["instance"].startswith("urn:uuid:")
    assert "secret" not in str(document)


@pytest.mark.parametrize("fault", ["database", "backend"])
def test_a_backend_that_is_away_is_503(api, monkeypatch, fault):
    from django.db import OperationalError

    from ferris_web.executions import selectors

    def broken(found: object) -> None:
        if fault == "database":
            raise OperationalError("server closed the connection unexpectedly")
        raise BackendError("event log", "is away", "start it")

    monkeypatch.setattr(selectors, "with_names", broken)
    answer = api.get("/api/v1/executions/")
    problem_of(answer, 503)
    assert answer.headers["Retry-After"] == "5"


def test_a_throttled_caller_is_told_when_to_come_back():
    from rest_framework.exceptions import Throttled

    answer = problems.from_error(Throttled(wait=4.2))
    assert answer is not None
    problem_of(answer, 429)
    assert answer.headers["Retry-After"] == "5"


def test_a_host_that_is_not_ours_is_a_bad_request(backends):
    answer = Client(raise_request_exception=False).get(
        "/api/v1/executions/", headers={"Host": "evil.example"}
    )
    problem_of(answer, 400)
