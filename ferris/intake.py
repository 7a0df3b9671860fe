"""What a service asks for before events become executions: the values of its manifest's flow control.

`deduplicate`, `throttle`, then `debounce` or `batch`; or a `join`. What they decide is in `ferris.gathering` and
`ferris.joins`; `concurrency`, `rate` and the like act on executions and are not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from ferris.event_keys import CORRELATION
from ferris.triggers import TriggerSpec

MAX_EVENTS: Final = 10_000
"""A gathering of so many events is full, whatever its rule."""
MAX_BYTES: Final = 16 * 1024 * 1024
"""And one of so many bytes: one execution is handed all of it."""
MAX_LIMIT: Final = 1000
MAX_ENTRIES: Final = 16

LAST: Final = "last"
ALL: Final = "all"
DROP: Final = "drop"
WAIT: Final = "wait"
ALL_OF: Final = "all_of"
SEQUENCE: Final = "sequence"
ABSENCE: Final = "absence"


@dataclass(frozen=True, slots=True)
class Debounce:
    """Runs when no event of the key has come for `wait`, at the latest `max_wait` after the first."""

    wait: float
    max_wait: float
    key: str = ""
    events: str = LAST


@dataclass(frozen=True, slots=True)
class Batch:
    """Runs once for `size` events of the key, or for as many as came within `wait` of the first."""

    size: int
    wait: float
    key: str = ""


@dataclass(frozen=True, slots=True)
class Deduplicate:
    """Runs for the first event of the key; others within `window` of it are duplicates."""

    key: str
    window: float


@dataclass(frozen=True, slots=True)
class Throttle:
    """Lets at most `limit` events of the key through within any `per`; `excess` is dropped, or waits."""

    limit: int
    per: float
    key: str = ""
    excess: str = DROP


@dataclass(frozen=True, slots=True)
class Join:
    """Runs when events of all entries came (`all_of`), in order of their time (`sequence`), or when the second did
    not come after the first (`absence`: `entries` are "after" and "of", and `event` is the type of what is fired).
    """

    kind: str
    entries: tuple[TriggerSpec, ...]
    within: float
    by: str = CORRELATION
    event: str = ""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The join from its plain values."""
        return cls(**{**document, "entries": tuple(TriggerSpec(**entry) for entry in document["entries"])})


Rule = Debounce | Batch | Deduplicate | Throttle | Join


@dataclass(frozen=True, slots=True)
class Intake:
    """All of it for one service."""

    deduplicate: Deduplicate | None = None
    throttle: Throttle | None = None
    debounce: Debounce | None = None
    batch: Batch | None = None
    join: Join | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))

    def to_json(self) -> dict[str, Any]:
        """Plain values of the rules there are; `from_json` turns them back."""
        return {name: rule for name, rule in asdict(self).items() if rule is not None}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """From `to_json`."""
        return cls(**{name: rule_from(name, document[name]) for name in RULES if document.get(name)})


RULES: Final[dict[str, Any]] = {
    "deduplicate": Deduplicate,
    "throttle": Throttle,
    "debounce": Debounce,
    "batch": Batch,
    "join": Join,
}


def rule_from(kind: str, document: Mapping[str, Any]) -> Any:
    """One rule from its plain values."""
    return Join.from_json(document) if kind == "join" else RULES[kind](**document)
