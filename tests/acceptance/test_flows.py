"""Events make services run, their events make others run, and all of it is one flow."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.client import Client, until
from tests.acceptance.services import Project

ATTRIBUTES = (
    "id", "service", "project", "status", "trigger_type", "correlation_id", "flow_id", "event_id",
    "parent_execution_id", "attempt", "created_at", "started_at", "finished_at", "reason",
)  # fmt: skip

SEND = """
    from ferris_ef import context
    context.events.send("{type}", data={data})
"""


def sends(event_type: str, data: str = "{}") -> str:
    return SEND.replace("{type}", event_type).replace("{data}", data)


DIAMOND = {
    "TAG_a": {
        "manifest.json": {"trigger_events": ["TAG.begin"]},
        "a.py": """
            from ferris_ef import context
            context.events.send("TAG.left", data={"n": context.params.get("n")})
            context.events.send("TAG.right", data={"n": context.params.get("n")})
        """,
    },
    "TAG_b": {
        "manifest.json": {"trigger_events": ["TAG.left"]},
        "b.py": sends("TAG.part", '{"side": "left", "n": context.params.get("n")}'),
    },
    "TAG_c": {
        "manifest.json": {"trigger_events": ["TAG.right"]},
        "c.py": sends("TAG.part", '{"side": "right", "n": context.params.get("n")}'),
    },
    "TAG_d": {
        "manifest.json": {"trigger_events": ["TAG.part"]},
        "d.py": """
            from ferris_ef import context

            flow = context.params.get("_fxcid").rpartition("_")[0]
            side = context.params.get("side")

            def arrived(parts):
                return sorted({*(parts or []), side})

            if context.state.update(flow, arrived) == ["left", "right"]:
                context.events.send("TAG.joined", data={"n": context.params.get("n")})
        """,
    },
    "TAG_e": {"manifest.json": {"trigger_events": ["TAG.joined"]}, "e.py": "print('joined')"},
}


def test_a_diamond_joins_once_and_shares_one_flow(project: Project) -> None:
    project.load(DIAMOND)
    flows = [project.emit("TAG.begin", {"n": n}) for n in range(3)]  # at the same time: they must not mix
    for flow_id in flows:
        rows = project.client.flow(flow_id, 6)
        assert {row["status"] for row in rows} == {"completed"}
        assert {row["flow_id"] for row in rows} == {flow_id}
        assert [row["correlation_id"] for row in rows] == [f"{flow_id}_{n:02}" for n in range(1, 7)]
        assert sorted(row["service"] for row in rows) == [project(f"TAG_{s}") for s in "abcdde"]
        assert {row["trigger_type"] for row in rows} == {"triggered"}
        _check_parents(project, rows)


def _check_parents(project: Project, rows: list[dict[str, object]]) -> None:
    service = {row["id"]: row["service"] for row in rows}
    parents = sorted((str(row["service"]), service.get(row["parent_execution_id"])) for row in rows)
    named = {project(f"TAG_{s}"): s for s in "abcde"}
    edges = [(named[child], named.get(str(parent))) for child, parent in parents]
    assert edges[:5] == [("a", None), ("b", "a"), ("c", "a"), ("d", "b"), ("d", "c")]
    assert edges[5] == ("e", "d")


def test_a_flow_is_a_graph_of_its_executions(project: Project) -> None:
    project.load(DIAMOND)
    flow_id = project.emit("TAG.begin", {"n": 1})
    rows = {row["id"]: row for row in project.client.flow(flow_id, 6)}
    graph = project.client.get(f"/api/v1/flows/{flow_id}/")
    text = str(graph["nodes"])
    assert all(wanted in text for wanted in rows)
    assert len(graph["edges"]) >= 5
    ends = {str(end) for edge in graph["edges"] for end in edge.values()}
    for wanted, row in rows.items():
        assert row["parent_execution_id"] is None or any(wanted in end for end in ends), wanted


def test_an_originator_may_bring_its_own_correlation_id(project: Project) -> None:
    project.load({"TAG_s": {"manifest.json": {"trigger_events": ["TAG.go"]}, "s.py": "print()"}})
    mine = project("order TAG/4711")
    assert project.emit("TAG.go", correlationid=mine) == mine
    row = project.client.flow(mine, 1)[0]
    assert row["flow_id"] == mine
    assert row["correlation_id"] == f"{mine}_01"


def test_prefix_and_filter_choose_the_services(project: Project) -> None:
    def service(trigger: object) -> dict[str, object]:
        return {"manifest.json": {"trigger_events": [trigger]}, "s.py": "print()"}

    def when(**data: object) -> dict[str, object]:
        return {"event_type": "TAG.order.placed", "filter": {"data": data}}

    project.load(
        {
            "TAG_exact": service("TAG.order.placed"),
            "TAG_prefix": service("TAG.order.*"),
            "TAG_other": service("TAG.orders"),
            "TAG_large": service(when(total=[{"numeric": [">=", 100]}])),
            "TAG_small": service(when(total=[{"numeric": ["<", 100]}])),
            "TAG_text": service(when(country=["CH", "LI"], name=[{"prefix": "Mü"}])),
            "TAG_nested": service(when(customer={"kind": ["vip"]}, coupon=[{"exists": False}])),
        }
    )
    flow = project.emit("TAG.order.placed", {"total": 100, "country": "CH", "name": "Müller"})
    names = [row["service"] for row in project.client.flow(flow, 4)]
    assert sorted(names) == sorted(map(project, ("TAG_exact", "TAG_prefix", "TAG_large", "TAG_text")))
    flow = project.emit("TAG.order.placed", {"total": "100", "customer": {"kind": "vip"}})
    names = [row["service"] for row in project.client.flow(flow, 3)]
    assert sorted(names) == sorted(map(project, ("TAG_exact", "TAG_prefix", "TAG_nested")))


def test_data_may_be_a_json_string_or_binary_mode(project: Project) -> None:
    project.load(
        {
            "TAG_s": {
                "manifest.json": {
                    "trigger_events": [{"event_type": "TAG.go", "filter": {"data": {"n": [7]}}}]
                },
                "s.py": """
                    from ferris_ef import context
                    print(context.params.get("n"), context.params.get("ü"))
                """,
            }
        }
    )
    client = project.client
    flow = project.emit("TAG.go", '{"n": 7, "ü": "twice"}')
    assert client.output(client.flow(flow, 1)[0]["id"]) == ["7 twice"]
    answer = client.request(
        "POST",
        "/api/v1/events/",
        '{"n": 7, "ü": "binary"}'.encode(),
        headers={
            "Content-Type": "application/json",
            "ce-specversion": "1.0",
            "ce-id": "binary-1",
            "ce-source": project("/TAG"),
            "ce-type": project("TAG.go"),
        },
    )
    assert answer.status == 202, answer.text
    assert answer.json["id"] == "binary-1"
    assert client.output(client.flow(answer.json["correlation_id"], 1)[0]["id"]) == ["7 binary"]


def test_a_manual_run_gets_its_parameters(project: Project) -> None:
    project.load(
        {
            "TAG_s": {
                "parameters.json": {
                    "fields": [
                        {"type": "int", "name": "count", "required": True, "min": 1, "max": "10"},
                        {"type": "text", "name": "name", "default": "world"},
                    ]
                },
                "s.py": """
                    from ferris_ef import context, get_param
                    print(get_param("count") + 1, get_param("name"), get_param("nothing", "else"))
                """,
            },
            "TAG_closed": {"manifest.json": {"allow_manual_triggering": False}, "s.py": "print()"},
        }
    )
    client = project.client
    wanted = client.run(project("TAG_s"), count=2, name="Zoë")
    row = client.finished(wanted)
    assert (row["status"], row["trigger_type"], row["parent_execution_id"]) == ("completed", "manual", None)
    assert client.output(wanted) == ["3 Zoë else"]
    run = f"/api/v1/services/{project('TAG_s')}/run/"
    for bad in ({"count": 11}, {"count": "many"}, {}):
        answer = client.request("POST", run, {"parameters": bad})
        assert answer.status == 400, (bad, answer.text)
        assert "count" in answer.text
    answer = client.request("POST", f"/api/v1/services/{project('TAG_closed')}/run/", {"parameters": {}})
    assert answer.status == 409, answer.text
    assert client.request("POST", "/api/v1/services/nobody/run/", {}).status == 404


def test_a_retry_is_a_new_execution_of_the_same_flow(project: Project, tmp_path: Path) -> None:
    flag = tmp_path / "now it works"
    project.load(
        {
            "TAG_s": {
                "manifest.json": {"trigger_events": ["TAG.go"]},
                "s.py": f"""
                    import os, sys
                    from ferris_ef import context
                    print(context.params.get("n"), context.params.get("origin_event_type"))
                    sys.exit(0 if os.path.exists({str(flag)!r}) else 1)
                """,
            }
        }
    )
    client = project.client
    flow = project.emit("TAG.go", {"n": 5})
    first = client.flow(flow, 1)[0]
    assert (first["status"], first["reason"]) == ("failed", "script_failed")
    flag.touch()
    again = client.post(f"/api/v1/executions/{first['id']}/retry/")["id"]
    assert again != first["id"]
    second = client.finished(again)
    assert (second["status"], second["trigger_type"]) == ("completed", "retried")
    assert second["correlation_id"] == f"{flow}_02"
    assert client.output(again) == client.output(first["id"]) == [f"5 {project('TAG.go')}"]
    assert client.execution(first["id"])["status"] == "failed"


def test_events_that_nobody_wants_start_nothing_and_are_seen(project: Project) -> None:
    project.load({"TAG_s": {"manifest.json": {"trigger_events": ["TAG.go"]}, "s.py": "print()"}})
    flow = project.emit("TAG.nobody")
    project.client.flow(
        project.emit("TAG.go"), 1
    )  # the log is in order: the first one has been dispatched too
    assert project.client.executions(correlation_id=flow) == []


def test_lists_are_paged_and_filtered(project: Project) -> None:
    project.load(
        {
            "TAG_s": {
                "manifest.json": {"trigger_events": ["TAG.go"]},
                "s.py": "from ferris_ef import context\nassert context.params.get('n') % 5",
            }
        }
    )
    client = project.client
    for n in range(12):
        project.emit("TAG.go", {"n": n})
    until(lambda: len(project.runs("TAG_s")) == 12, 20, "12 executions")
    until(lambda: all(r["finished_at"] for r in project.runs("TAG_s")), 20, "12 ended executions")
    name = project("TAG_s")
    page = client.get("/api/v1/executions/", service=name, limit=5)
    assert page["previous"] is None
    assert len({row["id"] for row in client.executions(service=name, limit=5)}) == 12
    assert len(project.runs("TAG_s", status="failed")) == 3
    assert len(project.runs("TAG_s", trigger_type="manual")) == 0
    times = [row["created_at"] for row in project.runs("TAG_s")]
    assert times == sorted(times, reverse=True)
    assert [row["created_at"] for row in project.runs("TAG_s", since=times[4])] == [
        time for time in times if time >= times[4]
    ]
    assert len(project.runs("TAG_s", since="2999-01-01T00:00:00Z")) == 0


def test_an_execution_says_what_the_contract_says(project: Project) -> None:
    project.load({"TAG_s": {"manifest.json": {"trigger_events": ["TAG.go"]}, "s.py": "print(1)"}})
    client: Client = project.client
    row = client.flow(project.emit("TAG.go", id="my-event"), 1)[0]
    assert set(ATTRIBUTES) <= set(row)
    assert (row["service"], row["project"], row["event_id"]) == (project("TAG_s"), project.tag, "my-event")
    for name in ("created_at", "started_at", "finished_at"):
        assert len(row[name]) == len("2026-01-01T00:00:00.000Z"), row[name]
        assert row[name].endswith("Z")
    assert row["created_at"] <= row["started_at"] <= row["finished_at"]
    line = client.logs(row["id"])[-1]
    assert {"time", "step", "stream", "level", "message"} <= set(line)
