"""What a script asks the platform for: forwarded to the control API with the execution's token, or the object store."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

from ferris import uploads
from ferris.config import PLATFORM_BUCKETS
from ferris.errors import FerrisError
from ferris.execution import ExecutionOrder
from ferris.ports import ObjectStore
from tasks.control import Answer, ControlClient

PREFIXES: Final = ("/secrets/", "/services/", "/v1/kv/")
METHODS: Final = ("GET", "PUT", "POST", "DELETE")
LARGEST_OBJECT: Final = 16 * 1024 * 1024


class CallRefused(FerrisError):
    """A script asked for something that is not offered to scripts."""


class Calls:
    """The calls of one execution. Used from several threads."""

    def __init__(
        self,
        control: ControlClient,
        objects: ObjectStore,
        order: ExecutionOrder,
        learn_secret: Callable[[Any], None],
        holds_secret: Callable[[bytes], bool],
        given_up: Callable[[], bool],
        send: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._control, self._objects, self._order = control, objects, order
        self._learn_secret, self._holds_secret, self._given_up = learn_secret, holds_secret, given_up
        self._send = send

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a message of the channel. Never raises."""
        try:
            return {"ok": True, **self._answer(message)}
        except (FerrisError, OSError, KeyError, TypeError, ValueError) as error:
            text = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            return {"ok": False, "error": text or type(error).__name__}

    def forward(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        """One HTTP call in one of the dialects. CallRefused; BackendError when the web stays away."""
        parts = unquote(path).split("/")
        if method not in METHODS or not path.startswith(PREFIXES) or ".." in parts or "." in parts:
            raise CallRefused(f"{method} {path} is not offered to scripts")
        if path.startswith("/services/") and body and self._holds_secret(body):
            raise CallRefused(
                "the schedule's parameters hold a secret, and would be on the event log; "
                "leave it out and have the script read it by its name"
            )
        if path.startswith("/secrets") and method == "POST":
            self._learn_secret(_field(body))
        answer = self._control.forward(method, path, query, body, self._order.token, headers, self._given_up)
        if path.startswith("/secrets") and method == "GET":
            self._learn_secret(_field(answer.body))
        return answer

    def _answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        op = message.get("op")
        if op == "call":
            return self._call(message)
        if op == "config":
            return {"value": self._order.config}
        if op == "object.put":
            return self._put(message)
        if op == "object.get":
            return self._get(message)
        raise CallRefused(f"the operation {op!r} is not known")

    def _call(self, message: Mapping[str, Any]) -> dict[str, Any]:
        body = message.get("body")
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        path = quote(str(message["path"]), safe="/%")
        query = {name: value for name, value in (message.get("query") or {}).items() if value is not None}
        answer = self.forward(str(message["method"]), path, query, content, {})
        return {"status": answer.status, "value": _value(answer)}

    def _put(self, message: Mapping[str, Any]) -> dict[str, Any]:
        try:
            data = base64.b64decode(message["data"], validate=True)
        except binascii.Error as error:
            raise CallRefused(f"the object's data is no base64: {error}") from None
        if len(data) > LARGEST_OBJECT:
            raise CallRefused(f"the object has {len(data)} bytes; the limit is {LARGEST_OBJECT}")
        info = self._objects.put(_bucket(message), str(message["key"]), data, message.get("content_type"))
        if uploads.teller(self._objects) is None and uploads.announced(info.bucket):
            self._send(uploads.message(info))
        return {"value": {"bucket": info.bucket, "key": info.key, "size": info.size, "etag": info.etag}}

    def _get(self, message: Mapping[str, Any]) -> dict[str, Any]:
        with self._objects.open(_bucket(message), str(message["key"])) as source:
            data = source.read(LARGEST_OBJECT + 1)
        if len(data) > LARGEST_OBJECT:
            raise CallRefused(f"the object is larger than {LARGEST_OBJECT} bytes")
        return {"value": base64.b64encode(data).decode()}


def _field(body: bytes | None) -> Any:
    """The secret in a request or an answer of the secrets dialect."""
    try:
        document = json.loads(body or b"null")
    except ValueError:
        return None
    return document.get("value") if isinstance(document, dict) else None


def _bucket(message: Mapping[str, Any]) -> str:
    bucket = str(message["bucket"])
    if bucket in PLATFORM_BUCKETS:
        raise CallRefused(f"the bucket {bucket} is the platform's own")
    return bucket


def _value(answer: Answer) -> Any:
    if not answer.body:
        return None
    try:
        return json.loads(answer.body)
    except ValueError:
        return answer.body.decode("utf-8", "replace")
