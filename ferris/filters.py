"""Filters: patterns over an event's attributes and data, in the syntax of EventBridge's event patterns.

    {"source": ["sensors"], "data": {"mag": [{"numeric": [">=", 4.5]}], "kind": ["quake", "blast"]}}

Keys are ANDed, the alternatives in a list are ORed; a single value stands for a list of one. An
alternative is a value (equal) or one of the tests of ferris/predicates.py. Numbers compare as numbers (1 is
1.0, never "1" and never true). Where the event holds a list, one matching item is enough, and an object
inside a list has to match as a whole. Only leaves exist: a field that holds an object, or an empty list, is
absent. What is absent satisfies nothing but {"exists": false}, and is absent only when no other item of the
same list has it; null is a value of its own.

"$or" holds alternatives of whole objects. It is a key like any other unless it holds a list of at least two
objects none of which has a test's name among its keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ferris.attributes import kind_of
from ferris.conditions import ABSENT, Condition, Look, Path
from ferris.events import Event, rfc3339
from ferris.filter_nodes import Leaf, Node, chosen
from ferris.predicates import TESTS, FilterError

_ATTRIBUTES = frozenset({"id", "source", "type", "subject", "datacontenttype", "dataschema"})
_NAME = re.compile(r"[a-z0-9]{1,20}")
_SIGNS = ("=", "<", "<=", ">", ">=", "==", "!=")


class Filter:
    """A compiled filter: call it with an event."""

    __slots__ = ("_root",)

    def __init__(self, pattern: Mapping[str, Any], *, any_object: bool = False) -> None:
        self._root = Node((), "", pattern, _compile if any_object else _compile_root)

    def __call__(self, event: Event) -> bool:
        return self.passes(lambda name: attribute(event, name))

    def passes(self, look: Look) -> bool:
        root = self._root
        for name, part in root.children:
            if not part.matches(look(name), look):
                return False
        return all(chosen(choice, look) for choice in root.choices)

    def failure(self, event: Event) -> tuple[str, Any, Any] | None:
        """Why it doesn't match: (path, expected, seen), or None when it does."""
        return self.reason(lambda name: attribute(event, name))

    def reason(self, look: Look) -> tuple[str, Any, Any] | None:
        return self._reason(self._root, look)

    def _reason(self, node: Node, look: Look) -> tuple[str, Any, Any] | None:
        for name, part in node.children:
            failure = part.failure(look(name), look)
            if failure is not None:
                return failure
        return node.no_choice(lambda branch: self._reason(branch, look))

    def conditions(self) -> Iterator[Condition]:
        """Its parts: an event passes when it meets all of them."""
        return self._root.conditions()

    def fields(self) -> Iterator[Path]:
        """Every field that it looks at."""
        return self._root.fields()


def compile_filter(pattern: Any, *, any_object: bool = False) -> Filter:
    """The filter as something to call with an event; FilterError says what is wrong with it, and where.

    `any_object`: over the fields of any JSON object, not of an event.
    """
    if not isinstance(pattern, Mapping):
        raise FilterError(
            "", f'is {kind_of(pattern)}; expected an object such as {{"data": {{"kind": ["a"]}}}}'
        )
    return Filter(pattern, any_object=any_object)


def attribute(event: Event, name: str) -> Any:
    """What an event holds under a filter's outermost key: data, an attribute or an extension."""
    if name == "data":
        return ABSENT if event.data is None else event.data
    if name in _ATTRIBUTES:
        value = getattr(event, name)
        return ABSENT if value is None else value
    if name == "time":
        return rfc3339(event.time)
    if name == "specversion":
        return "1.0"
    return event.extensions.get(name, ABSENT)


def _compile_root(steps: Path, path: str, pattern: Any) -> Leaf | Node:
    name = steps[0]
    if name != "data":
        if not _NAME.fullmatch(name):
            raise FilterError(path, 'is no attribute of an event; fields of the data stand inside "data"')
        if isinstance(pattern, Mapping) and not _looks_like_test(pattern):
            raise FilterError(
                path, 'is an object; expected a value or a list (only "data" has fields of its own)'
            )
    return _compile(steps, path, pattern)


def _compile(steps: Path, path: str, pattern: Any) -> Leaf | Node:
    if not isinstance(pattern, Mapping):
        return Leaf(steps, path, pattern)
    if _looks_like_test(pattern):
        name = next(iter(pattern))
        raise FilterError(
            path,
            f'holds {name} outside a list; expected a list of tests such as [{{"{name}": ...}}] '
            f"or, for a field that is called {name}, a list of values under it",
        )
    return Node(steps, path, pattern, _compile)


def _looks_like_test(pattern: Mapping[str, Any]) -> bool:
    """True for what is meant as a test but would, outside a list, be read as the pattern of a field."""
    if len(pattern) != 1:
        return False
    ((name, operand),) = pattern.items()
    if name == "numeric":
        return isinstance(operand, list) and bool(operand) and operand[0] in _SIGNS
    if name == "anything-but":
        return not isinstance(operand, list) or any(not isinstance(item, Mapping) for item in operand)
    return name in TESTS and isinstance(operand, (str, bool))
