"""The OpenAPI document, made once in a process, which takes a second of CPU: it is the same for everybody."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from django.utils import translation
from drf_spectacular.settings import spectacular_settings


@cache
def document() -> dict[str, Any]:
    """All of it, as JSON types. Not to be changed."""
    with translation.override("en"):
        generator = spectacular_settings.DEFAULT_GENERATOR_CLASS()
        return cast(dict[str, Any], generator.get_schema(public=True))
