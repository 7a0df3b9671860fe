"""Examples in the API's OpenAPI document: by the names of fields, which mean the same wherever they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

TEXTS: Final[Mapping[str, str]] = {
    "action": "service.run",
    "actor": "ada",
    "author": "Ada Lovelace <ada@example.org>",
    "branch": "main",
    "bucket": "reports",
    "cesql": "data.total > 100",
    "clause": "data.total",
    "commit": "3f2a9c41d5e8b7064c1d2e3f4a5b6c7d8e9f0a1b",
    "content_type": "text/csv",
    "correlation_id": "ABCDEF1234_01",
    "created_by": "ada",
    "datacontenttype": "application/json",
    "description": "Charges the card of an order",
    "detail": "The field `total` is missing.",
    "error": "ValueError: the total is negative",
    "event_id": "b1f0c7d2-order-1042",
    "event_type": "shop.order.placed",
    "fingerprint": "9f8e7d6c5b4a",
    "flow_id": "ABCDEF1234",
    "folder": "services",
    "group": "router",
    "host": "executor-1",
    "key": "2026/may.csv",
    "lane": "default",
    "last_problem": "HTTP 503",
    "message": "120 rows were loaded",
    "name": "charge_card",
    "parent_execution_id": "0b3c1f7e-6f0c-4c62-9a53-0f3f8f1d2a77",
    "paused_by": "ada",
    "problem": "expected a number",
    "project": "shop",
    "reason": "script_failed",
    "receiver": "https://example.org",
    "requirements": "requests==2.32.3",
    "role": "operator",
    "root_type": "shop.order.placed",
    "schedule": "0 6 * * 1-5",
    "scope": "run",
    "script": "run.py",
    "service": "charge_card",
    "source": "/shop",
    "step": "run.py",
    "subject": "order 1042",
    "text": "must be a whole number from 1 to 10",
    "timezone": "Europe/Berlin",
    "title": "Not found",
    "topic": "ferris.events",
    "trigger": "shop.order.placed",
    "trigger_type": "triggered",
    "type": "shop.order.placed",
    "username": "ada",
    "why": "its filter is not met: data.total is 80",
    "worker": "executor-1:4",
}
NUMBERS: Final[Mapping[str, int]] = {
    "attempt": 1, "attempts": 1, "count": 3, "exit_code": 1, "hops": 1, "index": 0, "limit": 50, "matched": 1,
    "number": 7, "offset": 1042, "partition": 0, "priority": 5, "size": 2048, "timeout_seconds": 15, "version": 7,
}  # fmt: skip
_OBJECTS: Final[Mapping[str, Any]] = {
    "data": {"order": 1042, "total": 120},
    "filter": {"data.total": {"gt": 100}},
    "parameters": {"order": 1042},
}
_FORMATS: Final[Mapping[str, str]] = {
    "date-time": "2026-05-04T06:00:00.000Z",
    "uuid": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
}


def with_examples(result: dict[str, Any], **context: Any) -> dict[str, Any]:
    """Each field of a shape that is known by its name or format has an example."""
    for shape in result["components"]["schemas"].values():
        for name, field in shape.get("properties", {}).items():
            found = example_of(name, field)
            if found is not None:
                field["examples"] = [found]
    return result


def example_of(name: str, field: Mapping[str, Any]) -> Any:
    """A value that the field may have; None: none is known."""
    if {"$ref", "allOf", "oneOf", "enum", "default", "const", "examples"} & field.keys():
        return None
    kinds = field.get("type", [])
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if "string" in kinds:
        return _FORMATS.get(field["format"]) if "format" in field else TEXTS.get(name)
    if "integer" in kinds:
        return NUMBERS.get(name)
    return _OBJECTS.get(name) if not kinds or "object" in kinds else None
