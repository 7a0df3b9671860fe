"""The content of an event: JSON read strictly, base64, and what a content type says about bytes."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, Final, Never

from ferris.attributes import kind_of, shown
from ferris.errors import EventError
from ferris.json_text import python_said

MAX_DEPTH: Final = 64

_LARGEST = 1.7976931348623157e308
# Escapes (of NUL, of half a pair), numbers of 19 digits and exponents of three: what `check_value` refuses has one.
_SUSPECT = re.compile(rb"\\u|[0-9]{19}|[0-9][eE]\+?[0-9]{3}")
_JSON_TYPE = re.compile(r"(application|text)/([a-z0-9.\-]+\+)?json")


def check_value(value: Any, depth: int, attribute: str) -> None:
    """Refuse what a JSON text or a database cannot hold: it would fail later, where nobody can mend it."""
    kind = type(value)
    if kind is str:
        if "\0" in value:
            raise EventError(attribute, "holds the character NUL (\\u0000); expected text without it")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise EventError(
                    attribute, "holds half of a surrogate pair; expected whole characters"
                ) from None
    elif kind is dict:
        if depth > MAX_DEPTH:
            raise EventError(attribute, f"is nested deeper than {MAX_DEPTH} levels")
        for name, inner in value.items():
            if type(name) is not str:
                raise EventError(attribute, f"has the key {shown(name)}; expected texts as keys")
            check_value(name, depth, attribute)
            check_value(inner, depth + 1, attribute)
    elif kind is list or kind is tuple:
        if depth > MAX_DEPTH:
            raise EventError(attribute, f"is nested deeper than {MAX_DEPTH} levels")
        for inner in value:
            check_value(inner, depth + 1, attribute)
    elif kind is int:
        if not -(2**63) <= value < 2**64:
            raise EventError(attribute, "holds an integer of more than 64 bits; expected it as a text")
    elif kind is float and not -_LARGEST <= value <= _LARGEST:
        raise EventError(attribute, "holds a number that is not finite; expected null or a number")


def is_harmless(body: bytes) -> bool:
    """True for a text of JSON of which `check_value` refuses nothing, seen without a look at each value."""
    return _SUSPECT.search(body) is None and body.count(b"{") + body.count(b"[") < MAX_DEPTH


def decode_twice_encoded(data: str, content_type: Any) -> Any:
    """Published clients send an object as a text of JSON; any other text is what it is."""
    if not data.lstrip().startswith("{") or not is_json(content_type):
        return data
    try:
        decoded = _DECODER.decode(data)
    except json.JSONDecodeError:
        return data
    except (ValueError, RecursionError) as error:
        raise EventError("data", f"is a text of JSON that cannot be taken: {error}") from None
    check_value(decoded, 2, "data")
    return decoded


def from_base64(text: Any, content_type: Any) -> Any:
    if type(text) is not str:
        raise EventError("data_base64", f"is {kind_of(text)}; expected a text in base64")
    try:
        body = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise EventError("data_base64", f"is no base64: {error}") from None
    return body if content_type is None else content(body, content_type, "data_base64")


def content(body: bytes, content_type: Any, attribute: str) -> Any:
    """Bytes as what their content type says they are: JSON values, text, else bytes."""
    if not body:
        return None
    if is_json(content_type):
        value = load(body, attribute)
        check_value(value, 2, attribute)
        return decode_twice_encoded(value, content_type) if type(value) is str else value
    if str(content_type).lower().startswith("text/"):
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return body
        return body if "\0" in text else text
    return body


def is_json(content_type: Any) -> bool:
    """No content type means JSON (JSON event format section 3.1)."""
    return content_type is None or bool(_JSON_TYPE.fullmatch(media_type(str(content_type))))


def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is no number in JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def load(body: bytes, attribute: str) -> Any:
    """The JSON value in `body`; EventError of that attribute, with line and column."""
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise EventError(attribute, f"is not UTF-8 (byte {error.start}); expected JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        raise EventError(
            attribute, f"is no JSON: {python_said(error)} at line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError as error:
        raise EventError(attribute, f"is no JSON: {error}") from None
    except RecursionError:
        raise EventError(attribute, f"is nested deeper than {MAX_DEPTH} levels") from None
