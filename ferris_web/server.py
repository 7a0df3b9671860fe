"""Serves Django over ASGI: sync code in a fixed set of threads, streams on the event loop.

Django's own ASGI handler gives each request a thread of its own, and with it new database connections. Here a
request is received by the event loop and answered by a thread that keeps its connections. Views are sync; a view
that streams returns a `StreamingHttpResponse` of an async iterator, which the event loop then runs, so that an
open stream holds no thread. docs/decisions/0007 has the reasons and the figures.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from typing import IO, Any

from django.core import signals
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from ferris_web.api import metrics, problems

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_THREADS = 16
# Executors' calls and probes never wait behind people's long ones (a sync of a big repository): a heartbeat that
# came too late would cost a lease.
_CONTROL = "/control/"
_RESERVED = (_CONTROL, "/health/")
_RESERVED_THREADS = 4

_IN_MEMORY = 1024 * 1024  # of a request's body; more goes to a temporary file
_LARGEST_BODY = (
    ("/control/", 2 * 1024 * 1024),
    ("/hooks/", 1024 * 1024),  # nobody has signed in there
    ("/api/", 17 * 1024 * 1024),
    ("/", 512 * 1024 * 1024),
)
_CHUNK = 64 * 1024


class TooLarge(Exception):
    """The body is larger than anything that this address takes: more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class Disconnected(Exception):
    """The client is gone."""


class Application:
    """HTTP in, HTTP out. One per process; its threads start when they are first needed."""

    def __init__(self) -> None:
        self._handler = _Handler()
        self._control = _ControlHandler()
        self._threads = ThreadPoolExecutor(_THREADS, "web")
        self._reserved = ThreadPoolExecutor(_RESERVED_THREADS, "control")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"only HTTP is served, not {scope['type']}")
        with suppress(Disconnected):
            try:
                body = await _body(scope, receive)
            except TooLarge as error:
                await _send_whole(send, problems.too_large(error.limit))
                return
            await self._answer(scope, body, receive, send)

    async def _answer(self, scope: Scope, body: IO[bytes], receive: Receive, send: Send) -> None:
        pool = self._reserved if scope["path"].startswith(_RESERVED) else self._threads
        handler = self._control if scope["path"].startswith(_CONTROL) else self._handler
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(pool, handler.respond, scope, body)
        if not response.streaming:
            await _send_whole(send, response)
            return
        try:
            await send(_start(response))
            await _until_gone(receive, _send_stream(send, response, pool))
        finally:
            await asyncio.shield(loop.run_in_executor(pool, response.close))


class _Handler(BaseHandler):
    """Django's request cycle, in the thread that calls."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware()

    def respond(self, scope: Scope, body: IO[bytes]) -> HttpResponseBase:
        """The response; closed already (and so its request finished) unless it is a stream."""
        began = time.perf_counter()
        set_script_prefix(scope.get("root_path", "") or "/")
        signals.request_started.send(sender=self.__class__, scope=scope)
        request = None
        try:
            request = ASGIRequest(scope, body)
            response: HttpResponseBase = self.get_response(request)
        except UnicodeDecodeError:
            response = problems.problem("invalid-request", "The address is no UTF-8.")
        response._handler_class = self.__class__
        metrics.observe(request, response, time.perf_counter() - began)
        if isinstance(response, FileResponse):
            response.block_size = _CHUNK
        if not response.streaming:
            response.close()
            body.close()
        return response


class _ControlHandler(_Handler):
    """For executors and scripts, which bring a token with each call: no session, no cookie, no page, and so none of
    the middleware that is there for browsers. A claim happens for every execution."""

    def load_middleware(self, is_async: bool = False) -> None:
        """Nothing but the view, and what turns an exception into an answer."""
        self._view_middleware, self._template_response_middleware, self._exception_middleware = [], [], []
        self._middleware_chain = convert_exception_to_response(self._plain_response)

    def _plain_response(self, request: HttpRequest) -> HttpResponseBase:
        request.get_host()  # DisallowedHost: 400
        response = self._get_response(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        if not response.streaming and "Content-Length" not in response:
            response.headers["Content-Length"] = str(len(response.content))
        return response


async def _body(scope: Scope, receive: Receive) -> IO[bytes]:
    limit = next(size for prefix, size in _LARGEST_BODY if scope["path"].startswith(prefix))
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if length.isdigit() and int(length) > limit:
        raise TooLarge(limit)
    body = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the handler closes it
    received, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            body.close()
            raise Disconnected
        chunk = message.get("body", b"")
        received += len(chunk)
        if received > limit:
            body.close()
            raise TooLarge(limit)
        if chunk:
            body.write(chunk)
        more = message.get("more_body", False)
    body.seek(0)
    return body  # type: ignore[return-value]


def _start(response: HttpResponseBase) -> dict[str, Any]:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    headers += [
        (b"Set-Cookie", morsel.OutputString().encode("ascii")) for morsel in response.cookies.values()
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}


async def _send_whole(send: Send, response: HttpResponseBase) -> None:
    await send(_start(response))
    await send({"type": "http.response.body", "body": response.content})


async def _send_stream(send: Send, response: HttpResponseBase, pool: ThreadPoolExecutor) -> None:
    async with aclosing(_parts(response, pool)) as parts:
        async for part in parts:
            for at in range(0, len(part), _CHUNK):
                await send({"type": "http.response.body", "body": part[at : at + _CHUNK], "more_body": True})
    await send({"type": "http.response.body"})


async def _parts(response: HttpResponseBase, pool: ThreadPoolExecutor) -> AsyncIterator[bytes]:
    if response.is_async:
        async with aclosing(aiter(response)) as parts:
            async for part in parts:
                yield part
        return
    # Files: reading may wait for the disk, so each piece is read in a thread.
    loop, parts_of_file = asyncio.get_running_loop(), iter(response)
    while piece := await loop.run_in_executor(pool, _next_piece, parts_of_file):
        yield piece


def _next_piece(parts: Iterator[bytes]) -> bytes:
    """The next part that is not empty, or nothing at the end."""
    return next((part for part in parts if part), b"")


async def _until_gone(receive: Receive, work: Awaitable[None]) -> None:
    """Do the work, but stop when the client leaves."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
