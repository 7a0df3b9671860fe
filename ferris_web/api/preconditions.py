"""Conditional requests (RFC 9110, section 13), for every address of the REST API in one place.

The answer to a GET has an `ETag` made of its content: sent back as `If-None-Match` it spares the same answer (304), and
as `If-Match` on PUT, PATCH or DELETE it says what the change was made to: 412 when something else is there by now.
A view that knows a better tag sets its own; one whose class `compares` looks at the conditions itself. Of several
conditional changes of an address at once, each sees what the one before it left.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import parse_etags

from ferris_web.api import problems

View = Callable[..., HttpResponseBase]
EDITS: Final = ("PUT", "PATCH", "DELETE")
_LOCKS: Final = tuple(threading.Lock() for _ in range(64))
_NOT_READ: Final = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "CONTENT_TYPE", "CONTENT_LENGTH")


def conditional(view: View) -> View:
    """The view, with tags on what it shows and conditions on what it changes."""

    compares = getattr(getattr(view, "view_class", None), "compares", False)

    @functools.wraps(view)
    def answer(request: HttpRequest, **named: Any) -> HttpResponseBase:
        conditions = "If-Match" in request.headers or "If-None-Match" in request.headers
        if request.method in EDITS and conditions:
            with _alone(request.path):
                return view(request, **named) if compares else _edited(view, request, named)
        response = view(request, **named)
        return _tagged(request, response) if request.method in ("GET", "HEAD") else response

    return answer


def _tagged(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    tag = _tag(response)
    if tag is None:
        return response
    response.headers["ETag"] = tag
    found = get_conditional_response(request, etag=tag, response=response)
    return changed() if found.status_code == 412 else found


def _edited(view: View, request: HttpRequest, named: dict[str, Any]) -> HttpResponseBase:
    if not hasattr(getattr(view, "view_class", None), "get"):
        return problems.problem(
            "precondition-failed", "What is at this address is never shown: change it without a condition."
        )
    seen = _seen(view, request, named)
    if seen.status_code == 404 and request.method == "PUT":
        tag = None
    elif seen.status_code != 200:
        return seen
    else:
        tag = _tag(seen)
    if not met(request, tag):
        return changed()
    response = view(request, **named)
    if 200 <= response.status_code < 300 and request.method != "DELETE":
        tag = _tag(_seen(view, request, named))
        if tag is not None:
            response.headers["ETag"] = tag
    return response


def met(request: HttpRequest, tag: str | None) -> bool:
    """Whether what is there (None: nothing) is as the request says."""
    match, none = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    if match is not None and not (tag and {"*", tag} & set(parse_etags(match))):
        return False
    return not (none is not None and tag and {"*", tag} & set(parse_etags(none)))


def changed() -> HttpResponse:
    """412, for a condition that is not met."""
    return problems.problem(
        "precondition-failed",
        "What is there is not what the request says it is. Read it again, and send the `ETag` of that answer as it is.",
    )


def _seen(view: View, request: HttpRequest, named: dict[str, Any]) -> HttpResponseBase:
    """What a GET of the same address answers to the same caller."""
    look = copy.copy(request)
    look.__dict__.pop("headers", None)  # they are made of META, once
    look.method = "GET"
    look.META = {name: value for name, value in request.META.items() if name not in _NOT_READ}
    look.META["REQUEST_METHOD"] = "GET"
    return view(look, **named)


def _tag(response: HttpResponseBase) -> str | None:
    """The strong tag of an answer; None of one that has none."""
    if response.status_code != 200 or not isinstance(response, HttpResponse):
        return None
    if "ETag" in response.headers:
        return response.headers["ETag"]
    if hasattr(response, "render"):
        response.render()  # a second time it does nothing
    return tag_of(response.content)


def tag_of(content: bytes) -> str:
    """The strong tag of that content."""
    return f'"{hashlib.blake2b(content, digest_size=16).hexdigest()}"'


@contextmanager
def _alone(address: str) -> Iterator[None]:
    """No other conditional change of that address until the end: here, and on PostgreSQL in any process.

    On SQLite there is one web process. No transaction: what the change wakes must be able to read it.
    """
    number = int.from_bytes(hashlib.blake2b(address.encode(), digest_size=8).digest(), signed=True)
    with _LOCKS[number % len(_LOCKS)]:
        if connection.vendor != "postgresql":
            yield
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [number])
        try:
            yield
        finally:
            with suppress(DatabaseError), connection.cursor() as cursor:  # a broken connection holds no lock
                cursor.execute("SELECT pg_advisory_unlock(%s)", [number])
