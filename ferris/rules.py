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

from ferris.cesql import Expression, Run, attributes_of, compile_node
from ferris.cesql_functions import Failure, to_boolean, to_integer, to_text
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
from ferris.conditions import ABSENT, Clause, Look, Path
from ferris.predicates import FilterError, Posting, key_of

TEXT: Final = "text:"
INTEGER: Final = "integer:"
"""Before an attribute's name: its value cast to that type."""
_TEXTS: Final = frozenset({"id", "source", "type", "subject", "datacontenttype", "dataschema"})


class CesqlRule:
    """A compiled expression over the attributes of events."""

    __slots__ = ("_expression",)

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

    def conditions(self) -> Iterator[Conjunct]:
        """Its parts: an event passes when it meets all of them."""
        parts = list(_conjuncts(self._expression.tree))
        return (Conjunct(part, alone=len(parts) == 1) for part in parts)


class Conjunct:
    """One of the parts that AND joins, as a condition."""

    __slots__ = ("__weakref__", "_alone", "_node", "_run", "clause", "exact")

    def __init__(self, node: Node, *, alone: bool) -> None:
        self._node, self._alone = node, alone
        self._run: Run | None = None
        self.clause, self.exact = _clause(node)

    @property
    def key(self) -> str:
        return f"{self._node!r} {self._alone}"

    def holds(self, look: Look) -> bool:
        if self._run is None:  # most conditions of a table are never asked: the index has said all
            self._run = compile_node(self._node)
        try:
            value = self._run(getter(look))
            return value is True if self._alone else to_boolean(value)
        except Failure:
            return False


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


_Place = tuple[Clause | None, bool]
"""Where an index finds what meets a part, and whether all that it finds there does."""
_NOWHERE: Final[_Place] = None, False


def _clause(node: Node) -> _Place:
    match node:
        case Binary("OR", left, right):
            first, second = _clause(left)[0], _clause(right)[0]
            # not exact: an error in the left part lets nothing pass
            return _NOWHERE if first is None or second is None else (first + second, False)
        case Binary("AND", left, right):
            return _clause(left)[0] or _clause(right)[0], False
        case Exists(name):
            return [(_text(name), ("present", None))], True
        case Like(Attribute(name), pattern):
            posting, exact = _like(pattern)
            return [(_text(name), posting)], exact
        case In(Attribute(name), items) if all(isinstance(item, Literal) for item in items):
            texts = [to_text(item.value) for item in items if isinstance(item, Literal)]
            # an integer or a boolean in the event casts the items to its own type: '01' is 1 then
            plain = all(not re.fullmatch(r"[+-]?[0-9]+|(?i:true|false)", text) for text in texts)
            return ([(_text(name), ("equal", text)) for text in texts], True) if plain else _NOWHERE
        case Binary(sign, Attribute(name), Literal(value)):
            return _comparison(sign, name, value)
    return _NOWHERE


def _comparison(sign: str, name: str, value: Value) -> _Place:
    if sign == "=" and type(value) is str:
        return [(_text(name), ("equal", value))], True
    if type(value) is int:
        ranges: dict[str, Posting] = {
            "=": ("equal", key_of(value)),
            "<": ("between", (-math.inf, value - 1)),
            "<=": ("between", (-math.inf, value)),
            ">": ("between", (value + 1, math.inf)),
            ">=": ("between", (value, math.inf)),
        }
        return ([((INTEGER + name,), ranges[sign])], True) if sign in ranges else _NOWHERE
    return _NOWHERE


def _text(name: str) -> Path:
    """Where the attribute's value as a text is found. What is always a text is found with the filters."""
    return (name if name in _TEXTS else TEXT + name,)


def _like(pattern: str) -> tuple[Posting, bool]:
    """The longest of the texts at the beginning, at the end, and between the wildcards; and whether it is all."""
    parts, wild = [""], ""
    for letter in re.findall(r"\\[%_]|.", pattern, re.DOTALL):
        if letter in ("%", "_"):
            parts.append("")
            wild += letter
        else:
            parts[-1] += letter[-1]
    if not wild:
        return ("equal", parts[0]), True
    offers = [("prefix", parts[0]), ("suffix", parts[-1]), *(("contains", part) for part in parts[1:-1])]
    best = max(offers, key=lambda offer: len(offer[1]))
    if not best[1]:
        return ("present", None), wild == "%"
    return best, wild == "%" and "" in parts
