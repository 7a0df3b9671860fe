"""What leaves the platform, and what is done with much at once, through `kill -9` of the gateways: pushed events,
messages to people, bulk jobs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from tests.acceptance.client import Refused, Unreachable, until
from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project
from tests.acceptance.test_gathering import made, send
from tests.web.receivers import Got, Receiver, receiver

__all__ = ["receiver"]  # a fixture


def kill_gateways(platform: Platform) -> None:
    """`kill -9` of each, and of the executor with it where they are one process."""
    names = [name for name in getattr(platform, "kept", ()) if name.startswith("gateway-")]
    for name in names:
        platform.kill(name)  # type: ignore[attr-defined] # a platform on the real stack
    if not names:
        platform.engine().kill()


def signed(got: Got, secret: str) -> bool:
    """By Standard Webhooks, as its libraries do it."""
    head = got.headers
    about = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + got.body
    proof = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), about, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(proof).decode()}" in head["webhook-signature"].split()


def test_all_is_pushed_through_failures_and_kills(own: Platform, tmp_path: Path, receiver: Receiver) -> None:
    """A receiver that fails at first, and gateways that are killed while it does, and again while all comes."""
    project = Project(own.client, tmp_path)
    project.load({})
    made_one = project.client.post(
        "/api/v1/subscriptions/",
        {
            "name": project("TAG"), "project": project("TAG"), "event_type": project("TAG.*"), "url": receiver.url,
            "filter": {"data": {"n": [{"numeric": ["<", 30]}]}},
        },
    )  # fmt: skip
    refused: set[str] = set()

    def answer(got: Got) -> tuple[int, dict[str, str], bytes] | None:
        """Six are refused, each once: who is refused again is tried again minutes later."""
        event = json.loads(got.body)["id"]
        if event in refused or len(refused) == 6:
            return None
        refused.add(event)
        return 503, {}, b"not yet"

    receiver.answers = answer
    send(project, made(project, "TAG.happened", 20))
    until(lambda: len(receiver.got) >= 4, 60, "nothing came")
    kill_gateways(own)
    send(
        project, made(project, "TAG.happened", 40)
    )  # twenty of them for the second time, ten that nobody wants
    later = {f"TAG.happened-{n}" for n in range(20, 30)}
    # Of a gateway that is not alone, what it was sending when it was killed is free after two minutes; until then
    # it counts among what one receiver is sent at a time.
    until(lambda: later & arrived(receiver), 240, lambda: f"{arrived(receiver)} came")
    kill_gateways(own)
    until(lambda: len(arrived(receiver)) >= 30, 240, lambda: f"{len(arrived(receiver))} came")
    assert arrived(receiver) == {f"TAG.happened-{n}" for n in range(30)}
    assert all(signed(got, made_one["secret"]) for got in receiver.got)
    ids = {got.headers["webhook-id"]: json.loads(got.body)["id"] for got in receiver.got}
    assert len(ids) == 30, "an event that comes twice does so under the same webhook-id"

    def settled() -> bool:
        rows = deliveries(project)
        return len(rows) == 30 and {row["status"] for row in rows} == {"delivered"}

    until(settled, 170, lambda: str(Counter(row["status"] for row in deliveries(project))))


def arrived(receiver: Receiver) -> set[str]:
    return {json.loads(got.body)["id"] for got in list(receiver.got)}


def deliveries(project: Project) -> list[dict[str, Any]]:
    try:
        return project.client.all(f"/api/v1/subscriptions/{project.tag}/deliveries/")
    except (Unreachable, Refused):
        return []


def test_people_are_told_though_the_gateways_were_killed(
    own: Platform, tmp_path: Path, receiver: Receiver
) -> None:
    """The message waits for others that come with it; who would have sent it is killed meanwhile."""
    project = Project(own.client, tmp_path)
    project.load(
        {"TAG_bad": {"manifest.json": {"trigger_events": ["TAG.asked"]}, "s.py": "raise SystemExit(3)"}}
    )
    project.client.post(
        "/api/v1/notification-rules/",
        {
            "name": project("TAG"), "project": project("TAG"), "kind": "failures", "times": 1,
            "targets": [receiver.url.replace("http:", "json:")],
        },
    )  # fmt: skip
    project.emit("TAG.asked")
    until(lambda: project.runs("TAG_bad", status="failed"), 60, "nothing failed")
    kill_gateways(own)
    until(lambda: receiver.got, 170, "nobody was told")
    assert project("TAG_bad") in receiver.got[0].body.decode()


def test_a_bulk_job_does_each_once_though_the_gateways_were_killed(own: Platform, tmp_path: Path) -> None:
    """Of a paused service, so that nothing runs: all that wait are cancelled, then all retried."""
    count = 450
    project = Project(own.client, tmp_path)
    project.load({"TAG_late": {"manifest.json": {"trigger_events": ["TAG.asked"]}, "s.py": "print(1)"}})
    project.client.post(f"/api/v1/services/{project('TAG_late')}/pause/")
    send(project, made(project, "TAG.asked", count))
    until(lambda: counted(project, "cancel") == count, 120, lambda: f"{counted(project, 'cancel')} wait")
    for action, of in (("cancel", "pending"), ("retry", "cancelled")):
        asked = {
            "list": "executions",
            "action": action,
            "filter": {"service": project("TAG_late"), "status": of},
        }
        job = project.client.post("/api/v1/bulk/", {**asked, "expected": count})
        kill_gateways(own)
        until(partial(ended, project, job), 120, f"the job to {action} does not end")
    until(lambda: counted(project, "cancel") == count, 120, lambda: f"{counted(project, 'cancel')} wait")
    runs = project.runs("TAG_late")
    states = Counter((run["status"], run["trigger_type"]) for run in runs)
    assert states == {("cancelled", "triggered"): count, ("pending", "retried"): count}
    assert len({run["event_id"] for run in runs}) == 2 * count


def counted(project: Project, action: str) -> int:
    asked = {"list": "executions", "action": action, "filter": {"service": project("TAG_late")}}
    try:
        return int(project.client.post("/api/v1/bulk/preview/", asked)["count"])
    except (Unreachable, Refused):
        return -1


def ended(project: Project, job: dict[str, Any]) -> bool:
    """What somebody who was killed had cancelled is no longer there to be counted as done, and none is refused."""
    try:
        found = project.client.get(f"/api/v1/bulk/{job['id']}/")
    except (Unreachable, Refused):
        return False
    assert found["refused"] == 0, found
    return bool(found["status"] == "completed")
