"""What the OpenAPI schema shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_TEXT = {"type": "string"}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {
            **_TEXT,
            "format": "uri",
            "description": "Address of a page that explains this kind of problem.",
        },
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "instance": {**_TEXT, "description": "Of a fault of ours: stands in the log beside its cause."},
        "errors": {
            "type": "array",
            "description": "What is wrong with which field.",
            "items": {
                "type": "object",
                "required": ["field", "problem"],
                "properties": {"field": _TEXT, "problem": _TEXT},
            },
        },
        "attribute": {**_TEXT, "description": "The part of an event that is at fault."},
        "index": {"type": "integer", "description": "Which event of a batch."},
    },
}

Endpoint = tuple[str, str, str, Callable[..., Any]]


def documented(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Each address once: with its last slash."""
    return [endpoint for endpoint in endpoints if endpoint[0].endswith("/")]


def with_nulls(result: dict[str, Any], **context: Any) -> dict[str, Any]:
    """Any value may be null already: `oneOf` of it and null would be true of no null."""
    _free(result)
    return result


def _free(part: Any) -> None:
    if isinstance(part, dict):
        if {} in part.get("oneOf", ()):
            del part["oneOf"]
        for inner in part.values():
            _free(inner)
    elif isinstance(part, list):
        for inner in part:
            _free(inner)


def with_problems(result: dict[str, Any], **context: Any) -> dict[str, Any]:
    """Every operation may answer with a problem document."""
    result["components"]["schemas"]["Problem"] = _PROBLEM
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"]["default"] = {
                "description": "A problem document (RFC 9457).",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
    return result
