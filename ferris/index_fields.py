"""What an index keeps under one path of an event."""

from __future__ import annotations

from typing import Any

from ferris.index_group import Group, count, drop, give, keep
from ferris.index_ranges import Ranges
from ferris.index_texts import Texts, texts_of
from ferris.predicates import Posting, address_of, key_of


class Field:
    """What is kept under one path, and the paths below it."""

    __slots__ = ("_address", "_between", "_present", "_texts", "_values", "children")

    def __init__(self) -> None:
        self.children: dict[str, Field] = {}
        self._values: dict[Any, Any] = {}
        self._texts: dict[str, Texts] = {}
        self._between: Ranges | None = None
        self._address: Ranges | None = None
        self._present: list[Group] = []

    def add(self, posting: Posting, group: Group) -> None:
        kind, operand = posting
        if kind == "equal":
            keep(self._values, operand, group)
        elif kind == "between":
            self._between = self._between or Ranges()
            self._between.add((*operand, group))
        elif kind == "address":
            self._address = self._address or Ranges()
            self._address.add((*operand, group))
        elif kind == "present" or operand == "":
            self._present.append(group)
        else:
            texts = self._texts.get(kind)
            if texts is None:
                texts = self._texts[kind] = texts_of(kind)
            texts.keep(operand, group)

    def remove(self, posting: Posting, group: Group) -> None:
        kind, operand = posting
        if kind == "equal":
            drop(self._values, operand, group)
        elif kind in ("between", "address"):
            ranges = self._between if kind == "between" else self._address
            if ranges is not None:
                ranges.remove()
        elif kind == "present" or operand == "":
            self._present.remove(group)
        else:
            self._texts[kind].drop(operand, group)

    def held(self, posting: Posting) -> int:
        """How many are under this posting; of ranges and addresses, under all of them."""
        kind, operand = posting
        if kind in ("between", "address"):
            ranges = self._between if kind == "between" else self._address
            return 0 if ranges is None else len(ranges)
        if kind == "equal":
            return count(self._values.get(operand))
        if kind == "present" or operand == "":
            return len(self._present)
        texts = self._texts.get(kind)
        return 0 if texts is None else texts.held(operand)

    def settle(self) -> None:
        """After additions: ranges are put in order."""
        for ranges in (self._between, self._address):
            if ranges is not None:
                ranges.settle()

    def collect(self, value: Any, found: list[Group]) -> None:
        kind = type(value)
        if kind is dict:
            children = self.children
            if len(children) <= len(value):
                for name, child in children.items():
                    if name in value:
                        child.collect(value[name], found)
            else:
                for name, inner in value.items():
                    field = children.get(name)
                    if field is not None:
                        field.collect(inner, found)
            return
        if kind is list:
            for item in value:
                self.collect(item, found)
            return
        if self._values and (held := self._values.get(value if kind is str else key_of(value))) is not None:
            give(held, found)
        if self._present:
            found += self._present
        if kind is str:
            if self._texts:
                for texts in self._texts.values():
                    texts.collect(value, found)
            if self._address is not None and (address := address_of(value[:46])) is not None:
                self._address.collect(address, found)
        elif self._between is not None and (kind is int or kind is float):
            self._between.collect(value, found)
