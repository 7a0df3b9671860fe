"""The published client library, from its registry, unmodified: it reads Consul and talks to Kafka by itself."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.acceptance.services import Project

pytestmark = [
    pytest.mark.real_stack,
    pytest.mark.skipif(
        sys.version_info >= (3, 12), reason="its setup.py imports a module that Python 3.12 removed"
    ),
]

EVENTS = 20
SCRIPT = """
    from fx_ef import context

    print("name", context.params.get("name"), context.package.name)
    print("colour", context.config.get("colour"))
    print("held", context.secrets.get("KEY") == "kept-secret-4711", context.secrets.get("MADE"))
    print("set", context.secrets.set("MADE", "made-secret-4712", "project")[0])
    print("found", context.secrets.get("MADE") == "made-secret-4712")
    context.state.put("n", context.state.get().get("n", 0) + 1)
    print("state", context.state.get())
    context.logging.warning("TAG stock is low")
    for n in range(20):
        context.events.send("TAG.next", data={"n": n}, reference_id=f"order-{n}")
    print("job", bool(context.scheduler.schedule(days=3)))
"""


def test_a_script_that_asks_for_it_gets_it_and_it_works(project: Project) -> None:
    client = project.client
    project.load(
        {
            "TAG_first": {
                "manifest.json": {"trigger_events": ["TAG.go"]},
                "config.json": {"colour": "blue"},
                "secrets.json": {"KEY": "kept-secret-4711"},
                "requirements.txt": "fx-ef==1.5.1\n",
                "run.py": SCRIPT,
            },
            "TAG_second": {
                "manifest.json": {"trigger_events": ["TAG.next"]},
                "run.py": "from ferris_ef import context\nprint(context.params.get('n'))",
            },
        }
    )
    rows = client.flow(project.emit("TAG.go", {"name": "Ada"}), 1 + EVENTS, timeout=240)
    assert {row["status"] for row in rows} == {"completed"}, client.logs(rows[0]["id"])
    first, *others = rows
    said = client.output(first["id"])
    assert said == [
        f"name Ada {project('TAG_first')}",
        "colour blue",
        "held True None",
        "set 200",
        "found True",
        "state {'n': 1}",
        "job True",
    ]
    assert len({row["correlation_id"] for row in rows}) == 1 + EVENTS, "numbered through"
    assert {row["parent_execution_id"] for row in others} == {first["id"]}
    assert sorted(int(client.output(row["id"])[0]) for row in others) == list(range(EVENTS))
    events = [_event(client, row) for row in others]
    assert {event["subject"] for event in events} == {f"order-{n}" for n in range(EVENTS)}


def _event(client: Any, row: dict[str, Any]) -> dict[str, Any]:
    return client.get(f"/api/v1/events/{row['event_key']}/")  # type: ignore[no-any-return]
