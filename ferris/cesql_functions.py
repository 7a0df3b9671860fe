"""The built-in functions and the casts of CloudEvents SQL 1.0.0 (sections 3.5 and 3.7), and its errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ferris.cesql_syntax import LARGEST, SMALLEST, Call, Node, Value


class Failure(Exception):
    """An error of evaluation, by the specification's kinds. `value` is what its node returns beside it."""

    def __init__(self, kind: str, problem: str, node: Node | None = None, value: Value = False) -> None:
        super().__init__(f"{kind}: {problem}")
        self.kind, self.problem, self.node, self.value = kind, problem, node, value


# --- casts (section 3.7) ---------------------------------------------------------------------------

_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)


def to_text(value: Value) -> str:
    if type(value) is str:
        return value
    return str(value) if type(value) is int else "true" if value else "false"


def to_integer(value: Value) -> int:
    if type(value) is not str:
        return int(value)
    if _INTEGER.fullmatch(value) and len(value) < 100 and SMALLEST <= (number := int(value)) <= LARGEST:
        return number
    raise Failure("cast", f"{value[:60]!r} is no integer of 32 bits")


def to_boolean(value: Value) -> bool:
    if type(value) is not str:
        return bool(value)
    lower = value.lower()
    if lower in ("true", "false"):
        return lower == "true"
    raise Failure("cast", f"{value[:60]!r} is neither true nor false")


CASTS: Final[dict[type, Callable[[Value], Value]]] = {str: to_text, int: to_integer, bool: to_boolean}


# --- functions (section 3.5) -----------------------------------------------------------------------

# What Unicode calls White_Space; str.strip() alone takes the separators U+001C to U+001F as well.
_WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def _wrong(problem: str, value: Value) -> Failure:
    return Failure("functionEvaluation", problem, value=value)


def _left(text: str, count: int) -> str:
    if count < 0:
        raise _wrong(f"LEFT cannot take {count} characters", text)
    return text[:count]


def _right(text: str, count: int) -> str:
    if count < 0:
        raise _wrong(f"RIGHT cannot take {count} characters", text)
    return text[max(len(text) - count, 0) :]


def _substring(text: str, position: int, count: int | None = None) -> str:
    if not -len(text) <= position <= len(text):
        raise _wrong(f"SUBSTRING cannot begin at {position} of {len(text)} characters", "")
    if count is not None and count < 0:
        raise _wrong(f"SUBSTRING cannot take {count} characters", "")
    if position == 0:
        return ""
    start = position - 1 if position > 0 else len(text) + position
    return text[start:] if count is None else text[start : start + count]


def _abs(number: int) -> int:
    if number == SMALLEST:
        raise Failure("math", f"the absolute value of {number} is no integer of 32 bits", value=LARGEST)
    return abs(number)


def _castable(cast: Callable[[Value], Value]) -> Callable[[Value], bool]:
    def test(value: Value) -> bool:
        try:
            cast(value)
        except Failure:
            return False
        return True

    return test


@dataclass(frozen=True, slots=True)
class _Function:
    compute: Callable[..., Value]
    returns: type
    takes: tuple[type | None, ...]  # None: any type
    more: bool = False  # any number of further strings


_FUNCTIONS: Final[dict[str, tuple[_Function, ...]]] = {
    "LENGTH": (_Function(len, int, (str,)),),
    "CONCAT": (_Function(lambda *texts: "".join(texts), str, (), more=True),),
    "CONCAT_WS": (_Function(lambda glue, *texts: glue.join(texts), str, (str,), more=True),),
    "LOWER": (_Function(str.lower, str, (str,)),),
    "UPPER": (_Function(str.upper, str, (str,)),),
    "TRIM": (_Function(lambda text: text.strip(_WHITE), str, (str,)),),
    "LEFT": (_Function(_left, str, (str, int)),),
    "RIGHT": (_Function(_right, str, (str, int)),),
    "SUBSTRING": (_Function(_substring, str, (str, int)), _Function(_substring, str, (str, int, int))),
    "ABS": (_Function(_abs, int, (int,)),),
    "INT": (_Function(to_integer, int, (None,)),),
    "BOOL": (_Function(to_boolean, bool, (None,)),),
    "STRING": (_Function(to_text, str, (None,)),),
    "IS_INT": (_Function(_castable(to_integer), bool, (None,)),),
    "IS_BOOL": (_Function(_castable(to_boolean), bool, (None,)),),
}


def function_of(node: Call) -> _Function | None:
    count = len(node.arguments)
    for function in _FUNCTIONS.get(node.name, ()):
        if len(function.takes) == count or (function.more and len(function.takes) < count):
            return function
    return None


def unknown(node: Call) -> str:
    if node.name in _FUNCTIONS:
        return f"{node.name} does not take {len(node.arguments)} arguments"
    return f"there is no function {node.name}; expected one of {', '.join(_FUNCTIONS)}"
