"""Two texts compared line by line, as a unified diff without the names of the files."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MOST_COMPARED: Final = 4_000
"""Lines that differ as a block and are still compared one by one: that takes the square of their number."""
MOST_SHOWN: Final = 2_000
_AROUND: Final = 3
_FIRST: Final = re.compile(r"(?<= )([-+])(\d+)")


@dataclass(frozen=True, slots=True)
class Difference:
    """Lines with `+`, `-`, `@` or a blank in front. `note`: why they are not all."""

    lines: tuple[str, ...] = ()
    note: str = ""

    def __bool__(self) -> bool:
        return bool(self.lines or self.note)


def text_difference(old: str, new: str) -> Difference:
    """What is different between two texts; false when nothing is."""
    if old == new:
        return Difference()
    before, after = old.splitlines(), new.splitlines()
    same = _same(before, after)
    tail = _same(before[same:][::-1], after[same:][::-1])
    head = max(0, same - _AROUND)
    tail = max(0, tail - _AROUND)
    before, after = before[head : len(before) - tail], after[head : len(after) - tail]
    if max(len(before), len(after)) > MOST_COMPARED:
        return Difference(note=f"not compared: more than {MOST_COMPARED} lines differ")
    found = list(difflib.unified_diff(before, after, n=_AROUND, lineterm=""))[2:]
    lines = tuple(_moved(line, head) for line in found[:MOST_SHOWN])
    return Difference(lines, f"cut after {MOST_SHOWN} lines" if len(found) > MOST_SHOWN else "")


def json_shown(content: bytes | None) -> str:
    """A stored value as it is compared: JSON with its keys in order, anything else as the text it is."""
    if content is None:
        return ""
    text = content.decode("utf-8", "replace")
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False, sort_keys=True)
    except (ValueError, RecursionError):
        return text


def _same(some: Sequence[str], others: Sequence[str]) -> int:
    """How many lines at the beginning are equal."""
    count = 0
    for one, other in zip(some, others, strict=False):
        if one != other:
            break
        count += 1
    return count


def _moved(line: str, by: int) -> str:
    """A hunk's heading with the numbers that lines have in the whole text."""
    if not line.startswith("@@"):
        return line
    return _FIRST.sub(lambda found: f"{found[1]}{int(found[2]) + by}", line)
