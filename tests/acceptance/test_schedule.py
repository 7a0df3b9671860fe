"""What the clock starts: a cron in the manifest, and what scripts ask for themselves.

The smallest step of a cron expression is a minute. So all of this (clocked.py) begins with the session and is
looked at in its end: the tests of this file run last, when their minute has passed beside the other tests.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.acceptance.client import Client, until
from tests.acceptance.services import Project


def runs(scheduled: Project, service: str, count: int = 1) -> list[dict[str, Any]]:
    """Executions of a service, once there are some that have ended."""
    return until(
        lambda: len(found := scheduled.runs(service, status="completed")) >= count and found,
        135,
        f"{service} has not been started by the clock",
    )


def test_a_cron_of_the_manifest(scheduled: Project) -> None:
    row = runs(scheduled, "TAG_cron")[-1]
    assert (row["trigger_type"], row["parent_execution_id"]) == ("scheduled", None)
    assert scheduled.client.output(row["id"]) == ["by the clock"]
    assert datetime.fromisoformat(row["created_at"]).second < 3
    every = scheduled.runs("TAG_cron")
    minutes = [one["created_at"][:16] for one in every]
    assert len(set(minutes)) == len(minutes), f"twice in one minute: {minutes}"
    assert len({one["flow_id"] for one in every}) == len(every)


def test_a_script_schedules_another_service(scheduled: Project) -> None:
    client: Client = scheduled.client
    found = runs(scheduled, "TAG_asked")
    assert len(found) == 1
    assert found[0]["trigger_type"] == "scheduled"
    assert client.output(found[0]["id"]) == [f"7 {scheduled('TAG.later')}"]
    asked = runs(scheduled, "TAG_asks")[0]
    assert client.output(asked["id"])[0] not in ("", "None")


def test_a_script_runs_itself_again(scheduled: Project) -> None:
    later, first = runs(scheduled, "TAG_again", 2)
    assert scheduled.client.output(first["id"]) == ["round 1"]
    assert scheduled.client.output(later["id"]) == ["round 2"]
    assert (first["trigger_type"], later["trigger_type"]) == ("triggered", "retried")
    assert later["flow_id"] == first["flow_id"]
    assert len(scheduled.runs("TAG_again")) == 2
