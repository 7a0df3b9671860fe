"""The gateway's roles by name, each made for a process from its settings."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ferris.config import Settings
from ferris.uploads import teller
from ferris_web import wiring
from gateway.asker import Asker
from gateway.bulk import BulkWorker
from gateway.charter import Charter
from gateway.courier import Courier
from gateway.housekeeper import Housekeeper
from gateway.indexer import Indexer
from gateway.meter import Meter
from gateway.notices import Notices
from gateway.notifier import Notifier
from gateway.recorder import Recorder
from gateway.replayer import Replayer
from gateway.rescuer import Rescuer
from gateway.role import Role
from gateway.roller import Roller
from gateway.router import Router
from gateway.scheduler import Scheduler
from gateway.syncer import Syncer
from gateway.uploads import Uploads


@dataclass(frozen=True)
class _Process:
    settings: Settings
    engine_began: datetime | None

    @property
    def alone(self) -> bool:
        return self.engine_began is not None

    @functools.cached_property
    def notices(self) -> Notices:
        """Made when the first role asks for it."""
        return Notices(wiring.event_log())

    def roles(self, names: Iterable[str]) -> Iterator[Role]:
        made = [role for name in names if (role := _ROLES[name](self)) is not None]
        if "notices" in vars(self):
            yield self.notices
        yield from made


_ROLES: Final[dict[str, Callable[[_Process], Role | None]]] = {
    "router": lambda of: Router(wiring.event_log(), of.settings.hop_limit),
    "recorder": lambda _: Recorder(wiring.event_log()),
    "indexer": lambda _: Indexer(wiring.event_log(), wiring.ops_store()),
    "scheduler": lambda _: Scheduler(wiring.event_log()),
    "syncer": lambda of: Syncer(of.notices),
    "replayer": lambda of: Replayer(wiring.event_log(), of.notices, alone=of.alone),
    "bulk": lambda of: BulkWorker(of.notices, alone=of.alone),
    "roller": lambda _: Roller(wiring.event_log()),
    "meter": lambda _: Meter(wiring.event_log()),
    "charter": lambda of: Charter(wiring.event_log(), of.notices),
    "asker": lambda of: Asker(wiring.event_log(), of.notices, of.settings.allow_private, alone=of.alone),
    "courier": lambda of: Courier(of.notices, of.settings.allow_private, alone=of.alone),
    "notifier": lambda of: Notifier(of.notices, of.settings.allow_private, alone=of.alone),
    "rescuer": lambda of: Rescuer(
        wiring.event_log(), of.settings.lease_seconds, engine_began=of.engine_began
    ),
    "housekeeper": lambda of: Housekeeper(
        wiring.event_log(),
        wiring.ops_store(),
        of.settings.retention_days,
        of.settings.journal_days,
        of.settings.history_days,
    ),
    "uploads": lambda _: _uploads(),
}
NAMES: Final = tuple(_ROLES)


def make(
    settings: Settings, names: Iterable[str] = NAMES, *, engine_began: datetime | None = None
) -> list[Role]:
    """The roles of these names for which there is something to do, and what they listen to; not started.

    `engine_began`: this process is the platform's only gateway and executor, and began then.
    """
    return list(_Process(settings, engine_began).roles(names))


def _uploads() -> Role | None:
    store = teller(wiring.object_store())
    return None if store is None else Uploads(wiring.event_log(), store)
