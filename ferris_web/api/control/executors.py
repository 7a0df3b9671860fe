"""Executors claim executions and keep their leases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from ferris.execution import ExecutionOrder
from ferris.isolation import LEVELS
from ferris.lanes import LANES
from ferris_web import wiring
from ferris_web.api.answers import answer
from ferris_web.api.control.guard import Invalid, body_of, for_executors, text_of
from ferris_web.executions.services import executions_claim, executions_heartbeat
from ferris_web.executions.services.workers import About, worker_seen

_MOST_RUNNING = 10_000
_MOST_CLAIMED = 100
_LONGEST_NAME = 255
_MOST_LAYERS = 50


@for_executors("POST")
def claim(request: HttpRequest) -> HttpResponse:
    """{"execution", "worker"} -> {"go": true, "order": {...}} once, for one of all who ask; else {"go": false,
    "reason"}. {"executions", "worker"} -> {"answers": [...]}, in their order."""
    said = body_of(request)
    several = said.get("executions")
    if several is None:
        wanted = [_id(said.get("execution"), "execution")]
    elif isinstance(several, list) and len(several) <= _MOST_CLAIMED:
        wanted = [_id(item, f"executions[{index}]") for index, item in enumerate(several)]
    else:
        raise Invalid("executions", f"expected a list of at most {_MOST_CLAIMED}")
    worker = text_of(said, "worker", longest=_LONGEST_NAME)
    orders = [_told(order) for order in executions_claim(wanted, worker, datetime.now(UTC))]
    return answer(orders[0] if several is None else {"answers": orders})


def _told(order: ExecutionOrder | str) -> dict[str, Any]:
    return (
        {"go": False, "reason": order} if isinstance(order, str) else {"go": True, "order": order.to_json()}
    )


@for_executors("POST")
def heartbeat(request: HttpRequest) -> HttpResponse:
    """{"worker", "executions": [{"id", "attempt"}]} -> {"stop": [{"id", "attempt", "why"}], "lease_seconds"}.

    With "about" {"lanes", "slots", "started_at", "stops", "leaves", "isolation"}, the answer has "drain", too.
    """
    said = body_of(request)
    worker = text_of(said, "worker", longest=_LONGEST_NAME)
    executions = said.get("executions")
    if not isinstance(executions, list) or len(executions) > _MOST_RUNNING:
        raise Invalid("executions", f"expected a list of at most {_MOST_RUNNING}")
    running = [_running(item, f"executions[{index}]") for index, item in enumerate(executions)]
    stop = executions_heartbeat(worker, running, datetime.now(UTC)) if running else []
    told: dict[str, Any] = {"stop": stop, "lease_seconds": wiring.config().lease_seconds}
    if said.get("about") is not None:
        told["drain"] = worker_seen(worker, _about(said["about"]), datetime.now(UTC))
    return answer(told)


def _about(said: Any) -> About:
    if not isinstance(said, dict):
        raise Invalid("about", 'expected {"lanes", "slots", "started_at"}')
    named, slots = said.get("lanes"), said.get("slots")
    if not isinstance(named, list) or any(lane not in LANES for lane in named):
        raise Invalid("about.lanes", f"expected a list of {', '.join(LANES)}")
    if type(slots) is not int or not 0 <= slots <= _MOST_RUNNING:
        raise Invalid("about.slots", f"expected a whole number up to {_MOST_RUNNING}")
    try:
        started_at = datetime.fromisoformat(said["started_at"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Invalid("about.started_at", "expected a time") from None
    return About(
        tuple(named),
        slots,
        started_at,
        said.get("stops") is True,
        said.get("leaves") is True,
        _isolation(said.get("isolation")),
    )


def _isolation(said: Any) -> dict[str, Any]:
    """{"level", "layers", "lacking", "builds"}; nothing of a worker that does not know yet, or is older."""
    if said is None:
        return {}
    layers, lacking = (said.get("layers"), said.get("lacking")) if isinstance(said, dict) else (None, None)
    builds = said.get("builds", []) if isinstance(said, dict) else None
    if (
        not isinstance(layers, list)
        or not isinstance(lacking, dict)
        or not isinstance(builds, list)
        or said.get("level") not in LEVELS
        or len(layers) + len(lacking) + len(builds) > _MOST_LAYERS
        or not all(isinstance(text, str) for text in (*layers, *lacking, *lacking.values(), *builds))
    ):
        raise Invalid("about.isolation", 'expected {"level", "layers", "lacking", "builds"}')
    return {
        "builds": [name[:_LONGEST_NAME] for name in builds],
        "level": said["level"],
        "layers": [name[:_LONGEST_NAME] for name in layers],
        "lacking": {name[:_LONGEST_NAME]: why[:_LONGEST_NAME] for name, why in lacking.items()},
    }


def _running(item: Any, field: str) -> tuple[UUID, int]:
    if not isinstance(item, dict):
        raise Invalid(field, 'expected {"id", "attempt"}')
    attempt = item.get("attempt")
    if type(attempt) is not int or not 0 < attempt < 2**31:
        raise Invalid(f"{field}.attempt", "expected a whole number from 1")
    return _id(item.get("id"), f"{field}.id"), attempt


def _id(value: Any, field: str) -> UUID:
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise Invalid(field, "expected an execution's id") from None
