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

from ferris.cesql_functions import CASTS, Failure, function_of, to_boolean, to_integer, to_text, unknown
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
            if isinstance(node, Call) and function_of(node) is None:
                return node.position, unknown(node)
        if _type(self.tree) in (int, str):
            kind = "an integer" if _type(self.tree) is int else "a string"
            return 1, f"the expression returns {kind}; expected a boolean, as a comparison gives"
        return None


def compile_expression(text: str) -> Expression:
    """The expression as something to evaluate; SyntaxProblem says where it is none."""
    return Expression(text)


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
    if "_" not in pattern and "\\" not in pattern:
        return _like_pieces(operand, pattern)
    matches: Any = None  # made when it is first needed: most expressions of a table are never evaluated

    def run(get: Get) -> Value:
        nonlocal matches
        text = to_text(operand(get))
        if matches is None:
            matches = like_pattern(pattern).fullmatch
        return matches(text) is not None

    return run


def _like_pieces(operand: Run, pattern: str) -> Run:
    """LIKE with no other wildcard than %: to compile a regular expression costs more than many uses."""
    first, *middle = pattern.split("%")
    last = middle.pop() if middle else None
    least = len(first) + len(last or "")

    def run(get: Get) -> Value:
        text = to_text(operand(get))
        if last is None:
            return text == first
        if len(text) < least or not text.startswith(first) or not text.endswith(last):
            return False
        at, end = len(first), len(text) - len(last)
        for part in middle:
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return run


def like_pattern(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\\[%_]|.", pattern, re.DOTALL)
    translated = ("." if part == "_" else ".*" if part == "%" else re.escape(part[-1]) for part in parts)
    return re.compile(re.sub(r"(\.\*)+", ".*", "".join(translated)), re.DOTALL)


def _in(operand: Run, items: tuple[Run, ...]) -> Run:
    def run(get: Get) -> Value:
        value = operand(get)
        cast = CASTS[type(value)]
        return any(cast(item(get)) == value for item in items)

    return run


def _equal(left: Run, right: Run) -> Run:
    """Both are evaluated before the left one is cast to the type of the right one."""

    def run(get: Get) -> Value:
        first, second = left(get), right(get)
        return CASTS[type(second)](first) == second

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


def _call(node: Call) -> Run:
    function = function_of(node)
    if function is None:
        missing = unknown(node)

        def fail(get: Get) -> Value:
            raise Failure("missingFunction", missing)

        return fail
    types = function.takes + (str,) * (len(node.arguments) - len(function.takes))
    pairs = [
        (compile_node(item), CASTS[kind] if kind else None)
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
            function = function_of(node)
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
