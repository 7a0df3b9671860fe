"""Consul's key-value dialect (developer.hashicorp.com/consul/api-docs/kv), as far as scripts' libraries use it.

An execution reads `ferris.env`, its own service's configuration (with what project and platform give it) and state,
and writes that state. Everything else is 403, whether it exists or not. Sessions and locks are not offered.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse

from ferris.json_values import object_of
from ferris.ports import MAX_CONFIG_VALUE, Entry
from ferris.script_settings import SCRIPT_SETTINGS, script_settings
from ferris_web import wiring
from ferris_web.api import problems
from ferris_web.api.answers import answer, encode
from ferris_web.api.control.guard import Invalid, for_executions
from ferris_web.catalog.configs import configs_of
from ferris_web.executions.models import Execution
from ferris_web.executions.services.state import state_delete, state_key, state_put

_SESSIONS = ("acquire", "release")


@for_executions("GET", "PUT", "DELETE")
def key(request: HttpRequest, execution: Execution, key: str) -> HttpResponse:
    """/v1/kv/<key>, with ?raw ?recurse ?keys ?separator= to read, and ?cas= to write."""
    for name in _SESSIONS:
        if name in request.GET:
            raise Invalid(name, "sessions are not offered here; use cas")
    if request.method == "GET":
        return _read(request, execution, key)
    if key != state_key(execution.service):
        return problems.problem(
            "forbidden", f"An execution writes its own state only, which is {state_key(execution.service)}."
        )
    cas = _cas(request)
    now = datetime.now(UTC)
    if request.method == "DELETE":
        return answer(state_delete(execution.service, cas=cas, execution=execution, now=now))
    if len(request.body) > MAX_CONFIG_VALUE:
        return problems.problem("too-large", f"A value has at most {MAX_CONFIG_VALUE} bytes.")
    return answer(state_put(execution.service, request.body, cas=cas, execution=execution, now=now))


def _read(request: HttpRequest, execution: Execution, key: str) -> HttpResponse:
    allowed = (SCRIPT_SETTINGS, execution.service.name, state_key(execution.service))
    many = "recurse" in request.GET or "keys" in request.GET
    wanted = [name for name in allowed if name.startswith(key)] if many else [key]
    if not wanted or not set(wanted) <= set(allowed):
        return problems.problem(
            "forbidden", f"An execution reads {', '.join(allowed)}; {key!r} is none of these."
        )
    found = [entry for name in sorted(wanted) if (entry := _entry(name, execution)) is not None]
    if not found:
        return _indexed(HttpResponse(status=404))
    index = max(entry.index for entry in found)
    if "keys" in request.GET:
        return _indexed(answer(_keys(found, key, request.GET.get("separator", ""))), index)
    if "raw" in request.GET:
        # A browser must not take a script's value for a page.
        plain = HttpResponse(
            found[0].value,
            content_type="text/plain; charset=utf-8",
            headers={"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"},
        )
        return _indexed(plain, index)
    return _indexed(answer([_shown(entry) for entry in found]), index)


def _entry(name: str, execution: Execution) -> Entry | None:
    service = execution.service
    if name == service.name:
        return configs_of(service).entry(name, service.project.name)
    entry = wiring.config_store().get(name)
    if name != SCRIPT_SETTINGS:
        return entry
    settings = script_settings(wiring.config(), object_of(entry.value if entry else None))
    return Entry(name, encode(settings), entry.index if entry else 1)


def _shown(entry: Entry) -> dict[str, object]:
    """As Consul writes an entry. The store keeps one index per key, that of its last change."""
    return {
        "LockIndex": 0,
        "Key": entry.key,
        "Flags": 0,
        "Value": base64.b64encode(entry.value).decode() if entry.value else None,
        "CreateIndex": entry.index,
        "ModifyIndex": entry.index,
    }


def _keys(found: Sequence[Entry], prefix: str, separator: str) -> list[str]:
    """The keys, each only up to the first separator behind the prefix."""
    names = []
    for entry in found:
        at = entry.key.find(separator, len(prefix)) if separator else -1
        names.append(entry.key if at < 0 else entry.key[: at + len(separator)])
    return sorted(set(names))


def _cas(request: HttpRequest) -> int | None:
    text = request.GET.get("cas")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise Invalid("cas", f"is {text[:40]!r}; expected an index")
    return int(text)


def _indexed(response: HttpResponse, index: int | None = None) -> HttpResponse:
    """With the headers that Consul gives with what is read."""
    found = wiring.config_store().index() if index is None else index
    response.headers["X-Consul-Index"] = str(max(1, found))
    response.headers["X-Consul-KnownLeader"] = "true"
    response.headers["X-Consul-LastContact"] = "0"
    return response
