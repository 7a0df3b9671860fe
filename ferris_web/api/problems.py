"""Errors as problem documents (RFC 9457), from wherever in an API request they come.

A document's `type` is the address of a page that explains it. Beside `title`, `status` and `detail` it may name
what is wrong: `errors` (a list of `field` and `problem`), and for an event `attribute` and, in a batch, `index`.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
from django.core import exceptions as django_errors
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template import loader
from django.views import defaults
from rest_framework import exceptions as drf_errors
from rest_framework.views import set_rollback

from ferris.errors import BackendError, Conflict, EventError, ManifestError, NotFound, SourceError
from ferris.searching import SearchError
from ferris_web import wiring
from ferris_web.api.authentication import REALM
from ferris_web.sse import TooManyStreams

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
READ_BY_PEOPLE = "/api/docs/"
PATHS = ("/api/", "/control/", "/health/", "/metrics", "/problems/", "/hooks/")
_INDEX = re.compile(r"\[(\d+)\]\.(.+)", re.DOTALL)


@dataclass(frozen=True)
class Kind:
    """One kind of problem; `meaning` is what its page says."""

    status: int
    title: str
    meaning: str


KINDS = {
    "invalid-request": Kind(
        400,
        "The request is not valid",
        "A parameter, a field of the body or the body itself is not what was expected. `detail` and `errors` "
        "name it. Sending the same request again gives the same answer.",
    ),
    "invalid-event": Kind(
        400,
        "The event is not valid",
        "The body is no CloudEvent that the platform takes; `attribute` names the part at fault and, in a batch, "
        "`index` the event. Nothing of a batch was accepted.",
    ),
    "not-authenticated": Kind(
        401,
        "Who are you?",
        "The request brings no valid token. Send `Authorization: Bearer <token>`; `manage.py token USER` prints a "
        "new one. A script's token is valid only while its execution is in progress.",
    ),
    "forbidden": Kind(
        403,
        "Not allowed",
        "The caller is known, but may not do this. An execution may read its own service's configuration and "
        "state, and write its own state only. `detail` names the role or the scope of a token that it takes.",
    ),
    "not-found": Kind(
        404,
        "Not found",
        "There is nothing at this address, or it is no longer there, or it belongs to a project that the caller is no "
        "member of. `/api/schema/` lists all addresses.",
    ),
    "method-not-allowed": Kind(
        405,
        "Method not allowed",
        "This address exists, but not for this method; the header `Allow` lists those.",
    ),
    "not-acceptable": Kind(
        406,
        "Not acceptable",
        "The answer is not to be had in a form that `Accept` asks for. Leave the header out, or ask for "
        "`application/json`.",
    ),
    "conflict": Kind(
        409,
        "Not in this state",
        "The request is in order, but not possible as things are: an execution has ended already, a service may "
        "not be run by hand, a name is taken. `detail` says which, and what would help.",
    ),
    "precondition-failed": Kind(
        412,
        "It has changed meanwhile",
        "What is to be changed is not as the caller saw it (`If-Match`, `If-None-Match`, `seen`). Nothing was written: "
        "read it again, and change that.",
    ),
    "too-large": Kind(
        413,
        "Too large",
        "The body is larger than this address takes. `detail` has the limit: send it in parts, or less of it.",
    ),
    "unsupported-media-type": Kind(
        415,
        "Unsupported media type",
        "The header `Content-Type` is missing or names a form that is not read here. Most addresses take "
        "`application/json`; `/api/docs/` says which form each one takes.",
    ),
    "idempotency-key-in-use": Kind(
        409,
        "The first request is under way",
        "A request with this `Idempotency-Key` is being carried out. Wait as long as `Retry-After` says, then send it "
        "again: it gets the same answer.",
    ),
    "idempotency-key-reused": Kind(
        422,
        "The key belongs to another request",
        "This `Idempotency-Key` came before with another method, address or body. Nothing was done. Every new request "
        "needs a new key; keys are remembered for a day.",
    ),
    "too-many-requests": Kind(
        429,
        "Too many requests",
        "The caller has sent more requests in a minute than `RateLimit-Policy` allows. Wait as many seconds as "
        "`Retry-After` says, then try again; `RateLimit` in each answer says what is left. Many events go in one "
        "request as a batch. `FERRIS_API_RATE` is the limit.",
    ),
    "too-many-streams": Kind(
        429,
        "Too many streams",
        "So many streams of this user are open already in a web process, pages of the console that keep themselves "
        "fresh among them. End some. `FERRIS_STREAM_LIMIT` is the limit.",
    ),
    "fault": Kind(
        500,
        "A fault of ours",
        "The request met a fault of the platform. `instance` stands in the web process's log beside the cause.",
    ),
    "unavailable": Kind(
        503,
        "A backend does not answer",
        "The database, the log or a store cannot be used right now. Nothing was changed, or it was changed and can "
        "be asked for again without harm. Try again after `Retry-After`; `manage.py doctor` says what is wrong.",
    ),
}
_BY_STATUS = {kind.status: name for name, kind in reversed(KINDS.items())}


def document(name: str, detail: str, **members: Any) -> dict[str, Any]:
    """A problem document of that kind. Members that are None are left out."""
    kind = KINDS[name]
    said = {
        "type": f"{wiring.config().public_url}/problems/{name}/",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        **members,
    }
    return {key: value for key, value in said.items() if value is not None}


def problem(
    name: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> HttpResponse:
    """The answer with that document."""
    body = orjson.dumps(document(name, detail, **members), default=str)
    answer = HttpResponse(
        body, status=KINDS[name].status, content_type=CONTENT_TYPE, headers=dict(headers or {})
    )
    if answer.status_code == 401:
        answer.headers.setdefault("WWW-Authenticate", REALM)
    return answer


def too_large(limit: int) -> HttpResponse:
    """For a body that was not even read to its end; so the connection cannot be used again."""
    return problem("too-large", f"The body has more than {limit} bytes.", headers={"Connection": "close"})


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """Django REST framework's hook. None for what is no fault of the request: that ends in `handler500`."""
    answer = from_error(error)
    if answer is not None:
        set_rollback()
    return answer


def from_error(error: Exception) -> HttpResponse | None:
    """The answer to an exception that says something about the request or about a backend."""
    if isinstance(error, drf_errors.APIException):
        return _from_drf(error)
    if isinstance(error, SearchError):
        return invalid([(error.attribute, error.problem)])
    if isinstance(error, EventError):
        return _from_event(error)
    if isinstance(error, (NotFound, Http404, django_errors.ObjectDoesNotExist)):
        return problem("not-found", _sentence(str(error)) or "There is nothing at this address.")
    if isinstance(error, Conflict):
        return problem("conflict", _sentence(str(error)))
    if isinstance(error, TooManyStreams):
        return problem("too-many-streams", _sentence(str(error)), headers={"Retry-After": "5"})
    if isinstance(error, ManifestError):
        return problem("invalid-request", _sentence(str(error)))
    if isinstance(error, django_errors.ValidationError):
        return invalid(_django_fields(error))
    if isinstance(error, django_errors.PermissionDenied):
        return problem("forbidden", _sentence(str(error)) or "You may not do this.")
    if isinstance(error, django_errors.RequestDataTooBig):
        return problem("too-large", "The body is larger than this address takes.")
    if isinstance(error, django_errors.SuspiciousOperation):
        return problem("invalid-request", _sentence(str(error)))
    if isinstance(error, DataError) or (isinstance(error, ValueError) and "NUL (0x00)" in str(error)):
        # PostgreSQL holds no NUL in texts and JSON, and no number outside its column: SQLite is more patient.
        return problem("invalid-request", "It holds the character NUL, or a value that cannot be stored.")
    if isinstance(error, SourceError):  # nothing is away: who asks again gets the same answer
        return problem("conflict", _sentence(str(error)))
    if isinstance(error, BackendError):
        log.error("a backend does not answer: %s", error)
        return problem("unavailable", _sentence(str(error)), headers={"Retry-After": "5"})
    if isinstance(error, (OperationalError, InterfaceError)):
        log.error("the database does not answer", exc_info=error)
        return problem("unavailable", "The database does not answer.", headers={"Retry-After": "5"})
    return None


def invalid(errors: Sequence[tuple[str, str]]) -> HttpResponse:
    """400, naming each field and what is wrong with it."""
    said = "; ".join(f"{field}: {text}" if field else text for field, text in errors)
    return problem(
        "invalid-request",
        _sentence(said),
        errors=[{"field": field, "problem": text} for field, text in errors if field] or None,
    )


def _from_event(error: EventError) -> HttpResponse:
    place = _INDEX.fullmatch(error.attribute)
    attribute = place[2] if place else error.attribute
    if attribute == "content-type":
        return problem("unsupported-media-type", _sentence(str(error)), attribute=attribute)
    index = int(place[1]) if place else None
    return problem("invalid-event", _sentence(str(error)), attribute=attribute, index=index)


def _from_drf(error: drf_errors.APIException) -> HttpResponse:
    if isinstance(error, drf_errors.ValidationError):
        return invalid(list(_flat(error.detail)))
    headers = {}
    if getattr(error, "wait", None):
        headers["Retry-After"] = str(math.ceil(error.wait))
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = error.auth_header
    name = _BY_STATUS.get(error.status_code, "invalid-request" if error.status_code < 500 else "fault")
    return problem(name, str(error.detail), headers=headers)


def _flat(detail: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(field, problem) for every leaf of DRF's nested details."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            field = path if name == "non_field_errors" else f"{path}.{name}" if path else str(name)
            yield from _flat(inner, field)
    elif isinstance(detail, (list, tuple)):
        for index, inner in enumerate(detail):
            nested = isinstance(inner, (Mapping, list, tuple))
            if not nested or inner:
                yield from _flat(inner, f"{path}[{index}]" if nested and len(detail) > 1 else path)
    else:
        yield path, str(detail)


def _django_fields(error: django_errors.ValidationError) -> list[tuple[str, str]]:
    if not hasattr(error, "error_dict"):
        return [("", text) for text in error.messages]
    return [
        ("" if field == django_errors.NON_FIELD_ERRORS else field, text)
        for field, texts in error.message_dict.items()
        for text in texts
    ]


def _sentence(text: str) -> str:
    return f"{text}." if text and text[-1].isalnum() else text


def is_program(request: HttpRequest) -> bool:
    """True for addresses that programs call: they get problem documents, people get pages."""
    return request.path.startswith(PATHS) and not request.path.startswith(READ_BY_PEOPLE)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's hook for a suspicious request."""
    if not is_program(request):
        return defaults.bad_request(request, exception)
    return from_error(exception) or problem("invalid-request", "The request is malformed.")


def handler403(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's hook for what is not allowed."""
    if not is_program(request):
        return defaults.permission_denied(request, exception)
    return problem("forbidden", _sentence(str(exception)) or "You may not do this.")


def handler404(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's hook for an address that leads nowhere."""
    if not is_program(request):
        return defaults.page_not_found(request, exception)
    return problem("not-found", f"There is nothing at {request.path}")


def _fault_page(request: HttpRequest, instance: str) -> HttpResponseBase:
    """The page that tells of a fault, with the way on; without that, where drawing it meets the same fault."""
    said = {"reference": instance}
    try:
        return HttpResponse(loader.render_to_string("500.html", said, request), status=500)
    except Exception:  # whatever it is: the answer must be a page
        log.exception("the page that tells of it met a fault, too")
        return HttpResponse(loader.render_to_string("fault.html", said), status=500)


def handler500(request: HttpRequest) -> HttpResponseBase:
    """Django's hook for a fault; its cause has been logged just before."""
    instance = f"urn:uuid:{uuid4()}"
    log.error("that was %s", instance)
    if not is_program(request):
        return _fault_page(request, instance)
    return problem(
        "fault", "The request met a fault of the platform; nothing is wrong with it.", instance=instance
    )
