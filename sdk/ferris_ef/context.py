"""What a script knows and can do: `from ferris_ef import context`.

`params`, `config`, `secrets`, `package`, `state`, `events`, `scheduler`, `objects`, `artifacts`, `metrics`, `progress`
and `logging` come to be when they are first used, so that a script pays only for what it uses. With EF_ENV=local
nothing is asked of any platform: see `ferris_ef.local`.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging as _logging
    from typing import Any

    from ferris_ef.artifacts import Artifacts
    from ferris_ef.events import Events
    from ferris_ef.metrics import Metrics
    from ferris_ef.objects import Objects
    from ferris_ef.progress import progress as progress
    from ferris_ef.scheduler import Scheduler
    from ferris_ef.state import State
    from ferris_ef.values import Package, Secrets, Values

    params: Values
    parameters: Values
    config: Values
    configs: Values
    secrets: Secrets
    package: Package
    state: State
    events: Events
    scheduler: Scheduler
    objects: Objects
    artifacts: Artifacts
    metrics: Metrics
    logging: _logging.Logger

is_local_env = os.environ.get("EF_ENV") == "local"

_OTHER_NAMES = {"parameters": "params", "configs": "config"}
_NAMES = (
    "params", "config", "secrets", "package", "state", "events", "scheduler", "objects", "artifacts", "metrics",
    "progress", "logging",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    name = _OTHER_NAMES.get(name, name)
    if name not in _NAMES:
        raise AttributeError(f"module 'ferris_ef.context' has no attribute {name!r}")
    if name in globals():
        return globals()[name]
    if name == "progress":
        from ferris_ef.progress import progress as made
    elif is_local_env:
        from ferris_ef import local

        made = local.make(name)
    else:
        made = _make(name)
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    return sorted({*_NAMES, *_OTHER_NAMES, "is_local_env"})


def _make(name: str) -> Any:
    from ferris_ef import values

    if name == "params":
        return values.parameters()
    if name == "package":
        return values.package()
    if name == "secrets":
        return values.secrets()
    if name == "config":
        return values.configuration()
    if name == "events":
        from ferris_ef.events import Events

        return Events(values.package().name)
    if name == "metrics":
        from ferris_ef.metrics import Metrics

        return Metrics(__getattr__("events"))
    if name == "state":
        from ferris_ef.state import State

        return State(values.package().name)
    if name == "scheduler":
        from ferris_ef.scheduler import Scheduler

        return Scheduler(values.package())
    if name == "objects":
        from ferris_ef.objects import Objects

        return Objects()
    if name == "artifacts":
        from ferris_ef.artifacts import Artifacts

        return Artifacts()
    from ferris_ef import log

    return log.logger(values.package().name, log.ToExecutor(), __getattr__("config").get("LOG_LEVEL"))
