"""JSON bodies: only what can be stored, encoded and told again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Never

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer

MAX_DEPTH: Final = 100


def loads(body: bytes) -> Any:
    """The JSON value; ValueError says what is wrong with the body.

    Refused, beside what is no JSON: NaN and Infinity, more than 100 levels, halves of surrogate pairs.
    """
    try:
        text = body.decode()
        value = json.loads(text, parse_constant=_refused)
    except UnicodeDecodeError as error:
        raise ValueError(f"the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise ValueError(f"the body is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise ValueError(f"the body is no JSON: {error}") from None
    if _deeper(value, MAX_DEPTH):
        raise ValueError(f"the body is nested deeper than {MAX_DEPTH} levels")
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("the body holds half of a surrogate pair") from None
    return value


def _refused(name: str) -> Never:
    raise ValueError(f"{name} is no number in JSON")


def _deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _deeper(part, levels - 1) for part in inner if isinstance(part, (dict, list)))


class JsonParser(BaseParser):
    """Bodies of the REST API. ParseError says what is wrong."""

    media_type = "application/json"
    renderer_class = JSONRenderer

    def parse(
        self, stream: Any, media_type: str | None = None, context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            return loads(stream.read())
        except ValueError as error:
            raise ParseError(f"{error}.") from None
