"""Runs that go on from the step at which an earlier one failed, with the files that its earlier steps had left.

What those steps left is kept in the object store when a step fails, beside the artifacts: see `Continuation.key`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from ferris.artifacts import BUCKET as BUCKET

EXTENSION: Final = "ferriscontinues"
"""The attribute of an event that asks for such a run."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where an earlier execution is taken up: the failed step of one of its attempts. `day`: see `artifacts.day_of`."""

    execution_id: str
    attempt: int
    step: int
    day: str

    @property
    def key(self) -> str:
        """Where the files lie that the steps before this one left."""
        return f"{self.day}/{self.execution_id}/{self.attempt}/before-{self.step}.tar.gz"

    def to_text(self) -> str:
        """As an event carries it."""
        return f"{self.execution_id}/{self.attempt}/{self.step}/{self.day}"

    @classmethod
    def of(cls, text: Any) -> Self | None:
        """From `to_text`; None for anything else."""
        parts = text.split("/") if isinstance(text, str) else []
        if len(parts) != 4 or not (parts[1].isdecimal() and parts[2].isdecimal()):
            return None
        return cls(parts[0], int(parts[1]), int(parts[2]), parts[3])

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; `from_json` turns it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Self | None:
        """From `to_json`; None for nothing."""
        return cls(**document) if document else None


def changed(then: Sequence[str], now: Sequence[str], step: int) -> str:
    """Why scripts of today cannot go on from a step of those that ran then, in words; "" when they can."""
    if list(then[: step + 1]) == list(now[: step + 1]):
        return ""
    return (
        f"the service's scripts up to that step are others now ({', '.join(now[: step + 1]) or 'none'}; they were "
        f"{', '.join(then[: step + 1])}): run it again from the start"
    )
