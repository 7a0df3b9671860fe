"""The quick looks: does each backend let this process in? Readiness, the doctor and every start ask the same."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db import Error as DatabaseError
from django.db import NotSupportedError, ProgrammingError, connection

from ferris import start
from ferris.errors import BackendError
from ferris.findings import FULL_DISK
from ferris_web import wiring

log = logging.getLogger(__name__)

_SCHEMA = "manage.py migrate (manage.py web --prepare does it at its start)"


def database() -> dict[str, Any]:
    """DatabaseError with the server's own words when it does not let us in."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM catalog_service LIMIT 1")
    return {}


def event_log() -> dict[str, Any]:
    return {"topics": len(wiring.event_log().topics())}


def object_store() -> dict[str, Any]:
    wiring.object_store().buckets()
    return {}


def config_store() -> dict[str, Any]:
    wiring.config_store().index()
    return {}


def ops_store() -> dict[str, Any]:
    wiring.ops_store().logs("-", limit=1)
    return {}


def broker() -> dict[str, Any]:
    """Doorbells that wait, by lane."""
    found = wiring.broker()
    if found is None:
        return {}
    waiting = found.waiting()
    return {"waiting": {lane: told[0] for lane, told in waiting.items() if told is not None}}


def home_written() -> None:
    """Write a block into the home folder and take it away. OSError."""
    with tempfile.TemporaryFile(dir=wiring.config().home, prefix=".written-", buffering=0) as probe:
        probe.write(b"\0" * 4096)


def disk() -> dict[str, Any]:
    """Whether the home folder, which holds everything on one machine, can be written for a while yet."""
    home = wiring.config().home
    try:
        home_written()
        free = shutil.disk_usage(home).free
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise BackendError(
            "the disk",
            f"takes nothing more in {home} ({error.strerror})",
            "free space on it" if full else f"give uid {os.getuid()} that folder, or set FERRIS_HOME",
        ) from error
    if free < FULL_DISK:
        raise BackendError(
            "the disk",
            f"of {home} has {free // 1024**2} MiB free, too little to go on",
            f"free at least {FULL_DISK // 1024**2} MiB on it, or lower FERRIS_RETENTION_DAYS",
        )
    return {}


LOOKS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "database": database,
    "event_log": event_log,
    "object_store": object_store,
    "config_store": config_store,
    "ops_store": ops_store,
    "broker": broker,
}


def database_problem(error: DatabaseError) -> tuple[str, str]:
    """What the database said, in one line, and what a person can do about it."""
    said = " ".join(str(error).split())[:300]
    if isinstance(error, NotSupportedError):
        return f"cannot be used ({said})", "use PostgreSQL 14 or later"
    if "password authentication failed" in said or "no password supplied" in said:
        return f"refused this user ({said})", "correct user and password in FERRIS_DATABASE"
    if "permission denied" in said:
        return f"refused this ({said})", (
            "make the role of FERRIS_DATABASE the owner of its database, or grant it the right"
        )
    if ("does not exist" in said and isinstance(error, ProgrammingError)) or "no such table" in said:
        return f"has not the schema of this version ({said})", _SCHEMA
    if "does not exist" in said:
        return f"is not there ({said})", "make the database that FERRIS_DATABASE names, or correct its name"
    return f"cannot be used ({said})", "start it, or correct FERRIS_DATABASE"


def explained(error: DatabaseError) -> BackendError:
    """The same as an error of the platform's own."""
    return BackendError("database", *database_problem(error))


def demand(needed: Iterable[str], useful: Iterable[str] = ()) -> None:
    """Called at the start of a process, with names of `LOOKS`.

    What it cannot work without ends it, with one line that names setting and remedy; what it can do without for
    a while costs a line in its log.
    """
    start.demand({f"FERRIS_{name.upper()}": _LOOKS_AT_START[name] for name in needed})
    for line in start.problems({f"FERRIS_{name.upper()}": _LOOKS_AT_START[name] for name in useful}):
        log.error("%s (goes on without it)", line)


def _database() -> None:
    try:
        database()
    except DatabaseError as error:
        raise explained(error) from error
    finally:
        connection.close()


_LOOKS_AT_START: Mapping[str, Callable[[], object]] = {**LOOKS, "database": _database}
