"""The secrets dialect: `{SECRETS_API_URL}` of scripts' libraries."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from ferris_web.api import problems
from ferris_web.api.answers import answer
from ferris_web.api.control.guard import Invalid, body_of, for_executions, text_of
from ferris_web.catalog.models import Secret, Service
from ferris_web.catalog.secrets import secret_find, secret_set
from ferris_web.executions.models import Execution

_LONGEST = 255


def _own(execution: Execution, package_id: object) -> bool:
    """True when the caller names no service, or its own, by id or name."""
    service: Service = execution.service
    return package_id in (None, "", str(service.pk), service.name)


def _refusal() -> HttpResponse:
    return problems.problem("forbidden", "An execution sees the secrets of its own service only.")


@for_executions("GET")
def by_name(request: HttpRequest, execution: Execution) -> HttpResponse:
    """?name=&package_id= -> {"value": any JSON}: the service's, else its project's, else the platform's."""
    name = request.GET.get("name", "")
    if not name or len(name) > _LONGEST or "\0" in name:
        raise Invalid("name", f"expected a text of 1 to {_LONGEST} characters")
    if not _own(execution, request.GET.get("package_id")):
        return _refusal()
    value = secret_find(execution.service, name)
    if value is None:
        # Clients that look at the member and not at the status find no value there.
        return answer(problems.document("not-found", f"There is no secret {name!r}.") | {"value": None}, 404)
    return answer({"value": value})


@for_executions("POST")
def write(request: HttpRequest, execution: Execution) -> HttpResponse:
    """{"name", "value", "context": "project" or "platform", "package_id"}: sets it for the project or for all."""
    said = body_of(request)
    name = text_of(said, "name", longest=_LONGEST)
    context = text_of(said, "context", longest=20, default="project") or "project"
    if "value" not in said or said["value"] is None:
        raise Invalid("value", "is missing; expected any JSON value but null")
    if not _own(execution, said.get("package_id")):
        return _refusal()
    who: dict[str, Any] = {"by": execution.service.name, "execution": execution.pk}
    if context == "project":
        secret_set(Secret.Scope.PROJECT, name, said["value"], project=execution.service.project, **who)
    elif context == "platform":
        secret_set(Secret.Scope.PLATFORM, name, said["value"], **who)
    else:
        raise Invalid("context", 'expected "project" or "platform"')
    return answer({"name": name, "context": context})
