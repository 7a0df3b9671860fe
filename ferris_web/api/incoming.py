"""What a request says, checked: ValidationError names each wrong field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from ferris.documents import near
from ferris.parameters import Parameter, parse_parameters
from ferris_web.accounts.models import User
from ferris_web.catalog.models import Service

# What pages, files and streams understand beside the names of their list.
OF_LISTS = frozenset({"cursor", "limit", "form", "follow"})
_LONGEST_NAME = 100


def query_of(request: Request, form: type[Serializer]) -> dict[str, Any]:
    """The query parameters as `form` reads them, and no others; empty ones count as left out."""
    given = {name: value for name, value in request.query_params.items() if value != ""}
    return _checked(form(data=given), given.keys() - OF_LISTS)


def body_of(
    request: Request, form: type[Serializer], shown: type[Serializer] | None = None
) -> dict[str, Any]:
    """The body, a JSON object, as `form` reads it; no body counts as an empty object.

    Nothing in it is passed over but, for a PUT, what GET gave (`shown`): that may come back, changed, as a whole.
    """
    given = request.data if isinstance(request.data, Mapping) else {}
    return _checked(form(data=request.data), given.keys() - (shown().fields.keys() if shown else ()))


def only_new(request: Request) -> bool:
    """Whether a PUT is to make what it names and to change nothing (`If-None-Match: *`): of two at once one does."""
    return request.headers.get("If-None-Match", "").strip() == "*"


def known_only(given: Iterable[str], known: Iterable[str]) -> None:
    """ValidationError naming what is given and not known: passed over, a slip would ask for something else."""
    names = sorted(known)
    expected = f"is not known here; expected {', '.join(names) or 'nothing'}"
    wrong = [name for name in given if name not in names]
    if wrong:
        raise ValidationError({name[:_LONGEST_NAME]: expected + near(name, names) for name in wrong})


def _checked(form: Serializer, given: Iterable[str]) -> dict[str, Any]:
    known_only(given, form.fields)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


def parameters_of(service: Service, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the service's form takes them, with its defaults; without a form as they are."""
    fields = service.version.parameters if service.version is not None else []
    taken, messages = parse_parameters([Parameter.from_json(field) for field in fields], values)
    errors: dict[str, list[str]] = {}
    for message in messages:
        if message.level == "error":
            errors.setdefault(message.key, []).append(message.text)
    if errors:
        raise ValidationError({"parameters": errors})
    return taken


def actor_of(request: Request) -> User:
    """Who asks: every view is for known users only."""
    assert isinstance(request.user, User)
    return request.user
