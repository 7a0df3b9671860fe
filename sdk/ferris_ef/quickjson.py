"""JSON by the C code of the standard library's `json`, without its Python part.

Importing `json` compiles regular expressions; a short script spends more time on that than on itself. Where the
C code is missing or called in another way, `json` does the work.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BLANK = " \t\r\n"


class _Decoding:
    """What the C scanner asks of a decoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str] = {}

    @staticmethod
    def parse_constant(name: str) -> float:
        return float(name.replace("Infinity", "inf"))


def loads(text: str) -> Any:
    """The value of a JSON text; ValueError."""
    try:
        from _json import make_scanner

        start, end = 0, len(text)
        while start < end and text[start] in _BLANK:
            start += 1
        value, stop = make_scanner(_Decoding)(text, start)  # type: ignore[arg-type]
        if not text[stop:].strip(_BLANK):
            return value
    except (ImportError, TypeError, AttributeError, ValueError, StopIteration, SystemError):
        pass
    from json import loads as slowly  # it also says best what is wrong

    return slowly(text)


def dumps(value: Any) -> str:
    """The JSON text of a value, in one line; TypeError or ValueError for what JSON cannot say (NaN, too)."""
    try:
        from _json import encode_basestring_ascii, make_encoder

        encode = make_encoder({}, _refuse, encode_basestring_ascii, None, ":", ",", False, False, False)
    except (ImportError, TypeError):
        from json import dumps as slowly

        return slowly(value, separators=(",", ":"), allow_nan=False)
    return "".join(encode(value, 0))


def _refuse(value: object) -> object:
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON: {value!r:.100}")
