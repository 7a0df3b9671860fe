"""What a filter is made of: leaves, the fields above them, and choices between whole objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ferris.attributes import kind_of, shown
from ferris.conditions import ABSENT, Clause, Condition, Look, Path, leaves, values_at
from ferris.predicates import OR, RESERVED, FilterError, Posting, Test, key_of, predicate

MAX_DEPTH: Final = 32


class Leaf:
    """The alternatives for one field."""

    __slots__ = (
        "__weakref__", "absent", "equal", "exact", "path", "pattern", "postings", "present", "steps", "tests",
    )  # fmt: skip

    def __init__(self, steps: Path, path: str, pattern: Any) -> None:
        self.steps, self.path, self.pattern = steps, path, pattern
        self.absent = self.present = False
        self.exact = True
        equal: set[Any] = set()
        tests: list[Test] = []
        postings: list[Posting] | None = []
        alternatives = pattern if isinstance(pattern, list) else [pattern]
        if not alternatives:
            raise FilterError(
                path, "is an empty list, which nothing matches; expected at least one value or test"
            )
        for index, alternative in enumerate(alternatives):
            where = f"{path}[{index}]" if isinstance(pattern, list) else path
            posting: Posting | None = None
            if isinstance(alternative, Mapping):
                if set(alternative) == {"exists"}:
                    posting = self._exists(f"{where}.exists", alternative["exists"])
                else:
                    found = predicate(where, alternative)
                    tests.append(found.test)
                    posting = found.posting
                    self.exact = self.exact and found.exact
            elif (key := key_of(alternative)) is not None:
                equal.add(key)
                posting = ("equal", key)
            else:
                raise FilterError(
                    where, f"is {kind_of(alternative)}; expected a value or a test such as prefix"
                )
            if posting is None:
                postings = None
            elif postings is not None:
                postings.append(posting)
        self.equal, self.tests = frozenset(equal), tuple(tests)
        self.postings = None if postings is None else tuple(postings)
        self.exact = self.exact and postings is not None

    def _exists(self, path: str, operand: Any) -> Posting | None:
        if type(operand) is not bool:
            raise FilterError(path, f"is {shown(operand)}; expected true or false")
        self.present, self.absent = self.present or operand, self.absent or not operand
        return ("present", None) if operand else None

    def matches(self, value: Any, look: Look) -> bool:
        kind = type(value)
        if kind is str or kind is int or kind is float:
            return self.present or self._one(value)
        any_leaf = False
        for leaf in leaves(value):
            if self.present or self._one(leaf):
                return True
            any_leaf = True
        return self.absent and not any_leaf and next(values_at(look, self.steps), ABSENT) is ABSENT

    def _one(self, value: Any) -> bool:
        if self.equal and key_of(value) in self.equal:
            return True
        for test in self.tests:  # noqa: SIM110 - routing's hot path, as the loops below
            if test(value):
                return True
        return False

    def failure(self, value: Any, look: Look) -> tuple[str, Any, Any] | None:
        return None if self.matches(value, look) else (self.path, self.pattern, value)

    @property
    def key(self) -> str:
        return f"{self.steps!r} {self.pattern!r}"

    @property
    def clause(self) -> Clause | None:
        return None if self.postings is None else [(self.steps, posting) for posting in self.postings]

    def holds(self, look: Look) -> bool | None:
        value = look(self.steps[0])
        for name in self.steps[1:]:
            if type(value) is dict:
                value = value.get(name, ABSENT)
            elif type(value) is list or isinstance(value, Mapping):
                return None
            else:
                value = ABSENT
        return self.matches(value, look)

    def fields(self) -> Iterator[Path]:
        yield self.steps


class Node:
    """Patterns for the fields of one object: all of `children`, and one of each of the `choices`."""

    __slots__ = ("children", "choices", "path")

    def __init__(self, steps: Path, path: str, pattern: Mapping[str, Any], compile: Compile) -> None:
        if len(steps) + path.count(OR) > MAX_DEPTH:
            raise FilterError(path, f"is nested deeper than {MAX_DEPTH} levels")
        if not pattern and steps:
            raise FilterError(
                path, "is an empty object; expected the fields of an object, or a list of values"
            )
        self.path = path
        self.choices: tuple[tuple[Node, ...], ...] = ()
        children: dict[str, Leaf | Node] = {}
        for name, inner in pattern.items():
            where = f"{path}.{name}" if path else name
            if name == OR and _is_choice(inner):
                choice = []
                for index, branch in enumerate(inner):
                    if not branch:
                        raise FilterError(f"{where}[{index}]", "is an empty object; expected fields")
                    choice.append(Node(steps, f"{where}[{index}]", branch, compile))
                self.choices = (*self.choices, tuple(choice))
            else:
                children[name] = compile((*steps, name), where, inner)
        self.children = tuple(children.items())

    def matches(self, value: Any, look: Look) -> bool:
        if type(value) is list and value:
            return any(self.matches(item, look) for item in value)
        fields = _fields(value)
        for name, child in self.children:
            if not child.matches(fields.get(name, ABSENT), look):
                return False
        return all(any(branch.matches(value, look) for branch in choice) for choice in self.choices)

    def failure(self, value: Any, look: Look) -> tuple[str, Any, Any] | None:
        """The first field that does not match: its path, the pattern there, and what the event holds."""
        if type(value) is list and value:
            if self.matches(value, look):
                return None
            if len(value) == 1:
                return self.failure(value[0], look)
            return self.path, "one item that matches the whole pattern", value
        fields = _fields(value)
        for name, child in self.children:
            failure = child.failure(fields.get(name, ABSENT), look)
            if failure is not None:
                return failure
        return self.no_choice(lambda branch: branch.failure(value, look))

    def no_choice(self, fails: Callable[[Node], tuple[str, Any, Any] | None]) -> tuple[str, Any, Any] | None:
        """Of a "$or" that fails, what each branch wanted and saw."""
        for choice in self.choices:
            failures = [failure for branch in choice if (failure := fails(branch)) is not None]
            if len(failures) == len(choice):
                path = f"{self.path}.{OR}" if self.path else OR
                return (
                    path,
                    {where: expected for where, expected, _ in failures},
                    {where: seen for where, _, seen in failures},
                )
        return None

    def conditions(self) -> Iterator[Condition]:
        """What this object asks, in parts: its leaves, however deep, and its choices."""
        for _, child in self.children:
            if isinstance(child, Leaf):
                yield child
            else:
                yield from child.conditions()
        for choice in self.choices:
            yield Choice(self, choice)

    def fields(self) -> Iterator[Path]:
        for _, child in self.children:
            yield from child.fields()
        for choice in self.choices:
            for branch in choice:
                yield from branch.fields()


Compile = Callable[[Path, str, Any], Leaf | Node]


class Choice:
    """A "$or" as a condition: found where each of its branches is found."""

    __slots__ = ("__weakref__", "_branches", "_inside", "clause", "exact")

    def __init__(self, node: Node, branches: tuple[Node, ...]) -> None:
        asked = [list(branch.conditions()) for branch in branches]
        found = [next((one.clause for one in parts if one.clause is not None), None) for parts in asked]
        self.clause = None if None in found else [place for clause in found for place in clause or ()]
        self.exact = all(len(parts) == 1 and parts[0].exact for parts in asked)
        self._branches, self._inside = branches, bool(node.path)

    @property
    def key(self) -> str | None:
        return None

    def holds(self, look: Look) -> bool | None:
        """Inside an object, the object may be a list of them, of which one has to match as a whole."""
        return None if self._inside else chosen(self._branches, look)


def chosen(branches: tuple[Node, ...], look: Look) -> bool:
    """Whether an event matches one of these patterns."""
    for branch in branches:
        if all(part.matches(look(name), look) for name, part in branch.children) and all(
            chosen(inner, look) for inner in branch.choices
        ):
            return True
    return False


def _is_choice(inner: Any) -> bool:
    return (
        isinstance(inner, list)
        and len(inner) >= 2
        and all(isinstance(branch, Mapping) and not RESERVED.intersection(branch) for branch in inner)
    )


def _fields(value: Any) -> Mapping[str, Any]:
    """What has no fields has none of them, just as an empty object."""
    return value if type(value) is dict or isinstance(value, Mapping) else {}
