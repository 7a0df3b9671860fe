"""What the OpenAPI schema shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
        "title": {**_TEXT},
        "status": {"type": "integer"},
        "detail": {**_TEXT},
        "instance": {**_TEXT, "description": "Of a fault of ours: stands in the log beside its cause."},
        "errors": {
            "type": "array",
            "description": "What is wrong with which field.",
            "items": {
                "type": "object",
                "required": ["field", "problem"],
                "properties": {"field": {**_TEXT}, "problem": {**_TEXT}},
            },
        },
        "attribute": {**_TEXT, "description": "The part of an event that is at fault."},
        "index": {"type": "integer", "description": "Which event of a batch."},
    },
}

Endpoint = tuple[str, str, str, Callable[..., Any]]


def documented(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Each address once: with its last slash, if it has one."""
    known = {endpoint[0] for endpoint in endpoints}
    return [endpoint for endpoint in endpoints if f"{endpoint[0]}/" not in known]


def _header(name: str, told: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": {**_TEXT}, "description": told}


_IF_MATCH = _header(
    "If-Match", "An `ETag` of this address: the change is made to that and to nothing else, else 412."
)
_IF_NONE_MATCH = _header("If-None-Match", "An `ETag` of this address: 304 while nothing has changed.")
_KEY = _header(
    "Idempotency-Key", "A text that is new for each request: sent again, it is not carried out again."
)


def with_headers(result: dict[str, Any], **context: Any) -> dict[str, Any]:
    """What every operation of a method understands."""
    for address, operations in result["paths"].items():
        if not address.startswith("/api/v1/"):
            continue
        for method, operation in operations.items():
            known = {one["name"] for one in operation.get("parameters", ())}
            for one in _understood(method, "get" in operations):
                if one["name"] not in known:
                    operation.setdefault("parameters", []).append(one)
    return result


def _understood(method: str, shown: bool) -> Iterator[dict[str, Any]]:
    if method == "get":
        yield _IF_NONE_MATCH
    elif method in ("put", "patch", "delete") and shown:
        yield _IF_MATCH
    if method in ("post", "patch"):
        yield _KEY


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
