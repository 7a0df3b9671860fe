"""POST and PATCH with an Idempotency-Key are carried out once, and answered as often as they are sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.exceptions import Throttled

from ferris_web.accounts.models import User
from ferris_web.accounts.permissions import access_of
from ferris_web.accounts.repeats import (
    Kept,
    OtherRequest,
    UnderWay,
    Unreadable,
    repeat_begin,
    repeat_end,
    repeat_give_back,
)
from ferris_web.api import problems
from ferris_web.api.authentication import known_user
from ferris_web.api.throttle import taken_by, tell

HEADER: Final = "Idempotency-Key"
_METHODS: Final = ("POST", "PATCH")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_LARGEST: Final = 1024 * 1024
_KEPT: Final = ("Content-Type", "Location", "ETag")


class IdempotencyMiddleware:
    """For the REST API, and for callers who are known; all other requests pass through."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        key = request.headers.get(HEADER)
        if key is None or request.method not in _METHODS or not request.path.startswith("/api/v1/"):
            return self._get_response(request)
        key = key.strip().strip('"')
        if not _KEY.fullmatch(key):
            return problems.invalid([(HEADER, "expected 1 to 255 visible ASCII characters")])
        user = known_user(request)
        if user is None:
            return self._get_response(request)  # which refuses it
        try:
            kept = repeat_begin(user, key, _fingerprint(request, user), datetime.now(UTC))
        except OtherRequest:
            refused = problems.problem(
                "idempotency-key-reused", "The key was used for another request; take a new one."
            )
            return _counted(user.pk, refused)
        except UnderWay:
            refused = problems.problem(
                "idempotency-key-in-use",
                "The first request with this key is not answered yet.",
                headers={"Retry-After": "1"},
            )
            return _counted(user.pk, refused)
        except Unreadable:
            refused = problems.problem(
                "conflict",
                "The request was carried out, and its answer cannot be read any more: the encryption key is another. "
                "Look at what it made.",
            )
            return _counted(user.pk, refused)
        if kept is not None:
            again = HttpResponse(
                kept.body, status=kept.status, headers={**kept.headers, "Idempotency-Replayed": "true"}
            )
            return _counted(user.pk, again)
        try:
            answer = self._get_response(request)
        except BaseException:
            repeat_give_back(user, key)
            raise
        if _final(answer):
            headers = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
            repeat_end(user, key, Kept(answer.status_code, headers, answer.content))
        else:
            repeat_give_back(user, key)
        return answer


def _counted(caller: int, answer: HttpResponse) -> HttpResponse:
    """An answer for which no view is asked, counted like the others: past the limit 429 in its place."""
    taken = taken_by(caller)
    if taken is None:
        return answer
    if not taken.allowed:
        answer = problems.from_error(Throttled(taken.wait)) or answer
    tell(answer, taken)
    return answer


def _final(answer: HttpResponseBase) -> bool:
    """Whether sending the request again would mean the same answer, and it can be kept."""
    retried = answer.status_code >= 500 or answer.status_code in (401, 403, 408, 409, 425, 429)
    return isinstance(answer, HttpResponse) and not retried and len(answer.content) <= _LARGEST


def _fingerprint(request: HttpRequest, user: User) -> str:
    """Tells requests apart, those of tokens that may less than their person as well: an answer is for who was let."""
    digest = hashlib.sha256(f"{request.method} {request.get_full_path()}\0{request.content_type}\0".encode())
    access = access_of(user)
    if access.scopes is not None or access.only is not None:
        digest.update(
            f"{sorted(access.scopes or ())} {sorted(access.only or ())} {access.only is None}\0".encode()
        )
    digest.update(request.body)
    return digest.hexdigest()
