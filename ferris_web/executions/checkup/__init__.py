"""Is everything the platform stands on as it should be? Each finding comes with its remedy.

Every check does what the platform does: it writes and reads back, asks for the schema, waits for an answer.
`reach` holds the quick looks, which readiness and the start of each process share with the doctor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from django.db import Error as DatabaseError

from ferris.errors import BackendError, FerrisError
from ferris.findings import Finding
from ferris_web.executions.checkup import backends, database, machine, platform, reach

__all__ = ["Finding", "checkup"]

Check = Callable[[str, datetime], Iterator[Finding]]

_CHECKS: dict[str, Check] = {
    "home": machine.home,
    "database": database.database,
    "keys": machine.keys,
    "event log": backends.event_log,
    "object store": backends.object_store,
    "config store": backends.config_store,
    "ops store": backends.ops_store,
    "broker": backends.broker,
    "web": platform.web,
    "sign-in": platform.sign_in,
    "engine": platform.engine,
    "work": platform.work,
    "webhooks": platform.webhooks,
    "environments": machine.environments,
    "programs": machine.programs,
    "starts": machine.starts,
    "isolation": machine.isolation,
}


def checkup(now: datetime) -> Iterator[Finding]:
    """Look at every part, one after the other; what fails does not keep the others from being looked at."""
    for part, check in _CHECKS.items():
        try:
            yield from check(part, now)
        except BackendError as error:
            yield Finding("failure", part, f"{error.backend} {error.problem}", error.remedy)
        except DatabaseError as error:
            problem, remedy = reach.database_problem(error)
            yield Finding("failure", part, f"the database {problem}", remedy)
        except (FerrisError, OSError) as error:
            yield Finding(
                "failure", part, f"{type(error).__name__}: {error}", "see the message; then ask again"
            )
