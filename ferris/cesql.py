"""CloudEvents SQL 1.0.0: expressions over an event's attributes, as the other form of a filter.

Evaluation is the specification's fail fast mode: the first error ends it, and the value beside the error is
the zero value of what the expression returns (`false`, `0`, `''`), or what the failing function says itself.
An event passes when the value is true and there is no error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ferris.cesql_syntax import (
    LARGEST,
    SMALLEST,
    Attribute,
    Binary,
    Call,
    Exists,
    In,
    Like,
    Literal,
    Node,
    SyntaxProblem,
    Unary,
    Value,
    parse,
)

__all__ = ["Expression", "Result", "SyntaxProblem", "compile_expression"]

Get = Callable[[str], Value | None]
"""An attribute's value by its name; None when the event has none."""
Run = Callable[[Get], Value]


class Failure(Exception):
    """An error of evaluation, by the specification's kinds. `value` is what its node returns beside it."""

    def __init__(self, kind: str, problem: str, node: Node | None = None, value: Value = False) -> None:
        super().__init__(f"{kind}: {problem}")
        self.kind, self.problem, self.node, self.value = kind, problem, node, value


@dataclass(frozen=True, slots=True)
class Result:
    """A value, and the error that came with it: `kind: what happened`."""

    value: Value
    error: str | None = None

    @property
    def passes(self) -> bool:
        return self.value is True and self.error is None


class Expression:
    """A compiled expression. Equal texts evaluate alike."""

    __slots__ = ("_run", "text", "tree")

    def __init__(self, text: str) -> None:
        self.text, self.tree = text, parse(text)
        self._run = compile_node(self.tree)

    def evaluate(self, get: Get) -> Result:
        try:
            return Result(self._run(get))
        except Failure as failure:
            value = failure.value if failure.node is self.tree else _zero(self.tree)
            return Result(value, str(failure))

    def passes(self, get: Get) -> bool:
        try:
            return self._run(get) is True
        except Failure:
            return False

    def problem(self) -> tuple[int, str] | None:
        """Why no event can ever pass, with the position: an unknown function, or no boolean result."""
        for node in _nodes(self.tree):
            if isinstance(node, Call) and _function(node) is None:
                return node.position, _unknown(node)
        if _type(self.tree) in (int, str):
            kind = "an integer" if _type(self.tree) is int else "a string"
            return 1, f"the expression returns {kind}; expected a boolean, as a comparison gives"
        return None


def compile_expression(text: str) -> Expression:
    """The expression as something to evaluate; SyntaxProblem says where it is none."""
    return Expression(text)


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


_CASTS: Final[dict[type, Callable[[Value], Value]]] = {str: to_text, int: to_integer, bool: to_boolean}


# --- evaluation ------------------------------------------------------------------------------------


def compile_node(node: Node) -> Run:
    match node:
        case Literal(value):
            return lambda get: value
        case Attribute(name):
            return _attribute(name)
        case Exists(name):
            return lambda get: get(name) is not None
        case Unary(sign, operand):
            return _unary(sign, compile_node(operand))
        case Like(operand, pattern):
            return _like(compile_node(operand), pattern)
        case In(operand, items):
            return _in(compile_node(operand), tuple(map(compile_node, items)))
        case Binary(sign, left, right):
            return _BINARY[sign](compile_node(left), compile_node(right))
        case Call():
            return _call(node)


def _attribute(name: str) -> Run:
    def run(get: Get) -> Value:
        value = get(name)
        if value is None:
            raise Failure("missingAttribute", f"the event has no attribute {name}")
        return value

    return run


def _unary(sign: str, operand: Run) -> Run:
    if sign == "NOT":
        return lambda get: not to_boolean(operand(get))
    return lambda get: _within(-to_integer(operand(get)))


def _like(operand: Run, pattern: str) -> Run:
    matches: Any = None  # made when it is first needed: most expressions of a table are never evaluated

    def run(get: Get) -> Value:
        nonlocal matches
        text = to_text(operand(get))
        if matches is None:
            matches = like_pattern(pattern).fullmatch
        return matches(text) is not None

    return run


def like_pattern(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\\[%_]|.", pattern, re.DOTALL)
    translated = ("." if part == "_" else ".*" if part == "%" else re.escape(part[-1]) for part in parts)
    return re.compile(re.sub(r"(\.\*)+", ".*", "".join(translated)), re.DOTALL)


def _in(operand: Run, items: tuple[Run, ...]) -> Run:
    def run(get: Get) -> Value:
        value = operand(get)
        cast = _CASTS[type(value)]
        return any(cast(item(get)) == value for item in items)

    return run


def _equal(left: Run, right: Run) -> Run:
    """Both are evaluated before the left one is cast to the type of the right one."""

    def run(get: Get) -> Value:
        first, second = left(get), right(get)
        return _CASTS[type(second)](first) == second

    return run


def _unequal(left: Run, right: Run) -> Run:
    equal = _equal(left, right)
    return lambda get: not equal(get)


def _and(left: Run, right: Run) -> Run:
    return lambda get: to_boolean(left(get)) and to_boolean(right(get))


def _or(left: Run, right: Run) -> Run:
    return lambda get: to_boolean(left(get)) or to_boolean(right(get))


def _xor(left: Run, right: Run) -> Run:
    def run(get: Get) -> Value:
        first, second = left(get), right(get)
        return to_boolean(first) is not to_boolean(second)

    return run


def _integers(compute: Callable[[int, int], Value]) -> Callable[[Run, Run], Run]:
    def compiled(left: Run, right: Run) -> Run:
        def run(get: Get) -> Value:
            first, second = left(get), right(get)
            return compute(to_integer(first), to_integer(second))

        return run

    return compiled


def _within(number: int) -> int:
    if SMALLEST <= number <= LARGEST:
        return number
    raise Failure("math", f"{number} is no integer of 32 bits")


def _quotient(first: int, second: int) -> int:
    if second == 0:
        raise Failure("math", "division by zero")
    quotient = abs(first) // abs(second)
    return _within(quotient if (first < 0) == (second < 0) else -quotient)


def _remainder(first: int, second: int) -> int:
    if second == 0:
        raise Failure("math", "division by zero")
    return abs(first) % abs(second) * (-1 if first < 0 else 1)


_BINARY: Final[dict[str, Callable[[Run, Run], Run]]] = {
    "AND": _and,
    "OR": _or,
    "XOR": _xor,
    "=": _equal,
    "!=": _unequal,
    "<": _integers(lambda x, y: x < y),
    "<=": _integers(lambda x, y: x <= y),
    ">": _integers(lambda x, y: x > y),
    ">=": _integers(lambda x, y: x >= y),
    "+": _integers(lambda x, y: _within(x + y)),
    "-": _integers(lambda x, y: _within(x - y)),
    "*": _integers(lambda x, y: _within(x * y)),
    "/": _integers(_quotient),
    "%": _integers(_remainder),
}


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


def _function(node: Call) -> _Function | None:
    count = len(node.arguments)
    for function in _FUNCTIONS.get(node.name, ()):
        if len(function.takes) == count or (function.more and len(function.takes) < count):
            return function
    return None


def _unknown(node: Call) -> str:
    if node.name in _FUNCTIONS:
        return f"{node.name} does not take {len(node.arguments)} arguments"
    return f"there is no function {node.name}; expected one of {', '.join(_FUNCTIONS)}"


def _call(node: Call) -> Run:
    function = _function(node)
    if function is None:
        missing = _unknown(node)

        def fail(get: Get) -> Value:
            raise Failure("missingFunction", missing)

        return fail
    types = function.takes + (str,) * (len(node.arguments) - len(function.takes))
    pairs = [
        (compile_node(item), _CASTS[kind] if kind else None)
        for item, kind in zip(node.arguments, types, strict=True)
    ]
    compute = function.compute

    def run(get: Get) -> Value:
        values = [cast(item(get)) if cast else item(get) for item, cast in pairs]
        try:
            return compute(*values)
        except Failure as failure:
            failure.node = node
            if failure.kind == "cast":
                failure.value = _zero(node)
            raise

    return run


# --- what is known beforehand ----------------------------------------------------------------------


def _type(node: Node) -> type | None:
    """What the expression returns; None where only the event can tell."""
    match node:
        case Literal(value):
            return type(value)
        case Attribute():
            return None
        case Unary(sign, _):
            return bool if sign == "NOT" else int
        case Binary(sign, _, _):
            return int if sign in "+-*/%" else bool
        case Call():
            function = _function(node)
            return bool if function is None else function.returns
    return bool


def _zero(node: Node) -> Value:
    kind = _type(node)
    return False if kind is None else kind()


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    match node:
        case Unary(_, operand) | Like(operand, _):
            yield from _nodes(operand)
        case Binary(_, left, right):
            yield from _nodes(left)
            yield from _nodes(right)
        case In(operand, items):
            for item in (operand, *items):
                yield from _nodes(item)
        case Call(_, arguments, _):
            for item in arguments:
                yield from _nodes(item)


def attributes_of(node: Node) -> dict[str, Any]:
    """The attributes an expression names, in order."""
    return {inner.name: None for inner in _nodes(node) if isinstance(inner, Attribute | Exists)}
