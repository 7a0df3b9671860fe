"""What roles have in common that sleep until a notice, or until what comes next is due."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from gateway.notices import Notices
from gateway.role import Role


class Listener(Role):
    """`rest`s at the end of a turn."""

    own: ClassVar[bytes | None] = None
    """The notice that is addressed to it, if there is one."""
    longest_rest = 30.0
    """A look now and then, should a notice be lost or another gateway die."""

    def __init__(self, notices: Notices) -> None:
        super().__init__()
        self._ear = notices.ear(self.own)

    def rest(self, seconds: float) -> None:
        """Return after so many seconds, with a notice, or when woken."""
        self._ear.listen(seconds)

    def until(self, moment: datetime | None) -> float:
        """Seconds to rest for what is due at that moment, or, without one, until somebody says so."""
        if moment is None:
            return self.longest_rest
        return min(self.longest_rest, max(0.0, (moment - datetime.now(UTC)).total_seconds()))

    def wake(self) -> None:
        self._ear.wake()
