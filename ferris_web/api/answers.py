"""JSON answers of plain values, whatever they are."""

from __future__ import annotations

import json
from typing import Any

import orjson
from django.http import HttpResponse


def answer(value: Any, status: int = 200) -> HttpResponse:
    """A JSON answer; null is `null` and not an empty body."""
    return HttpResponse(encode(value), status=status, content_type="application/json")


def encode(value: Any) -> bytes:
    """JSON of any value that was read from JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:  # integers of more than 64 bits, which a secret or a configuration may hold
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
