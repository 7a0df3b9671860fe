"""Who calls the control API, what they send, and how errors go back."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from ferris.errors import FerrisError
from ferris_web import wiring
from ferris_web.accounts.services import bearer
from ferris_web.api import problems
from ferris_web.api.parsing import loads
from ferris_web.executions.models import Execution
from ferris_web.executions.services import token_execution

View = Callable[..., HttpResponse]


class Invalid(FerrisError):
    """A field of the body or a parameter is not what was expected."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field, self.problem = field, problem


def for_executors(*methods: str) -> Callable[[View], View]:
    """The view is for these methods and for who brings the executors' token."""

    def guard(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def guarded(request: HttpRequest, **arguments: Any) -> HttpResponse:
            expected = wiring.config().executor_token
            if not hmac.compare_digest((bearer(request) or "").encode(), expected.encode()):
                return problems.problem("not-authenticated", "The executors' token is missing or wrong.")
            return _called(view, methods, request, arguments)

        return guarded

    return guard


def for_executions(*methods: str) -> Callable[[View], View]:
    """The view is for these methods and for who brings the token of an execution in progress, which it gets as
    its second argument."""

    def guard(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def guarded(request: HttpRequest, **arguments: Any) -> HttpResponse:
            execution = _execution(bearer(request))
            if execution is None:
                return problems.problem(
                    "not-authenticated",
                    "The execution's token is missing or wrong, or the execution has ended.",
                )
            return _called(view, methods, request, {"execution": execution, **arguments})

        return guarded

    return guard


def _execution(token: str | None) -> Execution | None:
    return token_execution(token) if token and token.isascii() else None


def _called(
    view: View, methods: tuple[str, ...], request: HttpRequest, arguments: dict[str, Any]
) -> HttpResponse:
    if request.method not in methods:
        return problems.problem(
            "method-not-allowed",
            f"Not {request.method}, but {' or '.join(methods)}.",
            headers={"Allow": ", ".join(methods)},
        )
    try:
        return view(request, **arguments)
    except Invalid as error:
        return problems.invalid([(error.field, error.problem)])
    except Exception as error:
        answer = problems.from_error(error)
        if answer is None:
            raise
        return answer


def body_of(request: HttpRequest) -> dict[str, Any]:
    """The body: a JSON object, or a form, as older clients send. Invalid."""
    if request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return request.POST.dict()
    try:
        found = loads(request.body or b"{}")
    except ValueError as error:
        raise Invalid("", str(error)) from None
    if not isinstance(found, dict):
        raise Invalid("", "the body is no JSON object")
    return found


def text_of(said: dict[str, Any], name: str, *, longest: int, default: str | None = None) -> str:
    """A text that a body must have, unless there is a default. Invalid."""
    value = said.get(name, default)
    if not isinstance(value, str) or (not value and default is None) or len(value) > longest or "\0" in value:
        raise Invalid(name, f"expected a text of 1 to {longest} characters")
    return value
