"""Is the process alive, and can it do its work? The looks are the doctor's quick ones."""

from __future__ import annotations

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse

from ferris.moments import stamp
from ferris_web.api.authentication import known_user
from ferris_web.executions.checkup.readiness import READINESS as _readiness


def live(request: HttpRequest) -> HttpResponse:
    """GET /health/live: always 200 from a process that answers at all."""
    return JsonResponse({"status": "live"})


def ready(request: HttpRequest) -> HttpResponse:
    """GET /health/ready: 200 when every backend answers and the engine keeps up, else 503; which, is in the body."""
    checked_at, states = _readiness.look()
    fine = all(state.ok for state in states.values())
    tell = not fine and _may_know(request)
    body = {
        "status": "ready" if fine else "not ready",
        "checked_at": stamp(checked_at),
        "backends": {
            name: {
                "state": "ok" if state.ok else "failed",
                **state.facts,
                **({"problem": state.problem} if tell and state.problem else {}),
            }
            for name, state in states.items()
        },
    }
    headers = {"Cache-Control": "no-store", **({} if fine else {"Retry-After": "5"})}
    return JsonResponse(body, status=200 if fine else 503, headers=headers)


def _may_know(request: HttpRequest) -> bool:
    try:
        return known_user(request) is not None
    except DatabaseError:
        return False
