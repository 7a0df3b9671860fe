"""Answers that are no page of a view: JSON of plain values, whatever they are, and files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson
from django.http import HttpResponse, StreamingHttpResponse
from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from ferris_web.executions.listings.export import FORMS


def answer(value: Any, status: int = 200) -> HttpResponse:
    """A JSON answer; null is `null` and not an empty body."""
    return HttpResponse(encode(value), status=status, content_type="application/json")


def encode(value: Any) -> bytes:
    """JSON of any value that was read from JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:  # integers of more than 64 bits, which a secret or a configuration may hold
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def form_of(request: Request) -> str:
    """In which form a file is asked for, `form`; ValidationError."""
    form = request.query_params.get("form", "jsonl")
    if form not in FORMS:
        raise ValidationError({"form": f"is {form[:40]!r}; expected {' or '.join(FORMS)}"})
    return form


def attachment(pieces: Iterator[bytes], name: str, form: str) -> StreamingHttpResponse:
    """A file that is written while it is read."""
    answer = StreamingHttpResponse(pieces, content_type=FORMS[form])
    name = f"ferris-{name}-{timezone.now():%Y%m%d-%H%M%S}.{form}"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
