"""Promises of flows on a running platform, through `kill -9`: each late flow is told once, and no other."""

from __future__ import annotations

import collections
import json
from pathlib import Path
from typing import Any

from tests.acceptance.client import Refused, Unreachable, until
from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project
from tests.acceptance.test_gathering import made, send


def promises(project: Project, **query: Any) -> list[dict[str, Any]]:
    try:
        return project.client.all("/api/v1/promises/", project=project.tag, **query)
    except (Unreachable, Refused):
        return []


def heard(project: Project) -> int:
    """How many runs there are of the service that listens; a kill may have ended some of them."""
    try:
        return len(project.runs("TAG_ear"))
    except (Unreachable, Refused):
        return 0


def test_late_flows_are_told_once_through_kills(own: Platform, tmp_path: Path) -> None:
    project = Project(own.client, tmp_path)
    promise = {
        "name": "answered", "after": "TAG.asked", "expect": "TAG.answered", "within": "20s", "by": "data.n",
    }  # fmt: skip
    (project.folder / "ferris.json").write_text(project(json.dumps({"promises": [promise]})))
    late = {"event_type": "ferris.flow.overdue", "filter": {"data": {"project": ["TAG"]}}}
    project.load({"TAG_ear": {"manifest.json": {"trigger_events": [late]}, "s.py": "print(1)"}})
    count, answered = 60, 40
    send(project, made(project, "TAG.asked", count))
    own.engine().kill()
    send(project, made(project, "TAG.answered", answered)[:20])
    own.kill_all()
    own.start()
    send(project, made(project, "TAG.answered", answered)[10:])  # ten of them for the second time
    missing = count - answered
    until(lambda: len(promises(project, state="overdue")) >= missing, 120, "nothing is overdue")
    own.kill_all()
    own.start()
    until(lambda: heard(project) >= missing, 90, lambda: f"{heard(project)} were told")
    states = collections.Counter(one["state"] for one in promises(project))
    assert states["overdue"] == missing
    assert states["kept"] + states["late"] == answered
    told = project.client.all("/api/v1/events/", type="ferris.flow.overdue")
    broken = {one["id"] for one in promises(project) if one["state"] in ("overdue", "late")}
    assert sorted(one["id"] for one in told) == sorted(broken), "once for each, and for no other"
    flows = {one["id"] for one in project.client.all("/api/v1/flows/", overdue="true")}
    assert flows == {one["flow_id"] for one in promises(project, state="overdue")}
    send(project, made(project, "TAG.answered", count)[answered:])
    until(lambda: not promises(project, state="overdue") and promises(project), 60, "late ones stay overdue")
    assert {one["state"] for one in promises(project)} <= {"kept", "late"}
