"""A flow's tree from its rows: what was gathered, mapped and replayed, on the page, over the API, in a terminal."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from ferris import events
from ferris.causality import GATHERED, GATHERING, MAPPED, REPLAYED
from ferris.intake import Batch, Intake
from ferris.replaying import id_of, replayed
from ferris_web.executions.flow_tree import flow_tree
from ferris_web.executions.models import Event, Execution, Flow, Replay, Step
from tests.web.console_fixtures import HOSTILE
from tests.web.console_pages import page
from tests.web.console_rows import Rows
from tests.web.platform import NOW, dispatch, dispatch_at, event, service

pytestmark = pytest.mark.django_db


def edges(flow_id: str) -> set[tuple[str, str, str]]:
    tree = flow_tree(Flow.objects.get(pk=flow_id)).tree
    return {
        (cause.kind, tree.nodes[cause.key].name, node.name)
        for node in tree.nodes.values()
        for cause in node.causes
        if cause.kind in (GATHERED, MAPPED, REPLAYED)
    }


def finish(row: Execution, seconds: float) -> None:
    Execution.objects.filter(pk=row.pk).update(
        status="completed", started_at=row.created_at, finished_at=row.created_at + timedelta(seconds=seconds)
    )


def test_what_was_batched_leads_to_its_execution_also_across_flows(api: Any) -> None:
    service("one", "a.*", intake=Intake(batch=Batch(3, 60)))
    first, second = event("a.one", correlation_id="AAAAAAAAAA"), event("a.two", correlation_id="AAAAAAAAAA")
    far = event("a.far", correlation_id="BBBBBBBBBB")
    dispatch(first, second)
    waiting = [
        n for n in flow_tree(Flow.objects.get(pk="AAAAAAAAAA")).tree.nodes.values() if n.kind == GATHERING
    ]
    assert [node.name for node in waiting] == ["one (batch)"]
    assert edges("AAAAAAAAAA") == {(GATHERED, "a.one", "one (batch)"), (GATHERED, "a.two", "one (batch)")}
    dispatch(far)
    run = Execution.objects.get()
    whole = {(GATHERED, name, "one") for name in ("a.one", "a.two", "a.far")}
    triggered = {(GATHERED, run.event.type, "one")}  # the one whose data it got
    assert edges(run.flow_id) == whole - triggered
    other = "AAAAAAAAAA" if run.flow_id == "BBBBBBBBBB" else "BBBBBBBBBB"
    assert edges(other) < whole
    told = flow_tree(Flow.objects.get(pk=other)).tree.nodes[str(run.pk)]
    assert told.flow == run.flow_id, "what ran elsewhere stands at the edge"
    answer = api.get(f"/api/v1/flows/{other}/").json()
    found = [edge for edge in answer["edges"] if edge["kind"] == "gathered"]
    assert found
    assert {edge["flow"] for edge in found} == {run.flow_id}


def test_the_wait_for_another_attempt_is_no_time_in_scripts(api: Any) -> None:
    service("one", "start")
    dispatch(event("start", correlation_id="AAAAAAAAAA"))
    run = Execution.objects.get()
    finish(run, 100)
    Execution.objects.filter(pk=run.pk).update(attempt=2)
    for attempt, begun, ended in ((1, 0, 10), (2, 70, 90), (2, 90, 100)):
        begun_at, ended_at = (run.created_at + timedelta(seconds=second) for second in (begun, ended))
        Step.objects.create(
            execution=run,
            attempt=attempt,
            index=begun,
            script="run.py",
            started_at=begun_at,
            finished_at=ended_at,
        )
    path = api.get("/api/v1/flows/AAAAAAAAAA/").json()["critical_path"]
    assert (path["running_seconds"], path["waiting_seconds"]) == (40, 60)


def test_a_mapped_event_follows_its_original() -> None:
    service("one", "start"), service("two", "b.mapped")
    begun = event("start", correlation_id="AAAAAAAAAA")
    dispatch(begun)
    sender = Execution.objects.get()
    original = event("a.sent", correlation_id="AAAAAAAAAA", causation_id=str(sender.pk))
    made = event(
        "b.mapped", correlation_id="AAAAAAAAAA", causation_id=str(sender.pk),
        extensions={"ferrismapped": str(original.key)},
    )  # fmt: skip
    dispatch(original, made)
    assert edges("AAAAAAAAAA") == {(MAPPED, "a.sent", "b.mapped")}


def test_a_replay_is_bound_to_its_original_in_both_flows(api: Any) -> None:
    service("one", "a.*")
    original = event("a.happened", correlation_id="AAAAAAAAAA")
    dispatch(original)
    row = Replay.objects.create(
        since=NOW - timedelta(hours=1), until=NOW + timedelta(hours=1), created_at=NOW
    )
    again = replayed(original, row.pk, "AAAAAAAAAA", None)
    assert again.id == id_of(row.pk, original.key)
    dispatch_at((again, NOW + timedelta(minutes=5)))
    assert Event.objects.get(event_id=again.id).replay_id == row.pk
    for flow in ("AAAAAAAAAA", again.flow_id or ""):
        assert edges(flow) == {(REPLAYED, "a.happened", "a.happened")}
        [bound] = [
            edge for edge in api.get(f"/api/v1/flows/{flow}/").json()["edges"] if edge["kind"] == "replayed"
        ]
        assert bound["flow"] == ({"AAAAAAAAAA", again.flow_id} - {flow}).pop()


@pytest.fixture
def chain() -> Execution:
    """start -> one -> a.sent -> two, which ended last."""
    service("one", "start"), service("two", "a.sent")
    dispatch(event("start", correlation_id="AAAAAAAAAA"))
    first = Execution.objects.get()
    finish(first, 4)
    sent = event("a.sent", correlation_id="AAAAAAAAAA", causation_id=str(first.pk))
    dispatch_at((sent, NOW + timedelta(seconds=3)), now=NOW + timedelta(seconds=3))
    last = Execution.objects.get(service__name="two")
    finish(last, 7)
    return last


def test_the_api_says_the_critical_path(api: Any, chain: Execution) -> None:
    path = api.get("/api/v1/flows/AAAAAAAAAA/").json()["critical_path"]
    assert path["nodes"][-1] == str(chain.pk)
    assert len(path["nodes"]) == 4
    assert (path["seconds"], path["open"]) == (10.0, False)


def test_a_terminal_shows_the_tree(chain: Execution) -> None:
    out = StringIO()
    call_command("flow", f"{chain.flow_id}_02", stdout=out)
    lines = out.getvalue().splitlines()
    assert [line[0] for line in lines[:4]] == ["*"] * 4
    assert lines[0].endswith("event start")
    assert "      two completed, waited 0.000 s, took 7.000 s" in lines[3]
    assert lines[4].startswith("Critical path: 10.000 s; ")
    out = StringIO()
    call_command("flow", "AAAAAAAAAA", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert [node["depth"] for node in told["nodes"]] == [0, 1, 2, 3]
    assert told["critical_path"]["seconds"] == 10.0
    with pytest.raises(CommandError, match="there is no flow"):
        call_command("flow", "nothing")


def test_a_terminal_is_not_steered_by_a_type() -> None:
    dispatch(event("a\u202eb", correlation_id="AAAAAAAAAA"))
    out = StringIO()
    call_command("flow", "AAAAAAAAAA", stdout=out)
    assert "\u202e" not in out.getvalue()


# --- the page --------------------------------------------------------------------------------------


def test_every_node_offers_what_can_be_done_with_it(rows: Rows, person: Client) -> None:
    failed, running = rows.executions["script_failed"], rows.executions["running"]
    shown = page(person, f"/flows/{failed.flow_id}/?node={failed.pk}")
    assert f'action="/executions/{failed.pk}/retry/"' in shown.html
    assert f"/services/make_report/run/?from={failed.pk}" in shown.links
    assert "ZeroDivisionError" in shown.text
    shown = page(person, f"/flows/{running.flow_id}/?node={running.pk}")
    assert f'action="/executions/{running.pk}/cancel/"' in shown.html
    assert "Run again" not in shown.text
    first = Event.objects.filter(flow_id=failed.flow_id).get()
    shown = page(person, f"/flows/{failed.flow_id}/?node={first.pk}")
    [replay] = [link for link in shown.links if link.startswith("/replays/new/")]
    form = page(person, replay)
    assert first.event_id in form.html, "the replay of just this event is filled in"


def test_a_group_names_the_failed_first_and_opens(rows: Rows, person: Client) -> None:
    member = Execution.objects.filter(flow_id=rows.long_flow, service__name="quakes_tally").last()
    assert member is not None
    shown = page(person, f"/flows/{rows.long_flow}/?node={member.pk}")
    assert "and 28 more" in shown.text
    assert "Draw them one by one" in shown.text
    many = page(person, f"/flows/{rows.long_flow}/?open={member.pk}")
    assert many.html.count('<rect class="box') > shown.html.count('<rect class="box') + 30


def test_running_again_from_the_graph_comes_back_to_it(
    rows: Rows, person: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ferris_web.console.views import executions

    monkeypatch.setattr(executions.services, "wait_visible", lambda *_, **__: None)
    failed = rows.executions["timeout"]
    answer = person.post(f"/executions/{failed.pk}/retry/", {"back": "flow"})
    assert answer["Location"].startswith(f"/flows/{failed.flow_id}/?node=")
    answer = person.post(f"/executions/{failed.pk}/retry/", {"back": "https://example.org/"})
    assert answer["Location"].startswith("/executions/"), "nobody is sent elsewhere"


def test_the_table_is_the_tree_and_is_filtered(rows: Rows, person: Client) -> None:
    whole = page(person, f"/flows/{rows.flow}/")
    assert "level 4," in whole.text
    assert whole.text.count("quakes.alert.raised") >= 1
    flat = page(person, f"/flows/{rows.flow}/?service=quakes_alert")
    assert "level" not in flat.text.split("Executions of quakes_alert")[1]
    assert "Nothing fits" in page(person, f"/flows/{rows.flow}/?service=zzz").text
    assert (
        "Events quakes.quake.detected" in page(person, f"/flows/{rows.flow}/?type=quakes.quake.detected").text
    )


def test_damaged_addresses_of_nodes_are_harmless(rows: Rows, person: Client) -> None:
    for query in ("node=%00", "node=x", "open=...", "open=" + "x" * 900, "node=%3Cscript%3E", "page=zzz"):
        page(person, f"/flows/{rows.flow}/?{query}")


def test_two_thousand_nodes_take_no_more_queries(
    rows: Rows, person: Client, django_assert_max_num_queries: Any
) -> None:
    service("wide", "w.begin", "w.sent")
    dispatch(event("w.begin", correlation_id="WIDE000001"))
    first = Execution.objects.get(flow_id="WIDE000001")
    batch = [
        event("w.sent", {"n": n}, correlation_id="WIDE000001", causation_id=str(first.pk))
        for n in range(1000)
    ]
    dispatch(*batch)
    with django_assert_max_num_queries(16):
        shown = page(person, "/flows/WIDE000001/")
    assert "1001 events" in shown.text
    assert shown.html.count('<rect class="box') < 10
    assert "of 34," in shown.text, "pages of the table"


def test_hostile_names_are_text_in_the_graph(person: Client) -> None:
    service("sink", "evil*"), service("all", "*")
    kind = "evil" + HOSTILE.replace(" ", "_")
    made = events.new(kind, "s" + HOSTILE, {}, now=NOW, correlation_id="EVILFLOW01", subject=HOSTILE)
    dispatch(made)
    Execution.objects.update(error=HOSTILE, status="failed")
    key = str(made.key)
    for query in (
        "",
        f"?node={key}",
        f"?node={Execution.objects.first().pk}",
        "?service=all",
        f"?type={kind}",
    ):  # type: ignore[union-attr]
        shown = page(person, f"/flows/EVILFLOW01/{query}")
        assert not shown.dangers, shown.dangers
        assert not shown.unclosed
        assert "alert(1)" in shown.text
