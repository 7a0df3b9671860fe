"""What the platform of the console's tests holds, by the tests' names for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Rows:
    """What was made, by the tests' names for it."""

    admin: Any = None
    executions: dict[str, Any] = field(default_factory=dict)
    flow: str = ""
    long_flow: str = ""
    event: Any = None
    letter: Any = None
    replay: Any = None
    schedule: Any = None
    gathering: Any = None
    chart: Any = None
