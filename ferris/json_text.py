"""JSON that people write: what is wrong with it, and where. Stricter than Python's reader.

Refused are values that other readers refuse, read differently or cannot store: NaN and Infinity, numbers beyond a
double, a key twice in one object, the character NUL, halves of surrogate pairs, more than 100 levels.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final, Never

MAX_DEPTH: Final = 100

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_CONSTANTS: Final = ("NaN", "Infinity", "-Infinity")


class JsonProblem(ValueError):
    """Text that is no JSON as it is taken here; `line` and `column` count from 1."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {problem}")
        self.problem, self.line, self.column = problem, line, column


def read_json(text: str) -> Any:
    """The value of a JSON text. JsonProblem says what is wrong, and where."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        problem, position = syntax_problem(text, error)
    except (ValueError, RecursionError):  # what the tokens tell more exactly
        problem, position = next(_refused(text), ("is nested too deeply, or a number is too long", 0))
    else:
        problem, position = next(_refused(text), ("", 0))
        if not problem:
            return value
    raise JsonProblem(problem, *place(text, position))


def syntax_problem(text: str, error: json.JSONDecodeError) -> tuple[str, int]:
    """What is wrong with the syntax, and the position where a person has to look."""
    if not text.strip():
        return "nothing is there; expected a JSON value", 0
    # Python 3.13 reports the comma itself, older ones what follows it
    head = text[: error.pos].rstrip()
    comma = error.pos if text[error.pos : error.pos + 1] == "," else len(head) - 1
    closing = text[comma + 1 :].lstrip()[:1]
    if text[comma : comma + 1] == "," and closing in ("}", "]"):
        return f"a comma before the closing {closing}; remove it", comma
    here = text[error.pos : error.pos + 2]
    if here[:1] == "#" or here in ("//", "/*"):
        return "a comment; JSON has none, remove it", error.pos
    if here[:1] == "'":
        return "a single quote; expected double quotes", error.pos
    return python_said(error), error.pos


def python_said(error: json.JSONDecodeError) -> str:
    """What Python says is wrong, without the `starting at` of some of its sentences: whoever shows it says where."""
    return error.msg.removesuffix(" at").removesuffix(" starting")


def place(text: str, position: int) -> tuple[int, int]:
    """Line and column of a position, from 1."""
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _refuse(name: str) -> Never:
    raise ValueError(name)


def _refused(text: str) -> Iterator[tuple[str, int]]:
    """What is refused in a text whose syntax is right, with its position."""
    open_keys: list[set[str] | None] = []  # of the objects around; None for a list
    before = ""
    for found in _TOKEN.finditer(text):
        part, position = found[0], found.start()
        if part[0] in "{[":
            if len(open_keys) == MAX_DEPTH:
                yield f"is nested deeper than {MAX_DEPTH} levels", position
                return
            open_keys.append(set() if part == "{" else None)
        elif part in ("}", "]"):
            open_keys.pop()
        elif part[0] == '"':
            said = json.loads(part, strict=False)
            keys = open_keys[-1] if open_keys else None
            if keys is not None and before in ("{", ","):
                if said in keys:
                    yield f"the key {part[:100]} stands twice in one object; remove one of them", position
                keys.add(said)
            if problem := _text_problem(said):
                yield problem, position
        elif part not in (",", ":") and (problem := _number_problem(part)):
            yield problem, position
        before = part


def _text_problem(said: str) -> str:
    if "\0" in said:
        return "a text holds the character NUL; remove it"
    try:
        said.encode()
    except UnicodeEncodeError:
        return "a text holds half of a surrogate pair"
    return ""


def _number_problem(part: str) -> str:
    if part in _CONSTANTS:
        return f"{part} is no number in JSON; expected a finite number or null"
    if part in ("true", "false", "null"):
        return ""
    if len(part) > 1000:
        return f"a number of {len(part)} digits; at most 1000 are taken"
    return f"the number {part[:40]} is too large" if math.isinf(float(part)) else ""
