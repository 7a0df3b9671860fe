"""Examples in the API's OpenAPI document: by the names of fields, which mean the same wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

TEXTS: Final[Mapping[str, str]] = {
    "action": "service.run",
    "actor": "ada",
    "added": "shop.order.paid",
    "address": "https://example.org/",
    "after": "ABCDEF1234",
    "agent": "curl/8.5",
    "artifact": "totals.json",
    "at": "2026-05-04T06:00:00.000Z",
    "author": "Ada Lovelace <ada@example.org>",
    "branch": "main",
    "bucket": "reports",
    "by": "ada",
    "cesql": "data.total > 100",
    "changed": "charge_card",
    "clause": "data.total",
    "client": "gateway-1",
    "closed_by": "ada",
    "columns": "total",
    "commit": "3f2a9c41d5e8b7064c1d2e3f4a5b6c7d8e9f0a1b",
    "content_type": "text/csv",
    "correlation_id": "ABCDEF1234_01",
    "created_by": "ada",
    "cursor": "cD0yMDI2LTA1LTA0",
    "datacontenttype": "application/json",
    "declared": "shop.order.paid",
    "description": "Charges the card of an order",
    "detail": "The field `total` is missing.",
    "difference": "@@ -1 +1 @@",
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "disabled_reason": "it answered 410",
    "drain_by": "ada",
    "error": "ValueError: the total is negative",
    "event_id": "b1f0c7d2-order-1042",
    "event_type": "shop.order.placed",
    "exit_reason": "exit",
    "file": "totals.csv",
    "fingerprint": "9f8e7d6c5b4a",
    "flow_id": "ABCDEF1234",
    "folder": "services",
    "group": "router",
    "group_path": "data.shop",
    "header": "Authorization",
    "header_secret": "partner",
    "hides": "platform",
    "host": "executor-1",
    "id_from": "data.id",
    "key": "2026/may.csv",
    "kind": "9f8e7d6c5b4a",
    "lane": "default",
    "lane_reason": "the service's own lane",
    "lanes": "default",
    "last_problem": "HTTP 503",
    "level": "error",
    "list": "executions",
    "message": "120 rows were loaded",
    "message_id": "msg_2b7e1516",
    "metric": "rows",
    "name": "charge_card",
    "note": "too long to compare",
    "output_events": "shop.order.paid",
    "owner": "shop",
    "parent_execution_id": "0b3c1f7e-6f0c-4c62-9a53-0f3f8f1d2a77",
    "path": "run.py",
    "paused_by": "ada",
    "pinned": "3f2a9c41d5e8b7064c1d2e3f4a5b6c7d8e9f0a1b",
    "prefix": "2026/",
    "priority_from": "the manifest",
    "problem": "expected a number",
    "project": "shop",
    "projects": "shop",
    "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI… shop",
    "query": "status=failed&service=charge_card",
    "range": "24h",
    "readme": "# Charges cards",
    "reason": "script_failed",
    "receiver": "https://example.org",
    "refused": "refund",
    "removed": "shop.order.paid",
    "requirements": "requests==2.32.3",
    "role": "operator",
    "root_type": "shop.order.placed",
    "saved": "for May",
    "saved_by": "ada",
    "schedule": "0 6 * * 1-5",
    "scope": "run",
    "scopes": "run",
    "script": "run.py",
    "scripts": "run.py",
    "secret": "partner",
    "service": "charge_card",
    "set_by": "ada",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "share": "shop-42",
    "source": "/shop",
    "step": "run.py",
    "subject": "order 1042",
    "tags": "billing",
    "target": "shop.order.paid",
    "targets": "discord://webhook-id/token",
    "text": "must be a whole number from 1 to 10",
    "timezone": "Europe/Berlin",
    "title": "Not found",
    "token": "frs_…",
    "topic": "ferris.events",
    "trigger": "shop.order.placed",
    "trigger_type": "triggered",
    "type": "shop.order.placed",
    "type_from": "data.event",
    "unchanged": "charge_card",
    "unit": "EUR",
    "url": "https://example.org/orders",
    "username": "ada",
    "value_path": "data.total",
    "via": "frs_ab12",
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
_OWN: Final[Mapping[tuple[str, str], Any]] = {
    ("BulkRequestRequest", "filter"): {"service": "charge_card", "status": "queued"},
    ("BulkRequestRequest", "expected"): 3,
    ("BulkJob", "filter"): {"service": "charge_card", "status": ["queued"]},
}
"""Of fields that mean something else in one shape than everywhere."""
_CONFIG: Final = {"currency": "EUR", "largest_total": 5000}
_CSV: Final = "order,total\n1042,120\n"
_RAW: Final[Mapping[str, Any]] = {
    "/api/v1/buckets/{bucket}/objects/{key}": _CSV,
    "/api/v1/events/": '{"order": 1042, "total": 120}',
    "/api/v1/executions/{id}/artifacts/{name}": _CSV,
    "/api/v1/executions/{id}/logs/file/": "2026-05-04T06:00:00.000Z run.py info 120 rows were loaded\n",
    "/api/v1/platform/config/": _CONFIG,
    "/api/v1/platform/ferris-env/": {"DB_HOST": "db.example.org", "DB_NAME": "sales"},
    "/api/v1/projects/{name}/config/": _CONFIG,
    "/api/v1/search/{kind}/records/{key}/": {
        "execution": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "attempt": 1, "seq": 7, "time": "2026-05-04T06:00:00.000Z",
        "step": "run.py", "stream": "stdout", "level": "info", "message": "120 rows were loaded",
        "service": "charge_card", "flow": "ABCDEF1234",
    },
    "/api/v1/services/{name}/config/": _CONFIG,
    "/api/v1/services/{name}/file/": "from ferris_ef import context\n\nprint(context.params.get(\"order\"))\n",
    "/api/v1/services/{name}/state/": {"last_order": 1042},
}  # fmt: skip
"""Bodies that are no shape of ours, by address: bytes, and values that may be anything."""
_TOLD: Final = ("text/csv", "text/event-stream")  # of these addresses, too, but each as its list has it
_ANYTHING: Final[tuple[Any, ...]] = (
    {},
    {"type": "string"},
    {"type": "string", "format": "binary"},
    {"type": "object", "additionalProperties": {}},
)
_NOTHING: Final[tuple[Any, ...]] = ({}, [{}])  # of what may be anything
_FORMATS: Final[Mapping[str, str]] = {
    "date-time": "2026-05-04T06:00:00.000Z",
    "uri": "https://ferris.example.org/api/v1/executions/?cursor=cD0yMDI2LTA1LTA0",
    "uuid": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
}


def with_examples(result: dict[str, Any], **context: Any) -> dict[str, Any]:
    """Each field of a shape that is known by its name or format has an example, and so has each body as a whole."""
    shapes = result["components"]["schemas"]
    for title, shape in shapes.items():
        for name, field in shape.get("properties", {}).items():
            found = _OWN.get((title, name)) or example_of(name, field)
            if found is not None:
                field["examples"] = [found]
    for address, example in _RAW.items():
        for kind, body in _bodies(result["paths"][address]):
            if body["schema"] in _ANYTHING and "examples" not in body and not kind.startswith(_TOLD):
                body["example"] = example
    for body in bodies(result):
        if "example" in body:
            continue
        whole = _whole("", body["schema"], shapes)
        if "examples" not in body and whole not in _NOTHING:
            body["example"] = whole
    return result


def bodies(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What is sent and answered as JSON, faults left out: those are alike."""
    for operations in result["paths"].values():
        for kind, body in _bodies(operations):
            if kind.endswith("json") and "schema" in body:
                yield body


def _bodies(operations: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Media type and body of all that is sent to an address and answered by it."""
    for operation in operations.values():
        if not isinstance(operation, dict):
            continue  # what all operations of an address have in common
        answers = operation["responses"]
        for one in (
            operation.get("requestBody", {}),
            *(answers[code] for code in answers if code != "default"),
        ):
            yield from one.get("content", {}).items()


def _whole(
    name: str, schema: Mapping[str, Any], shapes: Mapping[str, Any], within: tuple[str, ...] = ()
) -> Any:
    """A value that fits the schema, made of its fields' examples. `within`: the shapes that it stands in."""
    if "$ref" in schema:
        shape = schema["$ref"].rpartition("/")[2]
        return None if shape in within else _whole(name, shapes[shape], shapes, (*within, shape))
    if "allOf" in schema:
        parts = [_whole(name, part, shapes, within) for part in schema["allOf"]]
        return parts[0] if len(parts) == 1 else {key: part[key] for part in parts for key in part}
    for choice in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        return _whole(name, choice, shapes, within)
    for key in ("examples", "enum"):
        if key in schema:
            return schema[key][0]
    for key in ("const", "default"):
        if schema.get(key, "") != "":  # an empty text shows nothing
            return schema[key]
    found = example_of(name, {key: schema[key] for key in schema if key != "default"})
    return _made(name, schema, shapes, within) if found is None else found


def _made(name: str, schema: Mapping[str, Any], shapes: Mapping[str, Any], within: tuple[str, ...]) -> Any:
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "object":
        fields = schema.get("properties", {})
        return {field: _whole(field, of, shapes, within) for field, of in fields.items()}
    if kind == "array":
        return [_whole(name, schema["items"], shapes, within)]
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return {"boolean": True, "null": None}.get(kind, "text")


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
