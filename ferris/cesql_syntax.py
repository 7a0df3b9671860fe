"""The text of a CloudEvents SQL 1.0.0 expression, read into a tree.

Precedence, tightest first, equal ones from left to right (section 3.6): function calls; NOT and unary minus;
LIKE, EXISTS, IN; `* / %`; `+ -`; comparisons; AND, OR and XOR, which are all equal. Keywords, function names
and attribute names are read without regard to case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from ferris.errors import FerrisError

MAX_LENGTH: Final = 8192
MAX_DEPTH: Final = 64
MAX_OPERATORS: Final = 256
SMALLEST: Final = -(2**31)
LARGEST: Final = 2**31 - 1

Value = str | int | bool


class SyntaxProblem(FerrisError):
    """A text that is no expression: `position` counts characters from 1, `problem` says what was expected."""

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(position, problem)
        self.position, self.problem = position, problem

    def __str__(self) -> str:
        return f"at position {self.position}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Literal:
    value: Value


@dataclass(frozen=True, slots=True)
class Attribute:
    name: str


@dataclass(frozen=True, slots=True)
class Exists:
    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    sign: str  # NOT or -
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Like:
    operand: Node
    pattern: str


@dataclass(frozen=True, slots=True)
class In:
    operand: Node
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Node, ...]
    position: int = field(compare=False, repr=False)


Node = Literal | Attribute | Exists | Unary | Binary | Like | In | Call


def parse(text: str) -> Node:
    """The tree of an expression; SyntaxProblem says where it is none."""
    if len(text) > MAX_LENGTH:
        raise SyntaxProblem(MAX_LENGTH + 1, f"the expression is longer than {MAX_LENGTH} characters")
    parser = _Parser(text)
    tree = parser.expression(0)
    parser.end()
    return tree


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<string>'(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*")
      | (?P<word>[A-Za-z0-9_]+)
      | (?P<sign><=|>=|<>|!=|[-+*/%=<>(),])""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = frozenset({"AND", "OR", "XOR", "NOT", "LIKE", "EXISTS", "IN", "TRUE", "FALSE"})
_FUNCTION = re.compile(r"[A-Za-z][A-Za-z_]*")
_BINARY: Final[dict[str, int]] = {
    **dict.fromkeys(("AND", "OR", "XOR"), 1),
    **dict.fromkeys(("=", "!=", "<>", ">=", "<=", ">", "<"), 2),
    **dict.fromkeys(("+", "-"), 3),
    **dict.fromkeys(("*", "/", "%"), 4),
}
_OPERAND = "a value: an attribute, a literal, a function or '('"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # string, number, word, sign (also for keywords), end
    text: str
    position: int

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = self._operators = 0

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._token
        self._next += 1
        return token

    def _accept(self, sign: str) -> bool:
        if self._token.kind == "sign" and self._token.text == sign:
            self._next += 1
            return True
        return False

    def _expect(self, sign: str, purpose: str) -> None:
        if not self._accept(sign):
            raise self._wrong(f"'{sign}' {purpose}")

    def _wrong(self, expected: str) -> SyntaxProblem:
        return SyntaxProblem(self._token.position, f"found {self._token.shown}; expected {expected}")

    def _count(self) -> None:
        """Each operator is one more level of the tree, and evaluation walks the tree down."""
        self._operators += 1
        if self._operators > MAX_OPERATORS:
            raise SyntaxProblem(self._token.position, f"there are more than {MAX_OPERATORS} operators")

    def end(self) -> None:
        if self._token.kind != "end":
            raise self._wrong("an operator such as AND, or the end")

    def expression(self, tightness: int) -> Node:
        """An operand and every operator behind it that binds tighter than `tightness`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise SyntaxProblem(self._token.position, f"nested deeper than {MAX_DEPTH} levels")
        left = self._with_suffixes(self._prefixed())
        while self._token.kind == "sign" and _BINARY.get(self._token.text, 0) > tightness:
            self._count()
            sign = self._take().text
            left = Binary("!=" if sign == "<>" else sign, left, self.expression(_BINARY[sign]))
        self._depth -= 1
        return left

    def _prefixed(self) -> Node:
        """NOT and minus bind tighter than anything but a call: NOT a IN (b) is (NOT a) IN (b)."""
        signs: list[str] = []
        while True:
            if self._accept("NOT"):
                signs.append("NOT")
            elif self._token.text in ("-", "+") and self._token.kind == "sign":
                sign, digits = self._token, self._tokens[self._next + 1]
                if digits.kind == "number" and digits.position == sign.position + 1:
                    self._next += 2
                    operand: Node = _integer(sign.text + digits.text, sign.position)
                    break
                if sign.text == "+":
                    raise self._wrong(_OPERAND)
                self._next += 1
                signs.append("-")
            else:
                operand = self._primary()
                break
            if len(signs) > MAX_DEPTH:
                raise SyntaxProblem(self._token.position, f"nested deeper than {MAX_DEPTH} levels")
        for sign_text in reversed(signs):
            operand = Unary(sign_text, operand)
        return operand

    def _with_suffixes(self, operand: Node) -> Node:
        """LIKE and IN, which stand behind their operand."""
        while True:
            start = self._next
            negated = self._accept("NOT")
            if self._accept("LIKE"):
                if self._token.kind != "string":
                    raise self._wrong("a string literal, the pattern of LIKE")
                operand = Like(operand, _string(self._take().text))
            elif self._accept("IN"):
                self._expect("(", "before the values of IN")
                operand = In(operand, self._list("the values of IN"))
            else:
                if negated:
                    raise self._wrong("LIKE or IN behind NOT")
                self._next = start
                return operand
            self._count()
            if negated:
                operand = Unary("NOT", operand)

    def _primary(self) -> Node:
        token = self._token
        if self._accept("("):
            inner = self.expression(0)
            self._expect(")", f"to close the '(' at position {token.position}")
            return inner
        if self._accept("EXISTS"):
            if self._token.kind != "word" or "_" in self._token.text:
                raise self._wrong("the name of an attribute behind EXISTS")
            return Exists(self._take().text.lower())
        if token.kind == "sign" and token.text in ("TRUE", "FALSE"):
            self._next += 1
            return Literal(token.text == "TRUE")
        if token.kind == "string":
            self._next += 1
            return Literal(_string(token.text))
        if token.kind == "number":
            self._next += 1
            return _integer(token.text, token.position)
        if token.kind != "word":
            raise self._wrong(_OPERAND)
        self._next += 1
        if self._accept("("):
            if not _FUNCTION.fullmatch(token.text):
                raise SyntaxProblem(token.position, f"{token.shown} is no name of a function")
            if self._accept(")"):
                return Call(token.text.upper(), (), token.position)
            return Call(token.text.upper(), self._list("the arguments"), token.position)
        if "_" in token.text:
            raise SyntaxProblem(
                token.position, f"{token.shown} is no name of an attribute; expected only a-z and 0-9"
            )
        return Attribute(token.text.lower())

    def _list(self, what: str) -> tuple[Node, ...]:
        """Expressions up to the closing bracket, which is taken too."""
        items = [self.expression(0)]
        while self._accept(","):
            items.append(self.expression(0))
        self._expect(")", f"or ',' behind {what}")
        return tuple(items)


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            if text[at] in "'\"":
                raise SyntaxProblem(at + 1, f"the string is not closed; expected another {text[at]}")
            raise SyntaxProblem(at + 1, f"the character {text[at]!r} has no meaning here")
        kind, found = str(match.lastgroup), match[0]
        if kind == "word":
            if found.isdigit():
                kind = "number"
            elif found.upper() in _KEYWORDS:
                kind, found = "sign", found.upper()
        if kind != "space":
            tokens.append(_Token(kind, found, at + 1))
        at = match.end()
    tokens.append(_Token("end", "", len(text) + 1))
    return tokens


def _integer(digits: str, position: int) -> Literal:
    value = int(digits) if len(digits) < 100 else LARGEST + 1
    if not SMALLEST <= value <= LARGEST:
        raise SyntaxProblem(position, f"{digits[:40]} is no integer of 32 bits ({SMALLEST} to {LARGEST})")
    return Literal(value)


def _string(quoted: str) -> str:
    return quoted[1:-1].replace("\\" + quoted[0], quoted[0])
