"""An execution's log: pages of what is stored, and the stream that goes on from there without gap or repetition."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from ferris.config import CHANGES, LOGS
from ferris.ports import Record, log_cursor
from ferris_web import live, sse, wiring
from ferris_web.executions import log_following, log_reading
from ferris_web.executions.models import Execution
from tests.web.calling import problem_of
from tests.web.platform import dispatch, event, service

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def running(backends: object) -> Execution:
    service("watched", "a.happened")
    dispatch(event())
    Execution.objects.update(status="in_progress")
    return Execution.objects.get()


def line(row: Execution | str, seq: int, attempt: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "execution": str(getattr(row, "pk", row)),
        "attempt": attempt,
        "seq": seq,
        "time": "2026-03-01T12:00:00.123456+00:00",
        "step": "run.py",
        "stream": "stdout",
        "level": "info",
        "message": f"line {attempt}.{seq}",
        "service": "watched",
        "flow": "F",
        **more,
    }


def append(*lines: dict[str, Any]) -> None:
    wiring.event_log().append(LOGS, [Record(json.dumps(x).encode(), key=x["execution"]) for x in lines])


def store(*lines: dict[str, Any]) -> None:
    wiring.ops_store().write("logs", lines)


def index_everything() -> None:
    """What the indexer does: store, then commit."""
    consumer = wiring.event_log().subscribe("ferris.indexer", [LOGS])
    while records := consumer.poll(500, timeout=0):
        store(*(json.loads(record.value) for record in records))
        consumer.commit(records)
    consumer.close()


def end(row: Execution, status: str = "completed") -> None:
    Execution.objects.update(status=status, finished_at=datetime.now(UTC))
    said = {
        "execution": str(row.pk),
        "status": status,
        "flow": row.flow_id,
        "service": "watched",
        "attempt": 1,
    }
    wiring.event_log().append(CHANGES, [Record(json.dumps(said).encode(), key=row.flow_id)])


# --- pages -------------------------------------------------------------------------------------------


def test_lines_by_page(api, running):
    store(*(line(running, n, attempt) for attempt in (2, 1) for n in range(1, 4)))
    url = f"/api/v1/executions/{running.pk}/logs/"
    page = api.get(f"{url}?limit=4").json()
    assert page["results"][0] == {
        "seq": log_cursor(1, 1),
        "attempt": 1,
        "time": "2026-03-01T12:00:00.123Z",
        "step": "run.py",
        "stream": "stdout",
        "level": "info",
        "message": "line 1.1",
    }
    messages = [found["message"] for found in api.all(f"{url}?limit=4")]
    assert messages == [f"line {attempt}.{n}" for attempt in (1, 2) for n in (1, 2, 3)]
    rest = api.get(f"{url}?after={log_cursor(2, 2)}").json()
    assert [found["message"] for found in rest["results"]] == ["line 2.3"]
    assert rest["next"] is None


def test_pages_have_what_is_not_stored_yet(api, running):
    lines = [line(running, n) for n in range(1, 11)]
    append(*lines, line("another", 1))
    store(*lines[:5])
    url = f"/api/v1/executions/{running.pk}/logs/"
    for query in ("", "?limit=4", "?limit=5"):
        assert [found["message"] for found in api.all(url + query)] == [f"line 1.{n}" for n in range(1, 11)]


def test_pages_begin_with_the_last_lines(api, running):
    lines = [line(running, n) for n in range(1, 11)]
    append(*lines, line("another", 1))
    store(*lines[:7])
    url = f"/api/v1/executions/{running.pk}/logs/"
    for tail, first in ((4, 7), (2, 9), (10, 1), (11, 1), (0, 11)):
        for more in ("", "&limit=1"):
            found = [found["message"] for found in api.all(f"{url}?tail={tail}{more}")]
            assert found == [f"line 1.{n}" for n in range(first, 11)], (tail, more)
    page = api.get(f"{url}?tail=4&limit=2").json()
    append(line(running, 11))
    assert [found["message"] for found in api.all(page["next"])] == ["line 1.9", "line 1.10", "line 1.11"]


def test_a_page_before_a_store_that_is_far_behind_says_that_more_comes(api, running, monkeypatch):
    monkeypatch.setattr(log_reading, "_LONGEST_BACKLOG", 5)
    lines = [line(running, n) for n in range(1, 11)]
    append(*lines)
    store(*lines[:2])
    first = api.get(f"/api/v1/executions/{running.pk}/logs/").json()
    assert len(first["results"]) == 2
    empty = api.get(first["next"])
    assert empty.json() == {"results": [], "next": first["next"], "previous": None}
    assert empty["Retry-After"] == "1"
    index_everything()
    rest = api.get(first["next"]).json()
    assert [found["message"] for found in rest["results"]] == [f"line 1.{n}" for n in range(3, 11)]
    assert rest["next"] is None


@pytest.mark.parametrize(
    "query",
    [
        "tail=x",
        "tail=-1",
        "tail=100001",
        "after=x",
        "after=-1",
        "limit=501",
        "after=99999999999999999999",
        "follow=1&after=x",
    ],
)
def test_a_wrong_parameter_is_named(api, running, query):
    problem_of(api.get(f"/api/v1/executions/{running.pk}/logs/?{query}"), 400)


# --- the stream --------------------------------------------------------------------------------------


@dataclass
class Heard:
    """What a stream said: lines, and the data of `end`."""

    lines: list[dict[str, Any]]
    ids: list[int]
    ended: dict[str, Any] | None = None
    pings: int = 0

    @property
    def messages(self) -> list[str]:
        return [line["message"] for line in self.lines]

    def take(self, piece: bytes) -> None:
        for message in piece.decode().split("\n\n"):
            fields = dict(part.split(": ", 1) for part in message.split("\n") if ": " in part)
            if fields.get("event") == "end":
                self.ended = json.loads(fields["data"])
            elif "data" in fields:
                self.lines.append(json.loads(fields["data"]))
                self.ids.append(int(fields["id"]))
            self.pings += message.startswith(": ping")


def follow(api: Any, row: Execution, *acts: Callable[[], None], query: str = "", **headers: str) -> Heard:
    """Follow to the end. Each act is done once the stream has said all it can, and has gone to wait."""

    async def scene() -> Heard:
        url = f"/api/v1/executions/{row.pk}/logs/?follow=1{query}"
        answer = await asyncio.to_thread(lambda: api.get(url, **headers))
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        heard, left = Heard([], []), list(acts)
        stream = aiter(answer)
        async with asyncio.timeout(60):
            next_piece = asyncio.ensure_future(anext(stream, None))
            while True:
                done, _ = await asyncio.wait([next_piece], timeout=0.3 if left else 60)
                if not done:
                    await asyncio.to_thread(left.pop(0))
                    continue
                piece = next_piece.result()
                if piece is None:
                    break
                heard.take(piece)
                next_piece = asyncio.ensure_future(anext(stream, None))
        await asyncio.to_thread(answer.close)
        return heard

    heard = asyncio.run(scene())
    assert not live.subscribers()
    return heard


def test_stored_then_live_then_the_end(api, running):
    append(*(line(running, n) for n in range(1, 4)))
    index_everything()
    heard = follow(
        api,
        running,
        lambda: append(line(running, 4), line("somebody else", 1), line(running, 5)),
        lambda: append(line(running, 1, attempt=2)),
        lambda: end(running),
    )
    assert heard.messages == ["line 1.1", "line 1.2", "line 1.3", "line 1.4", "line 1.5", "line 2.1"]
    assert heard.ids == [found["seq"] for found in heard.lines] == sorted(heard.ids)
    assert heard.lines[3]["time"] == "2026-03-01T12:00:00.123Z"
    assert heard.ended["status"] == "completed"


def test_of_an_ended_execution_everything_and_the_end(api, running):
    append(*(line(running, n) for n in range(1, 2501)))
    index_everything()
    end(running, "failed")
    heard = follow(api, running)
    assert heard.messages == [f"line 1.{n}" for n in range(1, 2501)]
    assert heard.ended["status"] == "failed"


def test_what_is_on_the_log_but_not_stored_yet_is_not_missed(api, running):
    append(line(running, 1), line(running, 2))
    index_everything()
    append(line("somebody else", 1), line(running, 3), line(running, 4))  # the indexer is late
    heard = follow(api, running, lambda: append(line(running, 5)), index_everything, lambda: end(running))
    assert heard.messages == [f"line 1.{n}" for n in range(1, 6)]


def test_last_lines_that_come_with_the_end_are_not_missed(api, running):
    def last() -> None:
        append(line(running, 1))
        Execution.objects.update(status="completed")
        append(line(running, 2))
        end(running)

    assert follow(api, running, last).messages == ["line 1.1", "line 1.2"]


@pytest.mark.parametrize("how", ["header", "query"])
def test_a_follower_that_comes_back_misses_and_repeats_nothing(api, running, how):
    append(*(line(running, n) for n in range(1, 6)))
    index_everything()
    end(running)
    at = str(log_cursor(1, 3))
    heard = (
        follow(api, running, Last_Event_ID=at)
        if how == "header"
        else follow(api, running, query=f"&after={at}")
    )
    assert heard.messages == ["line 1.4", "line 1.5"]


def test_a_follower_that_was_overrun_reads_the_store(api, running, monkeypatch):
    monkeypatch.setattr(live, "LIMIT", 5)
    index_everything()

    def burst() -> None:
        append(*(line(running, n) for n in range(1, 101)))
        index_everything()

    heard = follow(api, running, burst, lambda: append(line(running, 101)), lambda: end(running))
    assert heard.messages == [f"line 1.{n}" for n in range(1, 102)]


def test_a_store_that_is_far_behind_is_waited_for(api, running, monkeypatch):
    monkeypatch.setattr(log_reading, "_LONGEST_BACKLOG", 10)
    monkeypatch.setattr(log_following, "_BEHIND_SECONDS", 0.4)
    append(*(line(running, n) for n in range(1, 31)))
    heard = follow(api, running, lambda: append(line(running, 31)), index_everything, lambda: end(running))
    assert heard.messages == [f"line 1.{n}" for n in range(1, 32)]


def test_silence_is_filled_with_pings(api, running, monkeypatch):
    monkeypatch.setattr(sse, "PING_SECONDS", 0.1)

    async def scene() -> bytes:
        answer = await asyncio.to_thread(api.get, f"/api/v1/executions/{running.pk}/logs/?follow=1")
        stream, heard = aiter(answer), b""
        async with asyncio.timeout(10):
            while heard.count(sse.PING) < 3:
                heard += await anext(stream)
        await stream.aclose()
        answer.close()
        return heard

    assert asyncio.run(scene()) == b"retry: 2000\n\n" + 3 * sse.PING


def test_what_is_no_line_is_passed_over(api, running):
    def odd() -> None:
        log = wiring.event_log()
        key = str(running.pk)
        bad = [
            b"",
            b"{",
            b"[]",
            b"null",
            b'{"execution": 1}',
            json.dumps(line(running, 1, message=5)).encode(),
        ]
        log.append(LOGS, [Record(value, key=key) for value in bad])
        append(line(running, 2, message="half \ud800 a pair", step=None))

    heard = follow(api, running, odd, lambda: end(running))
    assert heard.messages == ["half ? a pair"]
    assert heard.lines[0]["step"] is None


def test_lines_of_any_form_stay_one_message(api, running):
    text = "a\r\nb\rc\nd\u2028e: f\n\nid: 5\nevent: end"
    heard = follow(api, running, lambda: append(line(running, 1, message=text)), lambda: end(running))
    assert heard.messages == [text]
    assert heard.ended == {"status": "completed", "reason": "", "error": "", "attempt": 1}


def test_a_browser_asks_by_accept(api, running):
    end(running)
    answer = api.get(f"/api/v1/executions/{running.pk}/logs/", Accept="text/event-stream")
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["X-Accel-Buffering"] == "no"
    answer.close()
    assert not live.subscribers()
