"""Kinds of fields that the API writes in its own way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty

from ferris.moments import stamp

OPTIONAL: dict[str, Any] = {
    "required": False,
    "default": "",
    "allow_blank": True,
}  # of a text that may be left out


class Time(serializers.DateTimeField):
    """RFC 3339 in UTC with milliseconds: 2026-01-02T03:04:05.678Z. Takes any RFC 3339 time; without a zone it
    is UTC."""

    def __init__(self, **options: Any) -> None:
        super().__init__(default_timezone=UTC, **options)

    def to_representation(self, value: datetime | None) -> str | None:
        return None if value is None else stamp(value)


class Text(serializers.CharField):
    """A text that is null when it is empty."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_null=True, **options)

    def to_representation(self, value: Any) -> str | None:
        return str(value) if value else None


class TextIn(serializers.CharField):
    """A text that may be left out or empty. Shown as `Text` it is null then, and so null is taken for empty."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, allow_blank=True, allow_null=True, **options)

    def run_validation(self, data: Any = empty) -> Any:
        return super().run_validation("" if data is None else data)


class ExplainedChoice(serializers.ChoiceField):
    """A choice whose labels say what the values mean; the schema's descriptions have them."""

    def __init__(self, choices: Any, *, help_text: str = "", **options: Any) -> None:
        meanings = "\n".join(f"* `{value}`: {label}" for value, label in dict(choices).items() if value)
        super().__init__(choices, help_text=f"{help_text}\n\n{meanings}".strip(), **options)


class Number(serializers.FloatField):
    """A number as it was given: 3 stays 3."""

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(OpenApiTypes.ANY)
class AnyJson(serializers.JSONField):
    """Any JSON value."""


@extend_schema_field({"type": "object", "additionalProperties": {}})
class JsonObject(serializers.JSONField):
    """A JSON object with any members."""


class Page(serializers.Serializer):
    """One page of a list; sub-classes say of what."""

    next = serializers.URLField(allow_null=True, help_text="The next page; null: this is the last one.")
    previous = serializers.URLField(allow_null=True)
