"""Flows as graphs, and when one has settled."""

from __future__ import annotations

import pytest

from ferris import events
from ferris.config import EVENTS
from ferris_web import wiring
from ferris_web.executions.models import Execution
from ferris_web.executions.services import events_accept
from tests.web.calling import problem_of
from tests.web.platform import NOW, append, dispatch, event, service

pytestmark = pytest.mark.django_db
URL = "/api/v1/flows/"


@pytest.fixture
def diamond(backends):
    """A -> B and C -> D: six executions (D runs for each of the two), the last two queued."""
    service("a", "start")
    service("b", "a.done")
    service("c", "a.done")
    service("d", "b.done", "c.done")
    dispatch(event("start", {"secret": "data"}, id="0", correlation_id="AAAAAAAAAA"))
    _send("a", "a.done", "1")
    _send("b", "b.done", "2")
    _send("c", "c.done", "3")


def _send(sender: str, kind: str, id: str) -> None:
    row = Execution.objects.get(service__name=sender)
    Execution.objects.filter(pk=row.pk).update(status="completed", finished_at=NOW)
    dispatch(event(kind, id=id, correlation_id=row.flow_id, causation_id=str(row.pk), hops=1))


def test_nodes_and_edges(api, diamond):
    flow = api.get(f"{URL}AAAAAAAAAA/").json()
    names = {node["id"]: node.get("service") or node["type"] for node in flow["nodes"]}
    edges = {(edge["kind"], names[edge["source"]], names[edge["target"]]) for edge in flow["edges"]}
    assert edges == {
        ("triggered", "start", "a"),
        ("sent", "a", "a.done"),
        ("triggered", "a.done", "b"),
        ("triggered", "a.done", "c"),
        ("sent", "b", "b.done"),
        ("sent", "c", "c.done"),
        ("triggered", "b.done", "d"),
        ("triggered", "c.done", "d"),
    }
    assert len(flow["edges"]) == 8
    assert sorted(node["kind"] for node in flow["nodes"]) == ["event"] * 4 + ["execution"] * 5
    assert flow["truncated"] is False
    assert flow["root_type"] == "start"
    assert "secret" not in str(flow)


@pytest.mark.parametrize("name", ["AAAAAAAAAA_01", "AAAAAAAAAA_04"])
def test_a_flow_is_found_by_the_correlation_id_of_an_execution(api, diamond, name):
    assert api.get(f"{URL}{name}/").json()["id"] == "AAAAAAAAAA"


def test_an_originators_own_flow_id_may_be_anything(api):
    service("a", "start")
    dispatch(event("start", correlation_id="my/flow 1"))
    assert api.get(f"{URL}my%2Fflow%201/").json()["id"] == "my/flow 1"
    assert api.get(f"{URL}my/flow%201_01/").json()["id"] == "my/flow 1"


def test_an_unknown_flow_is_not_found(api):
    problem_of(api.get(f"{URL}BBBBBBBBBB/"), 404)


def test_a_flow_is_there_as_soon_as_its_event_was_accepted(api):
    [sent] = events_accept([events.new("start", "/t", now=NOW)], now=NOW)
    flow = api.get(f"{URL}{sent.flow_id}/").json()
    assert flow["settled"] is False
    assert flow["nodes"] == []


def _routed() -> None:
    """The router's place is the end of the log."""
    consumer = wiring.event_log().subscribe("ferris.router", [EVENTS])
    while found := consumer.poll(500, timeout=0):
        consumer.commit(found)
    consumer.close()


def test_a_flow_has_settled_when_nothing_runs_and_nothing_waits(api, diamond):
    def settled() -> bool:
        return api.get(f"{URL}AAAAAAAAAA/").json()["settled"]

    assert settled() is False  # D is queued
    Execution.objects.update(status="completed", finished_at=NOW)
    assert settled() is True
    append(EVENTS, event("d.done", id="4", correlation_id="AAAAAAAAAA"))
    assert settled() is False  # the router has not seen what D sent
    _routed()
    assert settled() is True
    append(EVENTS, event("x", id="5", correlation_id="BBBBBBBBBB"))
    assert settled() is True  # what waits is another flow's
    Execution.objects.filter(service__name="d").update(status="pending")
    assert settled() is False


def test_a_list_of_flows_counts_their_executions(api, diamond, django_assert_num_queries):
    dispatch(event("start", id="9"))
    api.get(URL)
    with django_assert_num_queries(4):
        found = api.get(URL).json()["results"]
    assert len(found) == 2
    old = next(flow for flow in found if flow["id"] == "AAAAAAAAAA")
    assert old["executions"] == 5
    assert old["statuses"] == {"completed": 3, "queued": 2}
    assert api.all(f"{URL}?limit=1") == found
    assert len(api.get(f"{URL}?root_type=start").json()["results"]) == 2
    assert api.get(f"{URL}?root_type=other").json()["results"] == []


def test_one_flow_is_a_fixed_number_of_queries(api, django_assert_max_num_queries):
    service("a", "start")
    dispatch(*(event("start", id=str(n), correlation_id="AAAAAAAAAA") for n in range(30)))
    api.get(URL)
    with django_assert_max_num_queries(14):
        assert len(api.get(f"{URL}AAAAAAAAAA/").json()["nodes"]) == 60
