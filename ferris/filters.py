"""Filters: patterns over an event's attributes and data, in the syntax of EventBridge's event patterns.

    {"source": ["sensors"], "data": {"mag": [{"numeric": [">=", 4.5]}], "kind": ["quake", "blast"]}}

Keys are ANDed, the alternatives in a list are ORed; a single value stands for a list of one. An
alternative is a value (equal) or one of the tests prefix, suffix, anything-but, numeric, exists. Numbers
compare as numbers (1 is 1.0, never "1" and never true). Where the event holds a list, one matching item is
enough, and an object inside a list has to match as a whole. A field that is absent satisfies nothing but
{"exists": false}; null is a value of its own.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ferris.attributes import kind_of, shown
from ferris.errors import FerrisError
from ferris.events import Event, rfc3339

MAX_DEPTH: Final = 32
TESTS: Final = ("prefix", "suffix", "anything-but", "numeric", "exists")

_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_ATTRIBUTES = frozenset({"id", "source", "type", "subject", "datacontenttype", "dataschema"})
_NAME = re.compile(r"[a-z0-9]{1,20}")

Test = Callable[[Any], bool]


class FilterError(FerrisError):
    """A filter that cannot be: `path` is where (data.mag[0].numeric), `problem` what was expected."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path, self.problem = path, problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class Absent:
    """What an event holds where it holds nothing."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = Absent()


def key_of(value: Any) -> Any:
    """Equal keys mean equal JSON values; None for objects and lists, which equal nothing here."""
    kind = type(value)
    if kind is str:
        return value
    if kind is bool:
        return ("boolean", value)
    if kind is int or kind is float:
        return ("number", value)
    return ("null",) if value is None else None


class Leaf:
    """The alternatives for one field."""

    __slots__ = ("absent", "equal", "path", "pattern", "present", "tests")

    def __init__(self, path: str, pattern: Any) -> None:
        self.path, self.pattern = path, pattern
        self.absent = self.present = False
        equal: set[Any] = set()
        tests: list[Test] = []
        alternatives = pattern if isinstance(pattern, list) else [pattern]
        if not alternatives:
            raise FilterError(
                path, "is an empty list, which nothing matches; expected at least one value or test"
            )
        for index, alternative in enumerate(alternatives):
            where = f"{path}[{index}]" if isinstance(pattern, list) else path
            if isinstance(alternative, Mapping):
                self._add_test(where, alternative, tests)
            elif (key := key_of(alternative)) is not None:
                equal.add(key)
            else:
                raise FilterError(
                    where, f"is {kind_of(alternative)}; expected a value or a test such as prefix"
                )
        self.equal, self.tests = frozenset(equal), tuple(tests)

    def _add_test(self, path: str, alternative: Mapping[str, Any], tests: list[Test]) -> None:
        if len(alternative) != 1 or next(iter(alternative)) not in TESTS:
            raise FilterError(
                path, f"has {_names(alternative)}; expected an object with exactly one of {', '.join(TESTS)}"
            )
        ((name, operand),) = alternative.items()
        if name == "exists":
            if type(operand) is not bool:
                raise FilterError(f"{path}.exists", f"is {shown(operand)}; expected true or false")
            self.present, self.absent = self.present or operand, self.absent or not operand
        else:
            tests.append(_TESTS[name](f"{path}.{name}", operand))

    @property
    def values(self) -> frozenset[Any] | None:
        """The keys of the only values that can satisfy it, or None when it is not plain equality."""
        return None if self.tests or self.absent or self.present else self.equal

    def matches(self, value: Any) -> bool:
        if value is ABSENT:
            return self.absent
        return self.present or self._one(value)

    def _one(self, value: Any) -> bool:
        if type(value) is list:
            return any(self._one(item) for item in value)
        if self.equal and key_of(value) in self.equal:
            return True
        for test in self.tests:  # noqa: SIM110 - routing's hot path, as the loops below
            if test(value):
                return True
        return False

    def failure(self, value: Any) -> tuple[str, Any, Any] | None:
        return None if self.matches(value) else (self.path, self.pattern, value)


class Node:
    """Patterns for the fields of one object."""

    __slots__ = ("children", "path")

    def __init__(self, path: str, pattern: Mapping[str, Any], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise FilterError(path, f"is nested deeper than {MAX_DEPTH} levels")
        self.path = path
        self.children = {
            name: _compile(f"{path}.{name}" if path else name, inner, depth + 1)
            for name, inner in pattern.items()
        }

    def matches(self, value: Any) -> bool:
        if type(value) is list and value:
            return any(self.matches(item) for item in value)
        fields = _fields(value)
        for name, child in self.children.items():  # noqa: SIM110
            if not child.matches(fields.get(name, ABSENT)):
                return False
        return True

    def failure(self, value: Any) -> tuple[str, Any, Any] | None:
        """The first field that does not match: its path, the pattern there, and what the event holds."""
        if type(value) is list and value:
            if self.matches(value):
                return None
            return self.path, "one item that matches the whole pattern", value
        fields = _fields(value)
        for name, child in self.children.items():
            failure = child.failure(fields.get(name, ABSENT))
            if failure is not None:
                return failure
        return None


class Filter:
    """A compiled filter: call it with an event."""

    __slots__ = ("_root",)

    def __init__(self, pattern: Mapping[str, Any]) -> None:
        self._root = {name: _compile_root(name, inner) for name, inner in pattern.items()}

    def __call__(self, event: Event) -> bool:
        for name, part in self._root.items():  # noqa: SIM110
            if not part.matches(attribute(event, name)):
                return False
        return True

    def failure(self, event: Event) -> tuple[str, Any, Any] | None:
        """Why it doesn't match: (path, expected, seen), or None when it does."""
        for name, part in self._root.items():
            failure = part.failure(attribute(event, name))
            if failure is not None:
                return failure
        return None

    def equality(self) -> tuple[tuple[str, ...], frozenset[Any]] | None:
        """The first path that must equal one of some values, with their keys; None when there is none."""
        return next(_equalities((), self._root), None)


def compile_filter(pattern: Any) -> Filter:
    """The filter as something to call with an event; FilterError says what is wrong with it, and where."""
    if not isinstance(pattern, Mapping):
        raise FilterError(
            "", f'is {kind_of(pattern)}; expected an object such as {{"data": {{"kind": ["a"]}}}}'
        )
    return Filter(pattern)


def attribute(event: Event, name: str) -> Any:
    """What an event holds under a filter's outermost key: data, an attribute or an extension."""
    if name == "data":
        return ABSENT if event.data is None else event.data
    if name in _ATTRIBUTES:
        value = getattr(event, name)
        return ABSENT if value is None else value
    if name == "time":
        return rfc3339(event.time)
    return event.extensions.get(name, ABSENT)


def values_at(event: Event, path: tuple[str, ...]) -> Iterator[Any]:
    """Every value an event holds at a path, through lists."""
    return _reach(attribute(event, path[0]), path, 1)


def _reach(value: Any, path: tuple[str, ...], depth: int) -> Iterator[Any]:
    if type(value) is list:
        for item in value:
            yield from _reach(item, path, depth)
    elif depth == len(path):
        yield value
    elif isinstance(value, Mapping) and path[depth] in value:
        yield from _reach(value[path[depth]], path, depth + 1)


def _equalities(
    path: tuple[str, ...], parts: Mapping[str, Leaf | Node]
) -> Iterator[tuple[tuple[str, ...], frozenset[Any]]]:
    for name, part in parts.items():
        if isinstance(part, Node):
            yield from _equalities((*path, name), part.children)
        elif part.values is not None:
            yield (*path, name), part.values


def _compile_root(name: str, pattern: Any) -> Leaf | Node:
    if name != "data":
        if not _NAME.fullmatch(name):
            raise FilterError(name, 'is no attribute of an event; fields of the data stand inside "data"')
        if isinstance(pattern, Mapping) and not _looks_like_test(pattern):
            raise FilterError(
                name, 'is an object; expected a value or a list (only "data" has fields of its own)'
            )
    return _compile(name, pattern, 1)


def _compile(path: str, pattern: Any, depth: int) -> Leaf | Node:
    if not isinstance(pattern, Mapping):
        return Leaf(path, pattern)
    if _looks_like_test(pattern):
        name = next(iter(pattern))
        raise FilterError(
            path,
            f'holds {name} outside a list; expected a list of tests such as [{{"{name}": ...}}] '
            f"or, for a field that is called {name}, a list of values under it",
        )
    return Node(path, pattern, depth)


def _looks_like_test(pattern: Mapping[str, Any]) -> bool:
    """True for what is meant as a test but would, outside a list, be read as the pattern of a field."""
    if len(pattern) != 1:
        return False
    ((name, operand),) = pattern.items()
    if name == "numeric":
        return isinstance(operand, list) and bool(operand) and operand[0] in (*_COMPARE, "==", "!=")
    if name == "anything-but":
        return True
    return name in TESTS and isinstance(operand, (str, bool))


def _prefix(path: str, operand: Any) -> Test:
    text = _text(path, operand)
    return lambda value: isinstance(value, str) and value.startswith(text)


def _suffix(path: str, operand: Any) -> Test:
    text = _text(path, operand)
    return lambda value: isinstance(value, str) and value.endswith(text)


def _anything_but(path: str, operand: Any) -> Test:
    if isinstance(operand, Mapping):
        if len(operand) != 1 or next(iter(operand)) not in ("prefix", "suffix"):
            raise FilterError(path, f"has {_names(operand)}; expected values, prefix or suffix")
        ((name, inner),) = operand.items()
        excluded = _TESTS[name](f"{path}.{name}", inner)
        return lambda value: key_of(value) is not None and not excluded(value)
    values = operand if isinstance(operand, list) else [operand]
    keys = frozenset(map(key_of, values))
    if not values or None in keys:
        raise FilterError(path, f"is {kind_of(operand)}; expected a value or a list of values")
    return lambda value: (key := key_of(value)) is not None and key not in keys


def _numeric(path: str, operand: Any) -> Test:
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise FilterError(path, 'expected a comparison such as [">=", 4.5], or two such as [">", 0, "<=", 5]')
    tests = []
    for position in range(0, len(operand), 2):
        sign, bound = operand[position], _number(f"{path}[{position + 1}]", operand[position + 1])
        if not isinstance(sign, str) or sign not in _COMPARE:
            raise FilterError(
                f"{path}[{position}]", f"is {shown(sign)}; expected one of {' '.join(_COMPARE)}"
            )
        tests.append((_COMPARE[sign], bound))
    (compare, bound), (second, limit) = tests[0], tests[-1]
    return lambda value: type(value) in (int, float) and compare(value, bound) and second(value, limit)


def _number(path: str, value: Any) -> int | float:
    if type(value) is str:
        for make in (int, float):
            try:
                value = make(value)
                break
            except ValueError:
                continue
    if type(value) not in (int, float) or value - value != 0:  # bool, infinite, not a number
        raise FilterError(path, f"is {shown(value)}; expected a number")
    return value  # type: ignore[no-any-return] # its type was just compared


def _text(path: str, operand: Any) -> str:
    if not isinstance(operand, str) or not operand:
        raise FilterError(path, f"is {shown(operand)}; expected a text that is not empty")
    return operand


def _fields(value: Any) -> Mapping[str, Any]:
    """What has no fields has none of them, just as an empty object."""
    return value if type(value) is dict or isinstance(value, Mapping) else {}


def _names(pattern: Mapping[str, Any]) -> str:
    return " and ".join(map(str, pattern)) or "no key"


_TESTS: Final[dict[str, Callable[[str, Any], Test]]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "anything-but": _anything_but,
    "numeric": _numeric,
}
