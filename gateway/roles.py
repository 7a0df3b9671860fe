"""The gateway's roles by name, each made for a process from its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ferris.config import Settings
from ferris.uploads import teller
from ferris_web import wiring
from gateway.bulk import BulkWorker
from gateway.courier import Courier
from gateway.housekeeper import Housekeeper
from gateway.indexer import Indexer
from gateway.notifier import Notifier
from gateway.recorder import Recorder
from gateway.replayer import Replayer
from gateway.rescuer import Rescuer
from gateway.role import Role
from gateway.router import Router
from gateway.scheduler import Scheduler
from gateway.syncer import Syncer
from gateway.uploads import Uploads

_ROLES: Final[dict[str, Callable[[Settings, bool], Role | None]]] = {
    "router": lambda settings, _: Router(wiring.event_log(), settings.hop_limit),
    "recorder": lambda _, __: Recorder(wiring.event_log()),
    "indexer": lambda _, __: Indexer(wiring.event_log(), wiring.ops_store()),
    "scheduler": lambda _, __: Scheduler(wiring.event_log()),
    "syncer": lambda _, __: Syncer(wiring.event_log()),
    "replayer": lambda _, alone: Replayer(wiring.event_log(), alone=alone),
    "bulk": lambda _, alone: BulkWorker(wiring.event_log(), alone=alone),
    "courier": lambda settings, alone: Courier(wiring.event_log(), settings.allow_private, alone=alone),
    "notifier": lambda settings, alone: Notifier(wiring.event_log(), settings.allow_private, alone=alone),
    "rescuer": lambda settings, alone: Rescuer(
        wiring.event_log(), settings.lease_seconds, first_look_is_restart=alone
    ),
    "housekeeper": lambda settings, _: Housekeeper(
        wiring.event_log(), wiring.ops_store(), settings.retention_days, settings.journal_days
    ),
    "uploads": lambda _, __: _uploads(),
}
NAMES: Final = tuple(_ROLES)


def make(settings: Settings, names: Iterable[str] = NAMES, *, alone: bool) -> list[Role]:
    """The roles of these names for which there is something to do, not started. `alone`: this process is the
    platform's only gateway and executor."""
    made = [_ROLES[name](settings, alone) for name in names]
    return [role for role in made if role is not None]


def _uploads() -> Role | None:
    store = teller(wiring.object_store())
    return None if store is None else Uploads(wiring.event_log(), store)
