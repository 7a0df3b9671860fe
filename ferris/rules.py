"""A CloudEvents SQL expression as what a trigger asks of an event, beside filters: with clauses for the index.

Of the parts that AND joins, those that compare an attribute with literals are clauses: `a = 'x'`, `a IN ('x')`,
`a LIKE 'x%'`, `a < 5`, `EXISTS a`, and what OR makes of such. An event that passes meets every one of them, as
an error in any part lets nothing pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

from ferris.cesql import Expression, attributes_of, compile_node
from ferris.cesql_functions import Failure, to_integer, to_text
from ferris.cesql_syntax import (
    Attribute,
    Binary,
    Exists,
    In,
    Like,
    Literal,
    Node,
    SyntaxProblem,
    Value,
)  # fmt: skip
from ferris.filters import ABSENT, Clause, Look, Path
from ferris.predicates import FilterError, Posting, key_of

TEXT: Final = "text:"
INTEGER: Final = "integer:"
"""Before an attribute's name: its value cast to that type."""
_TEXTS: Final = frozenset({"id", "source", "type", "subject", "datacontenttype", "dataschema"})


class CesqlRule:
    """A compiled expression over the attributes of events."""

    __slots__ = ("__weakref__", "_expression")

    exact = False

    def __init__(self, text: Any) -> None:
        """FilterError when it is no expression, or one that nothing can pass; its path is empty."""
        if not isinstance(text, str) or not text.strip():
            raise FilterError(
                "", "is no text; expected an expression of CloudEvents SQL such as \"subject = 'x'\""
            )
        try:
            self._expression = Expression(text)
        except SyntaxProblem as error:
            raise FilterError("", str(error)) from None
        problem = self._expression.problem()
        if problem is not None:
            raise FilterError("", f"at position {problem[0]}: {problem[1]}")
        data = [name for name in ("data", "data_base64") if name in attributes_of(self._expression.tree)]
        if data:
            raise FilterError(
                "",
                f"names {data[0]}, which CloudEvents SQL cannot see; expected attributes only, or a filter instead",
            )

    def passes(self, look: Look) -> bool:
        return self._expression.passes(getter(look))

    def reason(self, look: Look) -> tuple[str, Any, Any] | None:
        """Why it does not pass: the expression, and what the event holds of the part that fails first."""
        get = getter(look)
        result = self._expression.evaluate(get)
        if result.passes:
            return None
        seen: dict[str, Any] = {}
        for part in _conjuncts(self._expression.tree):
            seen = {name: ABSENT if (value := get(name)) is None else value for name in attributes_of(part)}
            try:
                if compile_node(part)(get) is not True:
                    break
            except Failure:
                break
        return "cesql", self._expression.text, seen

    def clauses(self) -> Iterator[Clause]:
        for part in _conjuncts(self._expression.tree):
            clause = _clause(part)
            if clause is not None:
                yield clause


def getter(look: Look) -> Any:
    """The attributes of an event as an expression sees them: None where there is none."""

    def get(name: str) -> Value | None:
        if name == "data":
            return None
        value = look(name)
        return None if value is ABSENT else value

    return get


def cast(look: Look, name: str) -> Any:
    """What an index finds under `text:…` and `integer:…`."""
    kind, _, attribute = name.partition(":")
    value = look(attribute)
    if value is ABSENT or attribute == "data":
        return ABSENT
    if kind == "text":
        return to_text(value)
    try:
        return to_integer(value)
    except Failure:
        return ABSENT


def _conjuncts(tree: Node) -> Iterator[Node]:
    """AND, OR and XOR are of one precedence, from left to right: only an AND at the very top joins parts."""
    if isinstance(tree, Binary) and tree.sign == "AND":
        yield from _conjuncts(tree.left)
        yield from _conjuncts(tree.right)
    else:
        yield tree


def _clause(node: Node) -> Clause | None:
    match node:
        case Binary("OR", left, right):
            first, second = _clause(left), _clause(right)
            return None if first is None or second is None else first + second
        case Binary("AND", left, right):
            return _clause(left) or _clause(right)
        case Exists(name):
            return [(_text(name), ("present", None))]
        case Like(Attribute(name), pattern):
            return [(_text(name), _like(pattern))]
        case In(Attribute(name), items) if all(isinstance(item, Literal) for item in items):
            texts = [to_text(item.value) for item in items if isinstance(item, Literal)]
            # an integer or a boolean in the event casts the items to its own type: '01' is 1 then
            plain = all(not re.fullmatch(r"[+-]?[0-9]+|(?i:true|false)", text) for text in texts)
            return [(_text(name), ("equal", text)) for text in texts] if plain else None
        case Binary(sign, Attribute(name), Literal(value)):
            return _comparison(sign, name, value)
    return None


def _comparison(sign: str, name: str, value: Value) -> Clause | None:
    if sign == "=" and type(value) is str:
        return [(_text(name), ("equal", value))]
    if type(value) is int:
        ranges: dict[str, Posting] = {
            "=": ("equal", key_of(value)),
            "<": ("between", (-math.inf, value)),
            "<=": ("between", (-math.inf, value)),
            ">": ("between", (value, math.inf)),
            ">=": ("between", (value, math.inf)),
        }
        return [((INTEGER + name,), ranges[sign])] if sign in ranges else None
    return None


def _text(name: str) -> Path:
    """Where the attribute's value as a text is found. What is always a text is found with the filters."""
    return (name if name in _TEXTS else TEXT + name,)


def _like(pattern: str) -> Posting:
    """The longest of the texts at the beginning, at the end, and between the wildcards."""
    parts = [""]
    for letter in re.findall(r"\\[%_]|.", pattern, re.DOTALL):
        if letter in ("%", "_"):
            parts.append("")
        else:
            parts[-1] += letter[-1]
    if len(parts) == 1:
        return "equal", parts[0]
    offers = [("prefix", parts[0]), ("suffix", parts[-1]), *(("contains", part) for part in parts[1:-1])]
    best = max(offers, key=lambda offer: len(offer[1]))
    return best if best[1] else ("present", None)
