"""What changes as streams of the API: in order, from where one was, only what one may see, and while one may."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings

from ferris.config import CHANGES
from ferris_web import live, live_places, sse, wiring
from ferris_web.accounts.models import Membership, User
from ferris_web.accounts.services import token_create
from ferris_web.api import streams
from ferris_web.catalog.models import Project
from ferris_web.executions.models import Execution
from ferris_web.executions.services import changes_tell
from ferris_web.executions.services.changes import Change
from tests.web.calling import CLOUDEVENT, Caller, an_event, problem_of
from tests.web.platform import dispatched, event, service

pytestmark = pytest.mark.django_db(transaction=True)

Message = tuple[str, Any, str]
"""Event, data, id."""


@pytest.fixture(autouse=True)
def quick(backends: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PING_SECONDS", 0.2)
    service("ours.run", "a.happened", project="ours")
    service("theirs.run", "b.happened", project="theirs")


def run(kind: str = "a.happened", **attributes: Any) -> Execution:
    """An execution of an event that the router has just taken, told of as it does."""
    done = dispatched(event(kind, **attributes))
    changes_tell(done.changes, done.events)
    return Execution.objects.get(pk=done.changes[0].execution)


def turn(row: Execution, status: str) -> None:
    """Its row changes, and that is told."""
    Execution.objects.filter(pk=row.pk).update(status=status)
    row.refresh_from_db()
    changes_tell([Change.of(row, row.service.name)])


def member(name: str = "eve", project: str = "ours", role: str = "viewer") -> tuple[User, Caller]:
    user = User.objects.create_user(name)
    user.memberships.all().delete()  # what FERRIS_DEFAULT_ROLE of the tests gave
    Membership.objects.create(user=user, project=Project.objects.get(name=project), role=role)
    return user, Caller(token_create(user))


def follow(
    api: Any, url: str, *acts: Callable[[], Any], until: int = 0, last: str = ""
) -> tuple[list[Message], str]:
    """The messages, and the last id, when so many were heard or the stream has ended. Each act is done once the stream
    has said what it can."""

    async def scene() -> tuple[list[Message], str]:
        headers = {"Last_Event_ID": last} if last else {}
        answer = await asyncio.to_thread(lambda: api.get(url, **headers))
        assert answer.status_code == 200, answer.content
        assert answer.headers["Content-Type"] == "text/event-stream"
        stream, heard, at, left = aiter(answer), list[Message](), "", list(acts)
        async with asyncio.timeout(60):
            async for piece in stream:
                for message in filter(None, piece.decode().split("\n\n")):
                    fields = dict(part.split(": ", 1) for part in message.split("\n") if ": " in part)
                    at = fields.get("id", at)
                    if "data" in fields:
                        heard.append((fields.get("event", ""), json.loads(fields["data"]), at))
                if until and len(heard) >= until:
                    break
                if left and (not piece.startswith(b"retry") or "executions/?" in url or "events/?" in url):
                    await asyncio.to_thread(left.pop(0))
        await stream.aclose()
        await asyncio.to_thread(answer.close)
        return heard, at

    found = asyncio.run(scene())
    assert not live.subscribers()
    assert not sse.open_streams()
    return found


def told(messages: list[Message]) -> list[tuple[str, str]]:
    return [(kind, data.get("status", data.get("type", ""))) for kind, data, _ in messages]


def test_the_executions_of_a_list_as_they_change_and_again_from_where_one_was(api: Any) -> None:
    url = "/api/v1/executions/?follow=1&project=ours"
    run()  # before: nobody is told of it
    rows: list[Execution] = []
    heard, at = follow(
        api,
        url,
        lambda: (run("b.happened"), rows.append(run())),
        lambda: turn(rows[0], "in_progress"),
        until=2,
    )
    assert told(heard) == [("", "queued"), ("", "in_progress")]
    assert (
        heard[1][1]
        == api.get(f"/api/v1/executions/?correlation_id={rows[0].correlation_id}").json()["results"][0]
    )
    turn(rows[0], "completed")
    missed, _ = follow(api, url, until=1, last=at)
    assert told(missed) == [("", "completed")]
    assert told(follow(api, url, until=1, last=heard[0][2])[0])[-1] == ("", "completed")
    failures, _ = follow(api, f"{url}&status=failed", lambda: run(), lambda: turn(rows[0], "failed"), until=1)
    assert told(failures) == [("", "failed")]


def test_the_events_of_a_project_by_type_those_that_run_nothing_too(api: Any, routing: None) -> None:
    def send(kind: str, **more: Any) -> None:
        api.post("/api/v1/events/", an_event(kind, id=kind, correlationid="F1", **more), type=CLOUDEVENT)

    url = "/api/v1/events/?follow=1&project=ours&type=a.*"
    heard, at = follow(
        api, url, lambda: [send(kind) for kind in ("a.happened", "c.happened", "a.ignored")], until=2
    )
    assert told(heard) == [("", "a.happened"), ("", "a.ignored")]
    assert heard[0][1]["data"] == {"n": 1}
    send("b.happened")
    heard, _ = follow(api, "/api/v1/events/?follow=1&project=theirs", until=1, last=at)
    assert told(heard) == [("", "b.happened")]


def test_one_execution_until_it_has_ended_though_a_notice_is_lost(api: Any) -> None:
    row = run()
    url = f"/api/v1/executions/{row.pk}/?follow=1"
    heard, _ = follow(
        api, url, lambda: turn(row, "in_progress"), lambda: Execution.objects.update(status="failed")
    )
    assert told(heard) == [("", "queued"), ("", "in_progress"), ("", "failed"), ("end", "failed")]
    assert heard[0][1].keys() == api.get(f"/api/v1/executions/{row.pk}/").json().keys()


def test_a_flow_until_it_has_settled(api: Any) -> None:
    rows = [run(correlation_id="FLOW000001"), run("b.happened", correlation_id="FLOW000001")]
    heard, _ = follow(
        api,
        "/api/v1/flows/FLOW000001/?follow=1",
        lambda: turn(rows[0], "completed"),
        lambda: turn(rows[1], "failed"),
    )
    assert told(heard) == [("", "queued"), ("", "queued"), ("", "completed"), ("", "failed"), ("end", "")]
    assert heard[-1][1] == {"settled": True}


def test_only_what_one_may_see_and_only_while_one_may(api: Any) -> None:
    user, eve = member()
    mine, other = run(), run("b.happened")
    problem_of(eve.get(f"/api/v1/executions/{other.pk}/?follow=1"), 404)
    problem_of(eve.get(f"/api/v1/flows/{other.flow_id}/?follow=1"), 404)
    heard, _ = follow(
        eve,
        "/api/v1/executions/?follow=1",
        lambda: (turn(other, "in_progress"), turn(mine, "in_progress")),
        lambda: user.memberships.all().delete(),
        lambda: turn(mine, "completed"),
        lambda: user.api_tokens.all().delete(),
    )  # and it has ended
    assert told(heard) == [("", "in_progress")]


def test_a_stream_of_one_thing_ends_with_the_membership(api: Any) -> None:
    user, eve = member()
    row = run()
    heard, _ = follow(eve, f"/api/v1/executions/{row.pk}/?follow=1", lambda: user.memberships.all().delete())
    assert told(heard) == [("", "queued")]
    user.memberships.create(project=Project.objects.get(name="ours"), role="viewer")
    follow(eve, f"/api/v1/executions/{row.pk}/logs/?follow=1", lambda: user.memberships.all().delete())


def test_a_browsers_stream_ends_with_its_session(client: Any, api: Any) -> None:
    user, _ = member()
    client.force_login(user)
    row = run()
    heard, _ = follow(client, f"/api/v1/executions/{row.pk}/?follow=1", lambda: client.session.delete())
    assert told(heard) == [("", "queued")]


def test_who_was_away_for_too_long_is_told_so(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    row = run()
    url = "/api/v1/executions/?follow=1"
    _, at = follow(api, url, lambda: turn(row, "in_progress"), until=1)
    monkeypatch.setattr(live_places, "MOST_BEHIND", 2)
    for status in ("completed", "failed", "cancelled"):
        turn(row, status)
    heard, at = follow(api, url, until=1, last=at)
    assert told(heard) == [("gap", "")]
    turn(row, "completed")
    assert told(follow(api, url, until=1, last=at)[0]) == [("", "completed")]
    problem_of(api.get(url, Last_Event_ID="yesterday"), 400)
    problem_of(api.get(f"{url}&status=never"), 400)


def test_who_is_too_slow_misses_nothing(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LIMIT", 2)
    rows = [run(correlation_id=f"FLOW00000{n}") for n in range(6)]
    heard, _ = follow(
        api, "/api/v1/executions/?follow=1", lambda: [turn(row, "in_progress") for row in rows], until=6
    )
    assert {data["id"] for _, data, _ in heard} == {str(row.pk) for row in rows}


def test_so_many_and_no_more(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FERRIS", replace(settings.FERRIS, stream_limit=1))
    first = api.get("/api/v1/executions/?follow=1")
    refused = api.get("/api/v1/events/?follow=1")
    assert problem_of(refused, 429)["type"].endswith("/problems/too-many-streams/")
    assert refused.headers["Retry-After"]
    first.close()
    api.get("/api/v1/events/", Accept="text/event-stream").close()
    assert not live.subscribers()
    assert wiring.event_log().browse(CHANGES) == []


def test_a_long_stream_ends_and_goes_on_with_its_id(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LONGEST_SECONDS", 0.1)
    heard, at = follow(api, "/api/v1/executions/?follow=1")
    assert heard == []
    run()
    monkeypatch.setattr(streams, "LONGEST_SECONDS", 60)
    assert told(follow(api, "/api/v1/executions/?follow=1", until=1, last=at)[0]) == [("", "queued")]
