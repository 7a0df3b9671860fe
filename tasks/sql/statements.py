"""SQL text taken apart: tokens, statements, and where bound values may not stand.

The template leaves marks in the text (`tasks.sql.template`): `\\0 n \\0` for the n-th bound value, `\\1 n \\1` for
"what follows stands in line n of the script". Neither character can be in a script or a value.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

VALUE: Final = re.compile("\0(\\d+)\0")
LINE: Final = re.compile("\1(\\d+)\1")

# Texts, quoted names, comments, marks and words whole; what is between, one by one.
_BOTH: Final = r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | \0\d+\0 | [A-Za-z_][A-Za-z0-9_$]* | ."""
_ESCAPED: Final = r"'(?:[^'\\]|''|\\.)*'"
_TOKENS: Final = {
    "sqlite": re.compile(
        rf"/\*.*?(?:\*/|\Z) | `(?:[^`]|``)*` | \[[^\]]*\] | {_BOTH}", re.VERBOSE | re.DOTALL
    ),
    "postgresql": re.compile(
        rf"""/\* | [eE]{_ESCAPED}(?:(?:\s|--[^\n]*\n)+{_ESCAPED})*
        | \$(?P<tag>[A-Za-z_][A-Za-z0-9_]*|)\$.*?\$(?P=tag)\$ | {_BOTH}""",
        re.VERBOSE | re.DOTALL,
    ),
}
_COMMENT: Final = re.compile(r"/\*|\*/")
_TRANSACTION: Final = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"})
_ROWS: Final = frozenset({"SELECT", "VALUES", "TABLE", "WITH"})
_NOT_READING: Final = frozenset({"INTO", "INSERT", "UPDATE", "DELETE", "MERGE"})


class SqlError(Exception):
    """The script cannot be run; the text says why, for its author."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: `text` holds `VALUE` marks, `lines` the script's line of each of its lines."""

    text: str
    lines: tuple[int, ...]
    line: int
    words: tuple[str, ...]

    @property
    def reads(self) -> bool:
        """True for a query that only gives rows, so that they may be fetched little by little."""
        return bool(self.words) and self.words[0] in _ROWS and _NOT_READING.isdisjoint(self.words)

    @property
    def verb(self) -> str:
        """What it does, in a word."""
        return self.words[0] if self.words else "?"


def statements(sql: str, kind: str) -> list[Statement]:
    """The statements of a rendered script. SqlError for what would end the one transaction around them."""
    text, lines = _unmarked(sql)
    found: list[Statement] = []
    words: list[str] = []
    begin, first = 0, -1
    for start, end in [*_tokens(text, kind), (len(text), len(text))]:
        part = text[start:end]
        _check_marks(part, lines, text, start)
        if first < 0 and part not in ("", ";") and not part.isspace() and not part.startswith(("--", "/*")):
            first = start
        if part[:1].isalpha() or part[:1] == "_":
            words.append(part.upper())
        if start == len(text) or (part == ";" and _whole(text[begin:end], words, kind)):
            if first >= 0:
                found.append(_statement(text, lines, (begin, first, end), words, kind))
            words, begin, first = [], end, -1
    return found


def _statement(
    text: str, lines: list[int], places: tuple[int, int, int], words: list[str], kind: str
) -> Statement:
    begin, first, end = places
    above = text.count("\n", 0, begin)
    own = tuple(lines[above : above + text.count("\n", begin, end) + 1])
    line = lines[text.count("\n", 0, first)]
    return _checked(Statement(text[begin:end], own, line, tuple(words)), kind)


def _unmarked(sql: str) -> tuple[str, list[int]]:
    """The text without marks of lines; and for each of its lines the script's."""
    text, lines, done = "", [1], 0
    for part in re.finditer("\1(\\d+)\1|\n", sql):
        text += sql[done : part.start()]
        done = part.end()
        if part[1]:
            lines[-1] = int(part[1])
        else:
            text += "\n"
            lines.append(lines[-1] + 1)
    return text + sql[done:], lines


def _tokens(text: str, kind: str) -> Iterator[tuple[int, int]]:
    at = 0
    pattern = _TOKENS[kind]
    while at < len(text):
        found = pattern.match(text, at)
        assert found is not None
        end = found.end()
        if found[0] == "/*":
            end = _comment_end(text, end)  # PostgreSQL's nest
        yield at, end
        at = end


def _comment_end(text: str, at: int) -> int:
    depth = 1
    while depth and (mark := _COMMENT.search(text, at)):
        depth += 1 if mark[0] == "/*" else -1
        at = mark.end()
    return at if not depth else len(text)


def _check_marks(token: str, lines: list[int], text: str, start: int) -> None:
    if "\0" not in token or VALUE.fullmatch(token):
        return
    line = lines[text.count("\n", 0, start)]
    if token.startswith(("--", "/*")):
        raise SqlError(f"line {line}: a {{{{ ... }}}} stands in a comment; leave it out, or use {{# ... #}}")
    raise SqlError(
        f"line {line}: a {{{{ ... }}}} stands between quotation marks; write it without them, its value is bound"
    )


def _whole(text: str, words: list[str], kind: str) -> bool:
    """False for a semicolon inside a trigger or a function's body."""
    if kind == "sqlite":
        return sqlite3.complete_statement(VALUE.sub("?", text))
    if words[:1] == ["CREATE"] and "ATOMIC" in words:
        return words.count("BEGIN") + words.count("CASE") <= words.count("END")
    return True


def _checked(statement: Statement, kind: str) -> Statement:
    words = statement.words
    transaction = words[:1] and words[0] in _TRANSACTION
    transaction = transaction or (
        words[:2] in (("START", "TRANSACTION"), ("PREPARE", "TRANSACTION"), ("SET", "TRANSACTION"))
        or (words[:2] == ("SET", "SESSION") and "CHARACTERISTICS" in words)
        or (words[:2] == ("SET", "LOCAL") and "TRANSACTION" in words)
    )
    if transaction:
        raise SqlError(
            f"line {statement.line}: {' '.join(words[:2])} is not possible: all statements of a script are one "
            "transaction, which the platform begins and ends; leave it out"
        )
    if kind == "sqlite" and words[:1] in (("ATTACH",), ("DETACH",), ("VACUUM",)):
        raise SqlError(
            f"line {statement.line}: {words[0]} is not possible: a script uses its connection's file only"
        )
    return statement
