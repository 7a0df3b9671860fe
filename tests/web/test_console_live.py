"""Streams of open pages: what changed is told, log lines come once, in order and escaped, and connections end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from ferris.config import CHANGES, EVENTS, LOGS
from ferris.ports import Record
from ferris_web import live, sse, wiring
from ferris_web.accounts.models import User
from ferris_web.console.views import live as streams
from ferris_web.executions.models import Execution

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reader(client: Client, backends: object) -> Client:
    client.force_login(User.objects.create_user("ada"))
    return client


@pytest.fixture
def running(backends: object) -> Execution:
    from tests.web.platform import dispatch, event, service

    service("watched", "a.happened")
    dispatch(event(correlation_id="WATCHED001"))
    row = Execution.objects.get()
    row.status, row.started_at = "in_progress", datetime.now(UTC)
    row.save()
    return row


def line(row: Execution, seq: int, message: str, level: str = "info") -> dict[str, Any]:
    return {
        "execution": str(row.pk),
        "attempt": 1,
        "seq": seq,
        "time": datetime.now(UTC).isoformat(),
        "step": "run.py",
        "stream": "stdout",
        "level": level,
        "message": message,
        "service": "watched",
        "flow": row.flow_id,
    }


def tell(row: Execution, status: str) -> None:
    said = {
        "execution": str(row.pk),
        "status": status,
        "flow": row.flow_id,
        "service": "watched",
        "attempt": 1,
    }
    wiring.event_log().append(CHANGES, [Record(json.dumps(said).encode(), key=row.flow_id)])


def write(*lines: dict[str, Any]) -> None:
    wiring.event_log().append(LOGS, [Record(json.dumps(x).encode(), key=x["execution"]) for x in lines])


async def hear(stream: AsyncIterator[bytes], until: Callable[[str], bool], seconds: float = 60) -> str:
    """What the stream says until that is enough."""
    heard = ""
    async with asyncio.timeout(seconds):
        async for piece in stream:
            heard += piece.decode()
            if until(heard):
                break
    return heard


def test_a_change_is_told_to_those_who_look(reader: Client, running: Execution) -> None:
    async def scene(address: str) -> str:
        answer = await asyncio.to_thread(reader.get, address)
        assert answer["Content-Type"] == "text/event-stream"
        stream = aiter(answer)
        assert await anext(stream) == b"retry: 3000\n\n"
        await asyncio.to_thread(tell, running, "completed")
        heard = await hear(stream, lambda text: "changed" in text)
        await stream.aclose()
        answer.close()
        return heard

    for query in ("", f"?flow={running.flow_id}", f"?execution={running.pk}"):
        assert "event: changed" in asyncio.run(scene(f"/live/{query}")), query
    assert live.subscribers() == 0


def test_one_person_cannot_take_all_streams(
    reader: Client, running: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "FERRIS", replace(settings.FERRIS, stream_limit=2))
    pages = [reader.get("/live/"), reader.get(f"/live/executions/{running.pk}/")]
    assert [page.status_code for page in pages] == [200, 200]
    refused = reader.get("/live/")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert "2 streams of yours" in refused.content.decode()
    assert live.subscribers() == 2
    others = Client()
    others.force_login(User.objects.create_user("eve"))
    others.get("/live/").close()
    pages.pop().close()
    reader.get("/live/").close()
    pages.pop().close()
    assert (live.subscribers(), sse.open_streams()) == (0, 0)


def test_a_change_elsewhere_is_not_told(
    reader: Client, running: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams.sse, "PING_SECONDS", 0.5)

    async def scene() -> str:
        answer = await asyncio.to_thread(reader.get, "/live/?flow=ANOTHER001")
        stream = aiter(answer)
        await anext(stream)
        await asyncio.to_thread(tell, running, "completed")
        heard = await hear(stream, lambda text: "ping" in text)
        await stream.aclose()
        answer.close()
        return heard

    assert "changed" not in asyncio.run(scene())


def test_a_flow_that_has_come_to_rest_is_told_once_more(reader: Client, running: Execution) -> None:
    """The last event of a script may run nothing, and be journaled after the execution has ended."""
    router = wiring.event_log().subscribe("ferris.router", [EVENTS])

    def end_behind_an_event() -> None:
        wiring.event_log().append(EVENTS, [Record(b"{}")])
        Execution.objects.update(status="completed")
        tell(running, "completed")

    def route() -> None:
        router.commit(router.poll(10, timeout=60))

    async def scene() -> str:
        answer = await asyncio.to_thread(reader.get, f"/live/?flow={running.flow_id}")
        stream = aiter(answer)
        await anext(stream)
        await asyncio.to_thread(end_behind_an_event)
        first = await hear(stream, lambda text: "changed" in text)
        await asyncio.to_thread(route)
        second = await hear(stream, lambda text: "changed" in text)
        await stream.aclose()
        answer.close()
        return first + second

    assert asyncio.run(scene()).count("event: changed") == 2
    router.close()


def test_log_lines_come_in_order_until_the_end(reader: Client, running: Execution) -> None:
    wiring.ops_store().write("logs", [line(running, 1, "stored <b>"), line(running, 2, "stored 2")])

    async def scene() -> str:
        answer = await asyncio.to_thread(reader.get, f"/live/executions/{running.pk}/?after=0")
        stream = aiter(answer)
        heard = await hear(stream, lambda text: "stored 2" in text)
        await asyncio.to_thread(
            write, line(running, 3, "live \x1b[31m<script>\x1b[0m\r\nsecond"), line(running, 4, "last")
        )
        heard += await hear(stream, lambda text: "last" in text)

        def end() -> None:
            Execution.objects.update(status="completed")
            tell(running, "completed")

        await asyncio.to_thread(end)
        heard += await hear(stream, lambda text: "event: end" in text)
        assert not [piece async for piece in stream], "the end is the end"
        answer.close()
        return heard

    heard = asyncio.run(scene())
    assert "stored &lt;b&gt;" in heard
    assert '<span class="ansi-31">&lt;script&gt;</span>' in heard
    assert "<script" not in heard
    places = [heard.index(word) for word in ("stored &lt;b", "stored 2", "live ", ">last<")]
    assert places == sorted(places)
    assert heard.count('<li id="L') == 4
    assert all(
        part.startswith(("data:", "event:", "id:", "retry:", ":")) for part in heard.splitlines() if part
    )


def test_a_stream_goes_on_where_it_was_cut(reader: Client, running: Execution) -> None:
    from ferris.ports import log_cursor

    wiring.ops_store().write("logs", [line(running, n, f"line {n}.") for n in range(1, 6)])
    Execution.objects.update(status="completed")

    async def scene() -> str:
        headers = {"last-event-id": str(log_cursor(1, 3))}
        answer = await asyncio.to_thread(
            reader.get, f"/live/executions/{running.pk}/?after=0", headers=headers
        )
        heard = await hear(aiter(answer), lambda text: "event: end" in text)
        answer.close()
        return heard

    heard = asyncio.run(scene())
    assert "line 3." not in heard
    assert "line 4." in heard
    assert "line 5." in heard


@pytest.mark.parametrize("how", ["signed out", "disabled", "no member any more"])
def test_who_may_no_longer_hears_nothing_more(
    reader: Client, running: Execution, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ferris_web.accounts.models import Membership, User

    monkeypatch.setattr(streams, "ASKED_SECONDS", 0.0)
    wiring.ops_store().write("logs", [line(running, 1, "before")])

    def goes() -> None:
        if how == "signed out":
            reader.post("/sign-out/")
        elif how == "disabled":
            User.objects.update(is_active=False)
        else:
            Membership.objects.all().delete()
        write(line(running, 2, "not for them"))

    async def scene() -> str:
        answer = await asyncio.to_thread(reader.get, f"/live/executions/{running.pk}/?after=0")
        stream = aiter(answer)
        await hear(stream, lambda text: "before" in text)
        await asyncio.to_thread(goes)
        heard = await hear(stream, lambda text: "not for them" in text)
        answer.close()
        return heard

    assert "not for them" not in asyncio.run(scene())


def test_the_stream_keeps_to_the_filter(reader: Client, running: Execution) -> None:
    wiring.ops_store().write(
        "logs",
        [line(running, 1, "fine"), line(running, 2, "broken", "error"), line(running, 3, "other", "error")],
    )
    Execution.objects.update(status="failed")

    async def scene() -> str:
        address = f"/live/executions/{running.pk}/?level=error&find=BROK"
        answer = await asyncio.to_thread(reader.get, address)
        heard = await hear(aiter(answer), lambda text: "event: end" in text)
        answer.close()
        return heard

    heard = asyncio.run(scene())
    assert "broken" in heard
    assert "fine" not in heard
    assert "other" not in heard


def test_a_stream_of_nothing_is_not_there(reader: Client) -> None:
    assert reader.get("/live/executions/00000000-0000-4000-8000-000000000000/").status_code == 404


def test_an_answer_that_nobody_reads_leaves_no_follower(reader: Client, running: Execution) -> None:
    answer = reader.get("/live/")
    answer.close()
    assert live.subscribers() == 0


def test_too_many_followers_are_told_so(
    reader: Client, running: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_SUBSCRIBERS", 0)
    assert reader.get("/live/").status_code == 503
