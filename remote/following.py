"""Follows a flow by the platform's stream of it; a platform of before these streams is asked again and again."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

from remote.client import Client, Refused, part

_LOOK = 0.3  # seconds between looks at what is not there yet
_NOT_STREAMED = 406

Message = tuple[str, str]


def flow_changes(client: Client, flow: str, deadline: float) -> Iterator[dict[str, Any] | None]:
    """The executions of a flow as they are and whenever they have changed; None once the flow has settled, and nothing
    more then. Ends by `deadline` (of `time.monotonic`) at the latest."""
    place = f"flows/{part(flow)}/"
    while time.monotonic() < deadline:
        try:
            for event, data in _until(deadline, client.stream(place, follow=1)):
                if event == "end":
                    yield None
                    return
                if not event:
                    yield json.loads(data)
        except Refused as error:
            if error.status == _NOT_STREAMED:
                yield from _looks(client, place, deadline)
                return
            if error.status != 404:  # the router has not seen its event yet
                raise
            time.sleep(_LOOK)


def _until(deadline: float, messages: Iterator[Message]) -> Iterator[Message]:
    """The messages, read beside: a stream that says nothing keeps nobody waiting for longer than `deadline`."""
    heard: queue.SimpleQueue[Message | BaseException | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            for message in messages:
                heard.put(message)
            heard.put(None)
        except Exception as error:
            heard.put(error)

    threading.Thread(target=read, daemon=True).start()
    while (left := deadline - time.monotonic()) > 0:
        try:
            found = heard.get(timeout=left)
        except queue.Empty:
            return
        if found is None:
            return
        if isinstance(found, BaseException):
            raise found
        yield found


def _looks(client: Client, place: str, deadline: float) -> Iterator[dict[str, Any] | None]:
    told: dict[str, dict[str, Any]] = {}
    while True:
        try:
            found = client.get(place)
        except Refused as error:
            if error.status != 404:
                raise
            found = {"settled": False, "nodes": []}
        for run in found["nodes"]:
            if run["kind"] == "execution" and told.get(run["id"]) != run:
                told[run["id"]] = run
                yield run
        if found["settled"]:
            yield None
            return
        if time.monotonic() > deadline:
            return
        time.sleep(_LOOK)
