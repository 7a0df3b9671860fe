"""Which configuration each attempt of an execution was given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from ferris_web.catalog.config_history import GivenThen, Then, given_then
from ferris_web.executions.models import Execution, Step


@dataclass(frozen=True)
class AttemptGiven:
    """What one attempt was given, whose scripts began then; `given` is None when nobody noted it."""

    attempt: int
    began: datetime
    ended: datetime | None
    given: GivenThen | None

    def replaced(self, one: Then) -> bool:
        """True when a value was replaced before this attempt had ended: what reads the store itself may have got
        either."""
        return one.until is not None and (self.ended is None or one.until < self.ended)


def attempts_given(row: Execution, steps: Iterable[Step]) -> list[AttemptGiven]:
    """Of the attempts of which a script began, the last one first; `steps` in their order."""
    begun = [step for step in steps if step.started_at is not None]
    attempts = [list(group) for _, group in groupby(begun, lambda step: step.attempt)]
    noted = [of[0] for of in attempts if of[0].config_marks is not None]
    found = given_then(row.service, ((step.config_marks, step.started_at) for step in noted))
    given = {step.attempt: one for step, one in zip(noted, found, strict=True)}
    return [
        AttemptGiven(of[0].attempt, of[0].started_at, _end(of), given.get(of[0].attempt))
        for of in reversed(attempts)
    ]


def _end(steps: list[Step]) -> datetime | None:
    ends = [step.finished_at for step in steps]
    return None if None in ends else max(ends)
