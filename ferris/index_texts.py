"""Groups by the whole, the beginning, the end or a piece of a text: a dictionary, asked once for each length.

Texts that people ask for mostly end, or begin, with the same few letters (`/`, `.`): a length is asked only where
the event's text has one of these in that place, which costs far less than a look into a large dictionary.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from ferris.index_group import Group, count, drop, give, keep

_PIECE: Final = 8


class Texts:
    """Texts as keys, the lengths that they have, and the letters at the edge where they are cut from a text."""

    __slots__ = ("_cuts", "_edges", "_folds", "_keys")

    edge = -1

    def __init__(self, *, folds: bool = False) -> None:
        self._folds = folds
        self._keys: dict[str, Any] = {}
        self._edges: Counter[tuple[int, str]] = Counter()
        self._cuts: list[tuple[int, str]] | None = None

    def keep(self, text: str, group: Group) -> None:
        text = self.key(text)
        keep(self._keys, text, group)
        self._count(text, 1)

    def drop(self, text: str, group: Group) -> None:
        text = self.key(text)
        drop(self._keys, text, group)
        self._count(text, -1)

    def held(self, text: str) -> int:
        return count(self._keys.get(self.key(text)))

    def key(self, text: str) -> str:
        """What of a text is the key."""
        return text

    def collect(self, text: str, found: list[Group]) -> None:
        """Add every group whose text the event's text has in that place."""
        raise NotImplementedError

    def cuts(self) -> list[tuple[int, str]]:
        """Each length with the letters at its edge, the shortest first."""
        letters: dict[int, str] = {}
        for length, letter in sorted(self._edges):
            letters[length] = letters.get(length, "") + letter
        self._cuts = list(letters.items())
        return self._cuts

    def _count(self, text: str, more: int) -> None:
        place = len(text), text[self.edge]
        before = self._edges[place]
        self._edges[place] = before + more
        if before + more <= 0:
            del self._edges[place]
        if before <= 0 or before + more <= 0:
            self._cuts = None


class Beginnings(Texts):
    __slots__ = ()

    def collect(self, text: str, found: list[Group]) -> None:
        if self._folds:
            text = text.lower()
        get, size = self._keys.get, len(text)
        for length, letters in self._cuts or self.cuts():
            if length > size:
                return
            if text[length - 1] in letters and (held := get(text[:length])) is not None:
                give(held, found)


class Ends(Texts):
    __slots__ = ()

    edge = 0

    def collect(self, text: str, found: list[Group]) -> None:
        if self._folds:
            text = text.lower()
        get, size = self._keys.get, len(text)
        for length, letters in self._cuts or self.cuts():
            if length > size:
                return
            if text[size - length] in letters and (held := get(text[size - length :])) is not None:
                give(held, found)


class Pieces(Texts):
    __slots__ = ()

    def key(self, text: str) -> str:
        return text[:_PIECE]

    def collect(self, text: str, found: list[Group]) -> None:
        if self._folds:
            text = text.lower()
        get, size = self._keys.get, len(text)
        for length, letters in self._cuts or self.cuts():
            ends = [at for at in range(length, size + 1) if text[at - 1] in letters]
            for piece in {text[at - length : at] for at in ends}:
                if (held := get(piece)) is not None:
                    give(held, found)


class Whole(Texts):
    """As they are, or, as folded ones, whatever the case of their letters."""

    __slots__ = ()

    def collect(self, text: str, found: list[Group]) -> None:
        held = self._keys.get(text.lower() if self._folds else text)
        if held is not None:
            give(held, found)

    def _count(self, text: str, more: int) -> None:
        """No length matters."""


def texts_of(kind: str) -> Texts:
    """The table for a kind of posting (ferris/predicates.py)."""
    table, folds = _TABLES[kind]
    return table(folds=folds)


_TABLES: Final[dict[str, tuple[type[Texts], bool]]] = {
    "prefix": (Beginnings, False),
    "suffix": (Ends, False),
    "contains": (Pieces, False),
    "fold": (Whole, True),
    "fold-prefix": (Beginnings, True),
    "fold-suffix": (Ends, True),
}
