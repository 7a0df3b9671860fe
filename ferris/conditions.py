"""What a rule asks of an event: conditions, and the fields of what an event holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from ferris.predicates import Posting

Path = tuple[str, ...]
Clause = list[tuple[Path, Posting]]
"""Where an index finds an event that passes: under one of these."""
Look = Callable[[str], Any]
"""What an event holds under a filter's outermost key."""


class Condition(Protocol):
    """One of the things that a rule asks, all of which an event has to meet."""

    @property
    def clause(self) -> Clause | None:
        """Where an index finds an event that meets it; None: nothing finds it."""

    @property
    def exact(self) -> bool:
        """True when an event that is found there meets it for certain."""

    @property
    def key(self) -> str | None:
        """Conditions with equal keys are equal. None: no other is known to be."""

    def holds(self, look: Look) -> bool | None:
        """Whether an event meets it. None: only the whole rule can tell, as when a list lies on the way to a field:
        of a list of objects, one has to match as a whole."""


class Absent:
    """What an event holds where it holds nothing."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = Absent()


def leaves(value: Any) -> Iterator[Any]:
    """The scalars in a value, through lists; objects are no leaves."""
    if type(value) is list:
        for item in value:
            yield from leaves(item)
    elif value is not ABSENT and type(value) is not dict and not isinstance(value, Mapping):
        yield value


def values_at(look: Look, path: Path) -> Iterator[Any]:
    """Every leaf at a path, through lists."""
    return _reach(look(path[0]), path, 1)


def _reach(value: Any, path: Path, depth: int) -> Iterator[Any]:
    if depth == len(path):
        yield from leaves(value)
    elif type(value) is list:
        for item in value:
            yield from _reach(item, path, depth)
    elif isinstance(value, Mapping) and path[depth] in value:
        yield from _reach(value[path[depth]], path, depth + 1)
