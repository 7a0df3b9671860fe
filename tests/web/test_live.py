"""The one reader of a web process and its followers."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from ferris.config import CHANGES, LOGS
from ferris.errors import BackendError
from ferris.ports import Record
from ferris_web import live, sse, wiring


@pytest.fixture(autouse=True)
def hub(backends, monkeypatch):
    """A hub of this test's own, gone at its end."""
    fresh = live._Hub()
    monkeypatch.setattr(live, "_hub", fresh)
    monkeypatch.setattr(live, "LINGER_SECONDS", 0.05)
    yield fresh
    for left in list(fresh._subscriptions):
        left.close()
    _gone()


def _readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "live"]


def _gone() -> None:
    for thread in _readers():
        thread.join(60)
    assert not _readers()


def log_line(execution: str, text: str = "x") -> None:
    wiring.event_log().append(
        LOGS, [Record(json.dumps({"execution": execution, "message": text}).encode(), execution)]
    )


def change(execution: str, flow: str = "F", status: str = "completed") -> None:
    said = {"execution": execution, "flow": flow, "status": status}
    wiring.event_log().append(CHANGES, [Record(json.dumps(said).encode(), flow)])


def heard(subscription: live.Subscription, count: int) -> list[tuple[str, str]]:
    """The next `count` notices."""

    async def listen() -> list[live.Notice]:
        found: list[live.Notice] = []
        async with asyncio.timeout(10):
            while len(found) < count:
                found += await subscription.get()
        return found

    return [(notice.topic, notice.execution) for notice in asyncio.run(listen())]


def test_each_hears_what_it_asked_for():
    everything, lines = live.subscribe(), live.subscribe(topics=[LOGS])
    one, flow = live.subscribe(execution="e1"), live.subscribe(flow="F2")
    log_line("e1")
    log_line("e2")
    change("e1", "F1")
    change("e2", "F2")
    assert sorted(heard(everything, 4)) == [(CHANGES, "e1"), (CHANGES, "e2"), (LOGS, "e1"), (LOGS, "e2")]
    assert heard(lines, 2) == [(LOGS, "e1"), (LOGS, "e2")]
    assert sorted(heard(one, 2)) == [(CHANGES, "e1"), (LOGS, "e1")]
    assert heard(flow, 1) == [(CHANGES, "e2")]
    assert len(_readers()) == 1


def test_order_is_the_logs():
    with live.subscribe(execution="e1") as subscription:
        for n in range(50):
            log_line("e1", str(n))
        notices: list[live.Notice] = []

        async def listen() -> None:
            async with asyncio.timeout(10):
                while len(notices) < 50:
                    notices.extend(await subscription.get())

        asyncio.run(listen())
        assert [notice.value["message"] for notice in notices] == [str(n) for n in range(50)]


def test_nothing_for_a_while_is_nothing():
    with live.subscribe(execution="e1") as subscription:
        assert asyncio.run(subscription.get(0.05)) == []


def test_who_is_too_slow_is_told(monkeypatch):
    monkeypatch.setattr(live, "LIMIT", 3)
    slow, other = live.subscribe(execution="e1"), live.subscribe(execution="e2")
    for n in range(10):
        log_line("e1", str(n))
    log_line("e2")
    assert heard(other, 1) == [(LOGS, "e2")]

    async def scene() -> list[live.Notice]:
        with pytest.raises(live.Overrun):
            await subscription_until_overrun(slow)
        await asyncio.to_thread(log_line, "e1", "after")
        return await slow.get(60)

    assert [notice.value["message"] for notice in asyncio.run(scene())] == ["after"]


async def subscription_until_overrun(subscription: live.Subscription) -> None:
    async with asyncio.timeout(10):
        while True:
            await subscription.get()


def test_the_reader_ends_after_the_last_follower_and_starts_again():
    live.subscribe(execution="e1").close()
    _gone()
    with live.subscribe(execution="e1") as again:
        log_line("e1")
        assert heard(again, 1) == [(LOGS, "e1")]
    _gone()


def test_a_follower_that_comes_while_the_reader_lingers_is_served(monkeypatch):
    monkeypatch.setattr(live, "LINGER_SECONDS", 0.3)
    first = live.subscribe(execution="e1")
    first.close()
    first.close()
    with live.subscribe(execution="e1") as second:
        log_line("e1")
        assert heard(second, 1) == [(LOGS, "e1")]


def test_a_log_that_fails_costs_an_overrun_and_nothing_more(monkeypatch, hub, caplog):
    subscription = live.subscribe(execution="e1")
    consumer = hub._consumer
    consumer.close()  # every poll of a closed reader fails
    consumer.wake()

    async def scene() -> None:
        with pytest.raises(live.Overrun):
            await subscription_until_overrun(subscription)

    asyncio.run(scene())
    log_line("e1")
    assert heard(subscription, 1) == [(LOGS, "e1")]


def test_there_is_a_limit(monkeypatch):
    monkeypatch.setattr(live, "MOST_SUBSCRIBERS", 1)
    with live.subscribe():
        with pytest.raises(BackendError):
            live.subscribe()
        assert live.subscribers() == 1
    assert live.subscribers() == 0


def test_what_is_no_notice_is_passed_over():
    with live.subscribe() as subscription:
        for value in (b"", b"{", b"[]", b"\xff", b"5"):
            wiring.event_log().append(CHANGES, [Record(value, "F")])
            wiring.event_log().append(LOGS, [Record(value)])
        log_line("e1")
        assert heard(subscription, 1) == [(LOGS, "e1")]


def test_a_follower_whose_loop_has_ended_hurts_nobody():
    dead, alive = live.subscribe(execution="e1"), live.subscribe(execution="e1")

    async def leave() -> None:
        task = asyncio.ensure_future(dead.get())
        await asyncio.sleep(0.05)
        task.cancel()

    asyncio.run(leave())
    log_line("e1")
    assert heard(alive, 1) == [(LOGS, "e1")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a", b"data: a\n\n"),
        ("a\nb", b"data: a\ndata: b\n\n"),
        ("a\r\nb\rc", b"data: a\ndata: b\ndata: c\n\n"),
        ("", b"data: \n\n"),
    ],
)
def test_messages(data, message):
    assert sse.message(data) == message
    assert sse.message(data, event="e", id="5") == b"event: e\nid: 5\n" + message
