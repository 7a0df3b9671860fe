"""Events that come twice, in another order, in circles, or broken."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.acceptance.client import CLOUDEVENT, Client, event, until
from tests.acceptance.services import Project

GO = {"trigger_events": ["TAG.go"]}


def test_an_event_that_comes_again_runs_once(project: Project) -> None:
    project.load({"TAG_s": {"manifest.json": GO, "s.py": "print()"}})
    client = project.client
    one = event(project("TAG.go"), id="1", source=project("/TAG"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(client.send, [one] * 16))
    assert {answer.status for answer in answers} == {202}
    assert client.send_batch([one, one, {**one, "time": "2020-01-01T00:00:00Z"}]).status == 202
    other_source = client.send({**one, "source": project("/TAG/other")})
    other_id = client.send({**one, "id": "2"})
    for last in (other_source, other_id):
        client.flow(last.json["correlation_id"], 1)
    assert len(project.runs("TAG_s")) == 3
    assert {row["status"] for row in project.runs("TAG_s")} <= {"completed", "queued", "in_progress"}


def test_shuffled_and_repeated_events_are_counted_once(project: Project) -> None:
    project.load(
        {
            "TAG_count": {
                "manifest.json": {"trigger_events": ["TAG.part", "TAG.whole"], "retry": {"attempts": 3}},
                "s.py": """
                    from ferris_ef import context

                    part, parts = context.params.get("part"), context.params.get("parts")

                    def arrived(seen):
                        seen = seen or {"parts": None, "seen": [], "closed": None}
                        if parts is not None:
                            seen["parts"] = parts
                        elif part not in seen["seen"]:
                            seen["seen"].append(part)
                        if len(seen["seen"]) == seen["parts"] and seen["closed"] is None:
                            seen["closed"] = context.params.get("_fxexec")
                        return seen

                    if context.state.update("book", arrived)["closed"] == context.params.get("_fxexec"):
                        context.events.send("TAG.closed")
                """,
            },
            "TAG_end": {"manifest.json": {"trigger_events": ["TAG.closed"]}, "s.py": "print()"},
        }
    )
    client = project.client
    parts = [event(project("TAG.part"), {"part": n}, correlationid=project("TAG")) for n in range(30)]
    # The cause comes before what it needs: `whole` is older by its time and first by its place.
    whole = event(
        project("TAG.whole"), {"parts": 30}, correlationid=project("TAG"), time="2019-01-01T00:00:00Z"
    )
    sent = [whole, *parts, *parts[:10]]
    random.Random(7).shuffle(sent)
    for start in range(0, len(sent), 9):
        assert client.send_batch(sent[start : start + 9]).status == 202
    rows = client.flow(project("TAG"), 32, timeout=60)
    assert {row["status"] for row in rows} == {"completed"}
    assert len([row for row in rows if row["service"] == project("TAG_end")]) == 1


def test_a_script_cannot_report_for_the_platform(project: Project) -> None:
    project.load(
        {
            "TAG_s": {
                "manifest.json": GO,
                "s.py": """
                    from ferris_ef import context
                    mine = context.params.get("_fxexec")
                    for topic in (None, "ferris.hpsm"):
                        try:
                            context.events.send(
                                "ferris.execution.failed",
                                data={"execution": mine, "attempt": 1, "reason": "platform"},
                                topic=topic,
                                reference_id=mine,
                            )
                        except Exception as error:
                            print(type(error).__name__)
                    print("end")
                """,
            }
        }
    )
    client = project.client
    row = client.flow(project.emit("TAG.go"), 1)[0]
    assert row["reason"] != "platform"
    assert client.output(row["id"])[-1] == "end"


def test_a_circle_of_events_ends_at_the_hop_limit(project: Project) -> None:
    project.load(
        {
            "TAG_ping": {
                "manifest.json": {"trigger_events": ["TAG.pong", "TAG.go"]},
                "s.py": "from ferris_ef import context\ncontext.events.send('TAG.ping')",
            },
            "TAG_pong": {
                "manifest.json": {"trigger_events": ["TAG.ping"]},
                "s.py": "from ferris_ef import context\ncontext.events.send('TAG.pong')",
            },
        }
    )
    client = project.client
    flow = project.emit("TAG.go")

    def letters() -> list[dict[str, Any]]:
        return [one for one in client.all("/api/v1/dead-letters/") if one["flow_id"] == flow]

    letter = until(
        letters, 90, lambda: f"{len(client.executions(correlation_id=flow))} executions and no dead letter"
    )
    rows = client.flow(flow, len(client.executions(correlation_id=flow)))
    assert 100 <= len(rows) <= 101
    assert len(letter) == 1
    assert "hop" in json.dumps(letter[0])
    assert letter[0]["event_type"] in (project("TAG.ping"), project("TAG.pong"))


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in event("acceptance.bad").items() if name not in names}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


BAD = [
    (without("id"), "id"),
    (without("source"), "source"),
    (without("type"), "type"),
    (without("specversion"), "specversion"),
    ({**without(), "specversion": "0.3"}, "specversion"),
    ({**without(), "id": ""}, "id"),
    ({**without(), "id": 5}, "id"),
    ({**without(), "id": "x" * 600}, "id"),
    ({**without(), "id": "a\0b"}, "id"),
    ({**without(), "source": ""}, "source"),
    ({**without(), "type": ["a"]}, "type"),
    ({**without(), "type": "ferris.execution.completed"}, "type"),
    ({**without(), "time": "yesterday"}, "time"),
    ({**without(), "Bad-Name": "x"}, "Bad-Name"),
    ({**without(), "ferrishops": 0}, "ferrishops"),
    ({**without(), "ferrisservice": "x"}, "ferrisservice"),
    ({**without(), "data": nested(80)}, "data"),
]


@pytest.mark.parametrize(("bad", "attribute"), BAD, ids=[f"{n}-{name}" for n, (_, name) in enumerate(BAD)])
def test_a_bad_event_is_refused_and_the_attribute_named(
    client: Client, bad: dict[str, Any], attribute: str
) -> None:
    answer = client.send(bad)
    assert answer.status == 400, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json
    assert problem["status"] == 400
    assert attribute in json.dumps(problem), problem
    assert problem["title"]


@pytest.mark.parametrize(
    ("body", "content_type", "statuses"),
    [
        (b"", CLOUDEVENT, {400}),
        (b"{", CLOUDEVENT, {400}),
        (b"[]", CLOUDEVENT, {400}),
        (b'"text"', CLOUDEVENT, {400}),
        (b"\xff\xfe", CLOUDEVENT, {400}),
        (b'{"specversion": "1.0", "id": "1", "source": "/a", "type": "b", "data": NaN}', CLOUDEVENT, {400}),
        (b"<event/>", "application/cloudevents+xml", {400, 415}),
        (b"text", "text/plain", {400, 415}),
        (b"{}", "application/json", {400, 415}),
        (b'{"data": "' + b"x" * 2_000_000 + b'"}', CLOUDEVENT, {400, 413}),
    ],
)
def test_what_is_no_event_is_refused(
    client: Client, body: bytes, content_type: str, statuses: set[int]
) -> None:
    answer = client.request("POST", "/api/v1/events/", body, headers={"Content-Type": content_type})
    assert answer.status in statuses, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json["status"] == answer.status


def test_a_batch_with_a_bad_event_is_refused_whole(project: Project) -> None:
    project.load({"TAG_s": {"manifest.json": GO, "s.py": "print()"}})
    client = project.client
    good = event(project("TAG.go"))
    answer = client.send_batch([good, without("type"), good])
    assert answer.status == 400, answer.text
    assert "type" in answer.text
    client.flow(project.emit("TAG.go"), 1)
    assert len(project.runs("TAG_s")) == 1


def test_nothing_answers_without_a_token(client: Client) -> None:
    for method, path in (
        ("POST", "/api/v1/events/"),
        ("GET", "/api/v1/executions/"),
        ("GET", "/api/v1/services/"),
        ("GET", "/api/v1/projects/"),
        ("GET", "/api/v1/flows/x/"),
        ("POST", "/control/claim"),
        ("POST", "/control/heartbeat"),
        ("GET", "/control/secrets/by-name?name=x"),
        ("GET", "/control/v1/kv/ferris.env"),
    ):
        for token in (None, "wrong", client.token if path.startswith("/control") else "x" * 64):
            answer = client.request(method, path, None if method == "GET" else {}, token=token)
            assert answer.status in (401, 403), (method, path, answer.status, answer.text[:200])
