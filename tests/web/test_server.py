"""The ASGI application: threads that keep their connections, streams that hold none, limits, clients that leave."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.db import connection
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from ferris.config import ROOT
from ferris_web import server
from ferris_web.server import Application

seen: dict[str, Any] = {}


def plain(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    seen.setdefault("threads", set()).add(threading.current_thread().name)
    seen.setdefault("connections", set()).add(id(connection.connection))
    answer = HttpResponse(b"fine", headers={"X-One": "ä"})
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer


@csrf_exempt
def echo(request: HttpRequest) -> HttpResponse:
    body = request.read()
    return HttpResponse(json.dumps([request.method, request.GET.dict(), len(body), body[-3:].decode()]))


def slow(request: HttpRequest) -> HttpResponse:
    seen["release"].wait(60)
    return HttpResponse(b"slow")


def live(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            seen["streaming"] = threading.current_thread()
            await asyncio.sleep(30 if "wait" in request.GET else 0)
            yield b"two" * 50_000
        finally:
            seen["left"] = True

    answer = StreamingHttpResponse(parts())
    answer._resource_closers.append(lambda: seen.__setitem__("closed", True))
    return answer


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(open(__file__, "rb"))


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("on purpose")


urlpatterns = [
    path("plain", plain),
    path("echo", echo),
    path("slow", slow),
    path("control/plain", plain),
    path("api/echo", echo),
    path("live", live),
    path("file", file),
    path("broken", broken),
]
handler500 = "ferris_web.api.problems.handler500"
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.filterwarnings("ignore:No directory at")]


@pytest.fixture(autouse=True)
def _routes():
    seen.clear()
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def app():
    made = Application()
    yield made

    def close() -> None:
        connection.close()

    for pool in (made._threads, made._reserved):
        for done in [pool.submit(close) for _ in range(pool._max_workers)]:
            done.result(60)
        pool.shutdown()


class Exchange:
    """One request as an ASGI server makes it."""

    def __init__(self, app: Application, method: str, target: str, *body: bytes, **headers: str) -> None:
        address, _, query = target.partition("?")
        sent = ((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
        self._scope = {
            "type": "http",
            "method": method,
            "path": address,
            "query_string": query.encode(),
            "scheme": "http",
            "headers": [(b"host", b"127.0.0.1"), *sent],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self._app, self._incoming = app, list(body) or [b""]
        self.gone = asyncio.Event()
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if self._incoming:
            chunk = self._incoming.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(self._incoming)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def run(self) -> Exchange:
        async with asyncio.timeout(60):
            await self._app(self._scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:] if "body" in message)

    def header(self, name: str) -> list[bytes]:
        return [value for key, value in self.sent[0]["headers"] if key.lower() == name.encode()]


def call(app: Application, method: str, target: str, *body: bytes, **headers: str) -> Exchange:
    async def scene() -> Exchange:
        return await Exchange(app, method, target, *body, **headers).run()

    return asyncio.run(scene())


def test_a_plain_answer(app):
    answer = call(app, "GET", "/plain")
    assert (answer.status, answer.body) == (200, b"fine")
    assert len(answer.header("set-cookie")) == 2
    assert answer.header("content-security-policy")  # the middleware did its work
    assert len(answer.sent) == 2
    assert "more_body" not in answer.sent[1]


def test_a_body_in_pieces(app):
    answer = call(app, "POST", "/echo?a=1", b"ab", b"", b"cde")
    assert json.loads(answer.body) == ["POST", {"a": "1"}, 5, "cde"]


def test_a_body_that_does_not_fit_in_memory(app, monkeypatch):
    monkeypatch.setattr(server, "_IN_MEMORY", 10)
    assert json.loads(call(app, "POST", "/echo", *[b"x" * 1000] * 50).body)[2] == 50_000


def test_threads_keep_their_connections(app):
    async def scene() -> None:
        for _ in range(5):
            await asyncio.gather(*(Exchange(app, "GET", "/plain").run() for _ in range(2 * server._THREADS)))

    asyncio.run(scene())
    assert 1 <= len(seen["threads"]) <= server._THREADS
    assert len(seen["connections"]) == len(seen["threads"])


def test_executors_do_not_wait_behind_people(app):
    async def scene() -> float:
        seen["release"] = threading.Event()
        people = [
            asyncio.ensure_future(Exchange(app, "GET", "/slow").run()) for _ in range(server._THREADS + 5)
        ]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        assert (await Exchange(app, "GET", "/control/plain").run()).body == b"fine"
        took = time.monotonic() - began
        seen["release"].set()
        assert [exchange.body for exchange in await asyncio.gather(*people)] == [b"slow"] * len(people)
        return took

    assert asyncio.run(scene()) < 5
    assert all(name.startswith("control") for name in seen["threads"])


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_large_is_not_even_read(app, told):
    chunks = [b"x" * 1_000_000] * 18
    headers = {"content_length": str(18_000_000)} if told else {}
    answer = call(app, "POST", "/api/echo", *chunks, **headers)
    assert answer.status == 413
    assert answer.header("connection") == [b"close"]
    assert json.loads(answer.body)["status"] == 413
    assert call(app, "POST", "/echo", *chunks).status == 200  # people may upload more


@pytest.mark.parametrize("length", ["-1", "x", "1e9", "", "9" * 40])
def test_a_length_that_is_no_number_is_not_believed(app, length):
    assert call(app, "POST", "/echo", b"abc", content_length=length).status in (200, 413)


def test_a_client_that_leaves_while_it_sends(app):
    async def scene() -> Exchange:
        exchange = Exchange(app, "POST", "/echo", b"a")

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        exchange.receive = receive  # type: ignore[method-assign]
        return await exchange.run()

    assert asyncio.run(scene()).sent == []


def test_a_stream_runs_on_the_event_loop(app):
    answer = call(app, "GET", "/live")
    assert answer.body == b"one" + b"two" * 50_000
    assert max(len(message.get("body", b"")) for message in answer.sent) <= 64 * 1024
    assert seen["streaming"] is threading.main_thread()
    assert seen["closed"]


def test_a_client_that_leaves_ends_its_stream(app):
    async def scene() -> Exchange:
        exchange = Exchange(app, "GET", "/live?wait")
        running = asyncio.ensure_future(exchange.run())
        while len(exchange.sent) < 2:
            await asyncio.sleep(0.01)
        exchange.gone.set()
        await running
        return exchange

    assert asyncio.run(scene()).body == b"one"
    assert seen["left"]
    assert seen["closed"]


def test_a_server_that_stops_ends_its_streams(app):
    async def scene() -> None:
        exchange = Exchange(app, "GET", "/live?wait")
        running = asyncio.ensure_future(exchange.run())
        while len(exchange.sent) < 2:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(scene())
    assert seen["left"]


def test_a_file(app):
    from pathlib import Path

    answer = call(app, "GET", "/file")
    assert answer.body == Path(__file__).read_bytes()


def test_a_fault_is_answered(app):
    assert call(app, "GET", "/broken").status == 500


def test_only_http_is_served(app):
    with pytest.raises(ValueError, match="only HTTP"):
        asyncio.run(app({"type": "websocket"}, None, None))


def test_a_process_that_loads_nothing_else_first_serves(ferris_home):
    """In the tests' own process something has loaded the rest long before: a circle of imports would not be seen. What
    was loaded is not looked through for garbage, which took a request now and then as long as a large page."""
    said = (
        "from ferris_web.asgi import application; import gc; from django.test import Client;"
        "print(type(application).__name__, Client().get('/sign-in/', SERVER_NAME='127.0.0.1').status_code,"
        " gc.get_freeze_count() > len(gc.get_objects()))"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "ferris_web.settings",
        "FERRIS_HOME": str(ferris_home),
    }
    done = subprocess.run(
        [sys.executable, "-c", said], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["Application", "200", "True"]
