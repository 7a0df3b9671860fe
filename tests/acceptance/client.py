"""The REST API as an outside program sees it, and waiting for what it shows."""

from __future__ import annotations

import http.client
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

OPEN = {"pending", "queued", "in_progress"}
CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENTS = "application/cloudevents-batch+json"
_OWN = "own"
T = TypeVar("T")


class Unreachable(Exception):
    """No answer came: nobody listens, or the connection broke."""


class Refused(AssertionError):
    """An answer of 400 or more that the caller did not ask for."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One user of the API. Every method raises `Refused` for an answer of 400 or more, but `request`."""

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address = address
        self.token = token

    # ------------------------------------------------------------------ HTTP

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        token: str | None = _OWN,
        timeout: float = 30,
    ) -> Answer:
        """Any request. `body`: bytes as they are, else JSON. `token`: None sends no authorization."""
        connection, path = self._connection(path, timeout)
        sent = self._headers(token)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body, {**sent, **(headers or {})})
            answer = connection.getresponse()
            received: dict[str, str] = {}
            for name, value in answer.getheaders():  # repeated ones (cookies) in lines
                received[name.lower()] = "\n".join(filter(None, (received.get(name.lower()), value)))
            return Answer(answer.status, received, answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()

    def lines(self, path: str, timeout: float = 30) -> Iterator[bytes]:
        """The lines of a streamed answer, as they come, until it ends."""
        connection, path = self._connection(path, timeout)
        try:
            connection.request("GET", path, headers=self._headers(_OWN))
            answer = connection.getresponse()
            assert answer.status == 200, f"{path}: {answer.status} {answer.read()!r}"
            yield from iter(answer.readline, b"")
        finally:
            connection.close()

    def _connection(self, path: str, timeout: float) -> tuple[http.client.HTTPConnection, str]:
        if path.startswith("http"):
            assert path.startswith(self.address), f"{path} leads away from {self.address}"
            path = path.removeprefix(self.address)
        return http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=timeout), path

    def _headers(self, token: str | None) -> dict[str, str]:
        token = self.token if token == _OWN else token
        return {"Authorization": f"Bearer {token}"} if token else {}

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """A request that must succeed; its JSON, or None without a body."""
        answer = self.request(method, path, body, **more)
        if answer.status >= 400:
            raise Refused(f"{method} {path}: {answer.status} {answer.text[:2000]}")
        return answer.json if answer.body else None

    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, {} if body is None else body)

    def all(self, path: str, **query: Any) -> list[Any]:
        """Every result of a paged list, page by page."""
        page = self.get(path, **{"limit": 500, **query})
        found = page["results"]
        while page["next"]:
            page = self.get(page["next"])
            found += page["results"]
        return found

    # ------------------------------------------------------------------ events

    def send(self, event: Mapping[str, Any]) -> Answer:
        """Post one structured CloudEvent as it is."""
        return self.request(
            "POST", "/api/v1/events/", json.dumps(event).encode(), headers={"Content-Type": CLOUDEVENT}
        )

    def send_batch(self, events: Sequence[Mapping[str, Any]]) -> Answer:
        return self.request(
            "POST",
            "/api/v1/events/",
            json.dumps(list(events)).encode(),
            headers={"Content-Type": CLOUDEVENTS},
        )

    def emit(self, event_type: str, data: Any = None, **attributes: Any) -> str:
        """Send a new event; its flow's id."""
        answer = self.send(event(event_type, data, **attributes))
        assert answer.status == 202, answer.text
        return str(answer.json["correlation_id"])

    # ------------------------------------------------------------------ executions

    def executions(self, **query: Any) -> list[dict[str, Any]]:
        return self.all("/api/v1/executions/", **query)

    def execution(self, wanted: str) -> dict[str, Any]:
        return dict(self.get(f"/api/v1/executions/{wanted}/"))

    def steps(self, wanted: str) -> list[dict[str, Any]]:
        found = self.get(f"/api/v1/executions/{wanted}/steps/")
        return list(found["results"] if isinstance(found, dict) else found)

    def logs(self, wanted: str) -> list[dict[str, Any]]:
        """The whole log of an execution that ends: followed, as a stream of server-sent events."""
        found = []
        for line in self.lines(f"/api/v1/executions/{wanted}/logs/?follow=1"):
            if line.startswith(b"event: end"):
                break
            if line.startswith(b"data: "):
                found.append(json.loads(line[6:]))
        return found

    def stored_logs(self, wanted: str) -> list[dict[str, Any]]:
        """The log of an execution as it is stored, page by page."""
        return self.all(f"/api/v1/executions/{wanted}/logs/")

    def output(self, wanted: str, stream: str = "stdout") -> list[str]:
        """The messages of one stream of an execution, in order."""
        return [line["message"] for line in self.logs(wanted) if line["stream"] == stream]

    def run(self, service: str, **parameters: Any) -> str:
        """Run a service by hand; the execution's id."""
        answer = self.post(f"/api/v1/services/{quote(service)}/run/", {"parameters": parameters})
        return str(answer["id"])

    def finished(self, wanted: str, timeout: float = 30) -> dict[str, Any]:
        """An execution once it has ended."""
        return until(lambda: _ended(self._seen(wanted)), timeout, lambda: f"not ended: {self._seen(wanted)}")

    def started(self, wanted: str, timeout: float = 30) -> dict[str, Any]:
        """An execution once it is no longer waiting."""
        return until(
            lambda: (row := self._seen(wanted)) and row["status"] not in ("pending", "queued") and row,
            timeout,
            lambda: f"not started: {self._seen(wanted)}",
        )

    def _seen(self, wanted: str) -> dict[str, Any] | None:
        answer = self.request("GET", f"/api/v1/executions/{wanted}/")
        return answer.json if answer.status == 200 else None

    def flow(self, flow_id: str, count: int, timeout: float = 30) -> list[dict[str, Any]]:
        """The executions of a flow, in the order of their numbers, once there are `count` and all have ended.

        More than `count` fails: an event has run a service twice, or one that it should not.
        """

        def look() -> list[dict[str, Any]] | None:
            waiting = {"correlation_id": flow_id, "status": ",".join(OPEN), "limit": 1}
            if self.get("/api/v1/executions/", **waiting)["results"]:
                return None
            rows = self.executions(correlation_id=flow_id)
            assert len(rows) <= count, f"{len(rows)} executions instead of {count}: {_brief(rows)}"
            return rows if len(rows) == count and all(map(_ended, rows)) else None

        def problem() -> str:
            rows = self.executions(correlation_id=flow_id)
            return f"{len(rows)} of {count} executions: {_brief(rows)}"

        return sorted(until(look, timeout, problem), key=lambda row: _number(row["correlation_id"]))


class Visitor:
    """A person with a browser: signs in with a password and keeps the cookies."""

    def __init__(self, client: Client, user: str, password: str) -> None:
        self._client = client
        self._cookies: dict[str, str] = {}
        page = self.get("/sign-in/")
        form = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert form is not None, page.text[:2000]
        fields = {"csrfmiddlewaretoken": form[1], "username": user, "password": password}
        answer = self._request("POST", "/sign-in/", urlencode(fields).encode())
        assert answer.status == 302, answer.text[:2000]

    def get(self, path: str) -> Answer:
        return self._request("GET", path, None)

    def _request(self, method: str, path: str, body: bytes | None) -> Answer:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        headers = {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}
        answer = self._client.request(method, path, body, headers=headers, token=None)
        for name, value in re.findall(r"(?:^|\n)([^=;\n]+)=([^;\n]*)", answer.headers.get("set-cookie", "")):
            self._cookies[name] = value
        return answer


def event(event_type: str, data: Any = None, **attributes: Any) -> dict[str, Any]:
    """A CloudEvent of this suite; attributes override, None leaves one out."""
    made = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/acceptance",
        "type": event_type,
        "datacontenttype": "application/json",
        "data": {} if data is None else data,
        **attributes,
    }
    return {name: value for name, value in made.items() if value is not None}


def until(
    look: Callable[[], T | None], timeout: float, problem: Callable[[], str] | str, longest_pause: float = 0.3
) -> T:
    """What `look` gives once it gives something; it looks again and again, as a program outside must."""
    deadline = time.monotonic() + timeout
    pause = 0.02
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s: {problem if isinstance(problem, str) else problem()}")
        time.sleep(pause)
        pause = min(pause * 1.5, longest_pause)


def _ended(row: dict[str, Any] | None) -> dict[str, Any] | None:
    return row if row and row["status"] not in OPEN else None


def _number(correlation_id: str) -> int:
    return int(correlation_id.rpartition("_")[2])


def _brief(rows: Sequence[Mapping[str, Any]]) -> str:
    counts: dict[str, int] = {}
    for row in rows:
        text = f"{row['service']} {row['status']}"
        counts[text] = counts.get(text, 0) + 1
    return ", ".join(f"{n} x {text}" for text, n in sorted(counts.items()))
