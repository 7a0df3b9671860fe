"""The control API, as executors call it: claims, heartbeats, and what scripts ask the platform for."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from ferris.errors import BackendError, ConfigError
from ferris.execution import ExecutionOrder
from tasks.claims import Claims

log = logging.getLogger(__name__)

PATIENCE: Final = 60.0
"""Seconds a call waits for a web process that is away (it is being replaced) before it gives up."""
_TIMEOUT: Final = 15.0
_BEAT_TIMEOUT: Final = 3.0
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_AWAY: Final = (429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; BackendError when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise BackendError(
                "the control API",
                f"answered {self.status} with something that is no JSON",
                "see the web process's log",
            ) from None


class ControlClient:
    """One for a worker process. Each thread keeps its own connection alive."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("FERRIS_CONTROL_URL", f"is {url!r}", "set it to http://host:port/control")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._token = token
        self._local = threading.local()
        self._claims = Claims()

    def claim(
        self, execution_id: str, worker: str, give_up: Callable[[], bool] = lambda: False
    ) -> ExecutionOrder | str:
        """The order of an execution that is now this worker's, or the reason why it is not.

        Waits up to PATIENCE seconds for a web process that is away, or until `give_up` says so: BackendError.
        """

        def ask(wanted: Sequence[str]) -> list[ExecutionOrder | str]:
            if len(wanted) == 1:
                return [
                    _claimed(
                        self._post("/claim", {"execution": wanted[0], "worker": worker}, PATIENCE, give_up)
                    )
                ]
            said = {"executions": list(wanted), "worker": worker}
            return [_claimed(one) for one in self._post("/claim", said, PATIENCE, give_up).get("answers", ())]

        return self._claims.claim(execution_id, ask)

    def greet(self, worker: str) -> str:
        """Whether the web takes this executor: nothing when it does, what is wrong when it is away for now.

        BackendError when it refuses.
        """
        content = json.dumps({"worker": worker, "executions": []}).encode()
        try:
            answer = self._once("POST", "/heartbeat", content, self._token, {}, _BEAT_TIMEOUT)
        except (OSError, http.client.HTTPException) as error:
            return f"cannot be reached ({type(error).__name__}: {error})"
        if answer.status in _AWAY:
            return f"answers {answer.status}"
        self._accepted(answer, "/heartbeat")
        return ""

    def heartbeat(
        self, worker: str, running: Sequence[tuple[str, int]], about: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Keep the leases, and say what the worker is; the answer names what to stop, and whether to drain.

        One try: BackendError when the web is away.
        """
        executions = [{"id": execution_id, "attempt": attempt} for execution_id, attempt in running]
        return self._post(
            "/heartbeat",
            {"worker": worker, "executions": executions, **({"about": dict(about)} if about else {})},
            0.0,
            timeout=_BEAT_TIMEOUT,
        )

    def forward(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | str,
        body: bytes | None,
        token: str,
        headers: Mapping[str, str] | None = None,
        give_up: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """A script's call, with the execution's own token. Waits while the web is away; BackendError."""
        text = query if isinstance(query, str) else urlencode(query)
        target = f"{path}?{text}" if text else path
        return self._patiently(method, target, body, token, PATIENCE, headers or {}, give_up)

    def _post(
        self,
        path: str,
        document: Any,
        patience: float,
        give_up: Callable[[], bool] = lambda: False,
        timeout: float = _TIMEOUT,
    ) -> dict[str, Any]:
        content = json.dumps(document).encode()
        answer = self._patiently("POST", path, content, self._token, patience, {}, give_up, timeout)
        self._accepted(answer, path)
        found = answer.json()
        return found if isinstance(found, dict) else {}

    @staticmethod
    def _accepted(answer: Answer, path: str) -> None:
        if answer.status != 200:
            raise BackendError(
                "the control API",
                f"answered {answer.status} to POST {path}",
                "check that FERRIS_EXECUTOR_TOKEN and FERRIS_CONTROL_URL are those of the web process",
            )

    def _patiently(
        self,
        method: str,
        target: str,
        body: bytes | None,
        token: str,
        patience: float,
        headers: Mapping[str, str],
        give_up: Callable[[], bool],
        timeout: float = _TIMEOUT,
    ) -> Answer:
        deadline, pause = time.monotonic() + patience, _FIRST_PAUSE
        while True:
            try:
                answer = self._once(method, target, body, token, headers, timeout)
                if answer.status not in _AWAY:
                    return answer
                problem = f"answered {answer.status}"
            except (OSError, http.client.HTTPException) as error:
                problem = f"cannot be reached ({type(error).__name__}: {error})"
            if time.monotonic() + pause > deadline or give_up():
                raise BackendError(
                    "the control API", problem, "start the web process, or set FERRIS_CONTROL_URL"
                )
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _once(
        self,
        method: str,
        target: str,
        body: bytes | None,
        token: str,
        headers: Mapping[str, str],
        timeout: float,
    ) -> Answer:
        sent = {"Content-Type": "application/json", **headers, "Authorization": f"Bearer {token}"}
        kept = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                return self._exchange(kept, method, target, body, sent)
            except (ConnectionError, http.client.BadStatusLine):
                self._drop()  # the server had closed it meanwhile; only a new connection tells
        fresh = self._connect(timeout)
        self._local.connection = fresh
        try:
            return self._exchange(fresh, method, target, body, sent)
        except BaseException:
            self._drop()
            raise

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> Answer:
        connection.request(method, self._prefix + target, body, dict(headers))
        response = connection.getresponse()
        content = response.read()
        if response.will_close:
            self._drop()
        return Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, content
        )

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=timeout)

    def _drop(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = None
            connection.close()


def _claimed(body: Mapping[str, Any]) -> ExecutionOrder | str:
    if body.get("go"):
        return ExecutionOrder.from_json(body["order"])
    return str(body.get("reason", "no reason given"))
