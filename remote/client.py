"""Speaks to a platform's REST API over HTTP: JSON in and out, pages, streams, problems as one line."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

_TIMEOUT = 60.0
_PIECE = 256 * 1024
_LONGEST_WAIT = 60  # that the platform may ask for of one who sends too much
_RECONNECT = 2.0  # seconds before a stream that broke is taken up again
_BROKEN_AT_MOST = 30  # times in a row


class Refused(Exception):
    """The platform said no, or does not answer; the text says why and what to do. `status` is 0 without an answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to whoever it names."""

    def redirect_request(self, *args: Any, **named: Any) -> None:
        return None


class Client:
    """One platform. Every method raises `Refused`."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise Refused(
                f"FERRIS_URL is {url!r}: set it to the platform's address, such as https://ferris.example"
            )
        if not token:
            raise Refused(
                "FERRIS_TOKEN is not set: `manage.py token USER` on the platform's machine makes one"
            )
        if not token.isascii() or not token.isprintable():
            raise Refused("FERRIS_TOKEN holds what no token holds: set it to what `manage.py token` printed")
        self.url = url.rstrip("/")
        self._token = token
        self._opener = urllib.request.build_opener(_NoRedirect)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of `/api/v1/PATH`; parts of the query that are None or empty are left out."""
        return self._json("GET", self._address(path, query))

    def post(self, path: str, body: Any = None, *, content_type: str = "application/json") -> Any:
        """The JSON of the answer to a POST of JSON, or None when it has no content."""
        return self._json("POST", self._address(path, {}), body, content_type)

    def put(self, path: str, body: Any, *, new: bool = False) -> Any:
        """The JSON of the answer to a PUT of JSON; `new`: Refused with status 412 when something is there already."""
        return self._json("PUT", self._address(path, {}), body, sends=True, new=new)

    def delete(self, path: str) -> Any:
        """The JSON of the answer to a DELETE, or None when it has no content."""
        return self._json("DELETE", self._address(path, {}))

    def there(self, path: str) -> bool:
        """Whether there is something at `/api/v1/PATH`."""
        try:
            self.get(path)
        except Refused as error:
            if error.status != 404:
                raise
            return False
        return True

    def all(self, path: str, most: int, **query: Any) -> Iterator[dict[str, Any]]:
        """The rows of a list over its pages, at most `most`."""
        address: str | None = self._address(path, {**query, "limit": min(most, 100)})
        while address and most > 0:
            page = self._json("GET", address)
            for row in page["results"][:most]:
                most -= 1
                yield row
            address = self._own(page["next"]) if page["next"] else None

    def content(self, path: str) -> Iterator[bytes]:
        """A file at `/api/v1/PATH`, piece by piece. It may end too early without a word: its reader has to see that."""
        with self._open("GET", self._address(path, {}), None, {}) as answer:
            try:
                while piece := answer.read(_PIECE):
                    yield piece
            except (OSError, http.client.HTTPException) as error:
                raise Refused(f"{self.url} broke off in the middle ({error}): its log says why") from None

    def stream(self, path: str, **query: Any) -> Iterator[tuple[str, str]]:
        """The (event, data) of a stream to its end; one that breaks is taken up where it was."""
        last, broken = "", 0
        while True:
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
            try:
                with self._open("GET", self._address(path, query), None, headers) as answer:
                    event, ident, data = "", "", list[str]()
                    for raw in answer:
                        line = raw.decode("utf-8", "replace").rstrip("\r\n")
                        name, _, value = line.partition(": ")
                        if name == "id":
                            ident = value
                        elif name == "event":
                            event = value
                        elif name == "data":
                            data.append(value)
                        elif not line:
                            last = ident or last  # what did not come whole comes again
                            if data:
                                broken = 0
                                yield event, "\n".join(data)
                            if event == "end":
                                return
                            event, ident, data = "", "", []
            except (OSError, urllib.error.URLError) as error:
                if broken >= _BROKEN_AT_MOST:
                    raise Refused(f"{self.url} does not answer any more: {error}") from None
            except Refused as error:
                if error.status or broken >= _BROKEN_AT_MOST:
                    raise
            broken += 1
            time.sleep(_RECONNECT)

    def health(self) -> tuple[int, Any]:
        """The status and JSON of `/health/ready`."""
        try:
            with self._open("GET", f"{self.url}/health/ready", None, {}) as answer:
                return int(answer.status), json.loads(answer.read())
        except Refused as error:
            if error.status == 503 and error.__cause__ is not None:
                return 503, json.loads(getattr(error.__cause__, "said", b"") or b"{}")
            raise

    def _address(self, path: str, query: Mapping[str, Any]) -> str:
        known = {name: value for name, value in query.items() if value not in (None, "", False)}
        return f"{self.url}/api/v1/{path}" + (f"?{urlencode(known)}" if known else "")

    def _own(self, address: str) -> str:
        """A link of an answer on this platform's address: behind a proxy it may know itself by another."""
        parts = urlsplit(address)
        return f"{self.url}{parts.path}" + (f"?{parts.query}" if parts.query else "")

    def _json(
        self,
        method: str,
        address: str,
        body: Any = None,
        content_type: str = "application/json",
        *,
        sends: bool = False,
        new: bool = False,
    ) -> Any:
        """`sends`: None is sent as well, as null. `new`: only where nothing is."""
        sent = None if body is None and not sends else json.dumps(body).encode()
        if method == "POST" and sent is None:
            sent = b""
        headers = {"Accept": "application/json", **({"Content-Type": content_type} if sent else {})}
        if new:
            headers["If-None-Match"] = "*"
        with self._open(method, address, sent, headers) as answer:
            said = answer.read()
        try:
            return json.loads(said) if said else None
        except ValueError:
            raise Refused(
                f"{address} answers with no JSON: is FERRIS_URL the address of a Ferris platform?"
            ) from None

    def _open(self, method: str, address: str, body: bytes | None, headers: dict[str, str]) -> Any:
        given = {**headers, "Authorization": f"Bearer {self._token}", "User-Agent": "ferris-remote"}
        request = urllib.request.Request(address, body, given, method=method)  # noqa: S310 - http or https: checked
        try:
            return self._opener.open(request, timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            wait = error.headers.get("Retry-After", "")
            if error.code == 429 and wait.isdecimal() and int(wait) <= _LONGEST_WAIT:
                time.sleep(int(wait))  # one request is allowed then
                return self._open(method, address, body, headers)
            error.said = error.read()  # type: ignore[attr-defined]
            raise Refused(_problem(error, error.said), error.code) from error
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise Refused(f"{self.url} does not answer ({reason}): does the platform run there?") from error


def part(text: str) -> str:
    """`text` as one part of a path."""
    return quote(text, safe="")


def _problem(error: urllib.error.HTTPError, said: bytes) -> str:
    """A problem document (RFC 9457) as one text with its fields."""
    try:
        document = json.loads(said)
        text = document.get("detail") or document["title"]
        fields = [f"{one['field']}: {one['problem']}" for one in document.get("errors", ())]
    except (ValueError, KeyError, TypeError, AttributeError):
        text, fields = f"{error.url} answers {error.code} {error.reason}", []
    if error.code == 401:
        text = "FERRIS_TOKEN is not taken there: it is unknown or has expired; `manage.py token USER` makes another"
    if 300 <= error.code < 400:
        text += ": FERRIS_URL is not the platform's own address; set it to where that leads"
    return "\n  ".join([text, *(one for one in fields if one not in text)])  # one alone is all of the text
