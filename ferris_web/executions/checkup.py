"""Is everything the platform stands on as it should be? Each finding comes with its remedy.

Every check does what the platform does: it writes and reads back, asks for the schema, waits for an answer.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urljoin

from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Q

from ferris.config import CONTROL, PACKAGES_BUCKET
from ferris.errors import BackendError, FerrisError
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.models import Service
from ferris_web.catalog.secrets import secrets_unreadable
from ferris_web.catalog.selectors import package_key, schedules_due
from ferris_web.executions.models import DeadLetter, Execution

_LOW_DISK, _NO_DISK = 2 * 1024**3, 200 * 1024**2
_ANSWER_SECONDS = 5.0
_FAR_BEHIND = 1000  # records
_LATE = timedelta(minutes=1)
_START = "start it: make run, or manage.py ferris"


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `remedy` is empty when nothing is wrong."""

    level: Literal["ok", "warning", "failure"]
    part: str
    text: str
    remedy: str = ""


def checkup(now: datetime) -> Iterator[Finding]:
    """Look at every part, one after the other; what fails does not keep the others from being looked at."""
    for part, check in _CHECKS.items():
        try:
            yield from check(part, now)
        except BackendError as error:
            yield Finding("failure", part, f"{error.backend} {error.problem}", error.remedy)
        except (FerrisError, DatabaseError, OSError) as error:
            yield Finding(
                "failure", part, f"{type(error).__name__}: {error}", "see the message; then ask again"
            )


def _home(part: str, now: datetime) -> Iterator[Finding]:
    home = wiring.config().home
    probe = home / f".doctor-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        yield Finding(
            "failure",
            part,
            f"{home} cannot be written ({error.strerror})",
            f"give this user (uid {os.getuid()}) the folder, or set FERRIS_HOME",
        )
        return
    free = shutil.disk_usage(home).free
    text = f"{home}, {free / 1024**3:.1f} GiB free"
    if free < _NO_DISK:
        yield Finding(
            "failure",
            part,
            text,
            "free space on this disk: the event log stops taking events when it is full",
        )
    elif free < _LOW_DISK:
        yield Finding("warning", part, text, "free space on this disk, or lower FERRIS_RETENTION_DAYS")
    else:
        yield Finding("ok", part, text)


def _keys(part: str, now: datetime) -> Iterator[Finding]:
    loose = [path.name for path in (wiring.config().home / "keys").glob("*") if path.stat().st_mode & 0o077]
    if loose:
        yield Finding(
            "failure", part, f"others may read {', '.join(loose)}", f"chmod 600 {wiring.config().home}/keys/*"
        )
    if wiring.cipher().decrypt(wiring.cipher().encrypt(b"x")) != b"x":
        yield Finding(
            "failure", part, "the encryption keys do not work", "restore keys/encryption.keys from its backup"
        )
    locked = [str(secret) for secret in secrets_unreadable()]
    if locked:
        yield Finding(
            "failure",
            part,
            f"{len(locked)} secrets were encrypted with another key: {', '.join(locked[:5])}",
            "put that key back behind the first one in keys/encryption.keys, or set these secrets again",
        )
    elif not loose:
        yield Finding("ok", part, "private, and they open every secret")


def _database(part: str, now: datetime) -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        yield Finding(
            "failure",
            part,
            f"{len(missing)} migrations are missing",
            "manage.py migrate (manage.py ferris does it at its start)",
        )
        return
    with transaction.atomic():
        revision_bump()
        transaction.set_rollback(True)
    yield Finding("ok", part, f"{connection.vendor}, schema up to date, can be written")
    if not User.objects.filter(is_superuser=True, is_active=True).exists():
        yield Finding("warning", part, "there is no administrator", "manage.py createsuperuser")


def _event_log(part: str, now: datetime) -> Iterator[Finding]:
    log = wiring.event_log()
    wanted = json.dumps({"changed": "doctor", "probe": uuid.uuid4().hex}).encode()
    [(partition, offset)] = log.append(CONTROL, [Record(wanted)])
    read = log.browse(CONTROL, partition=partition, offset=offset, limit=1)
    if not read or read[0].value != wanted:
        yield Finding(
            "failure",
            part,
            "a record just appended is not there",
            "look at FERRIS_EVENT_LOG and the disk under it",
        )
        return
    yield Finding("ok", part, f"{len(log.topics())} topics, a record appended was read back")


def _object_store(part: str, now: datetime) -> Iterator[Finding]:
    store, key, content = wiring.object_store(), f"doctor/{uuid.uuid4().hex}", os.urandom(1024)
    store.put(PACKAGES_BUCKET, key, content)
    with store.open(PACKAGES_BUCKET, key) as stored:
        same = stored.read() == content
    store.delete(PACKAGES_BUCKET, key)
    if not same:
        yield Finding(
            "failure",
            part,
            "an object just stored reads differently",
            "look at FERRIS_OBJECT_STORE and the disk under it",
        )
        return
    services = Service.objects.filter(version__isnull=False, vanished_at=None).select_related(
        "version", "project"
    )
    lost = [
        service
        for service in services
        if not store.stat(PACKAGES_BUCKET, package_key(service.version.digest))
    ]
    if lost:
        names = ", ".join(service.name for service in lost[:5])
        projects = " and ".join(sorted({service.project.name for service in lost}))
        yield Finding(
            "failure",
            part,
            f"the packages of {len(lost)} services are missing: {names}",
            f"manage.py sync {projects}",
        )
    else:
        yield Finding(
            "ok",
            part,
            f"an object was stored, read and removed; packages of {len(services)} services are there",
        )


def _config_store(part: str, now: datetime) -> Iterator[Finding]:
    store, key = wiring.config_store(), f"ferris.doctor.{uuid.uuid4().hex}"
    wrote = store.put(key, b"1", cas=0)
    entry = store.get(key)
    store.delete(key)
    if not wrote or entry is None or entry.value != b"1" or store.get(key) is not None:
        yield Finding("failure", part, "a value just set reads differently", "look at FERRIS_CONFIG_STORE")
    else:
        yield Finding("ok", part, "a value was set, read and removed")


def _ops_store(part: str, now: datetime) -> Iterator[Finding]:
    newest = wiring.ops_store().search("logs", limit=1).records
    yield Finding(
        "ok",
        part,
        f"can be searched; newest log line at {newest[0]['time']}"
        if newest
        else "can be searched, no log line yet",
    )


def _web(part: str, now: datetime) -> Iterator[Finding]:
    address = urljoin(wiring.config().control_url, "/health/ready")
    try:
        with urllib.request.urlopen(address, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - from the settings
            yield Finding("ok", part, f"{address} answers {answer.status}")
    except urllib.error.HTTPError as error:
        is_json = "json" in error.headers.get("Content-Type", "")
        said = " ".join(error.read(1000).decode(errors="replace").split()) if is_json else ""
        text = f"{address} answers {error.code}" + (f": {said}" if said else "")
        yield Finding(
            "failure", part, text, "mend what it names as not ready; the web process's log says more"
        )
    except OSError as error:
        reason = getattr(error, "reason", error)
        yield Finding("failure", part, f"{address} does not answer ({reason})", _START)


def _engine(part: str, now: datetime) -> Iterator[Finding]:
    """A record on `ferris.control` wakes the scheduler: its offset shows that the gateway is alive."""
    log = wiring.event_log()
    tail = log.tail([CONTROL])
    log.append(CONTROL, [Record(b'{"changed":"doctor"}')])
    deadline = time.monotonic() + _ANSWER_SECONDS
    while (lags := _lags()).get("ferris.scheduler", 1) and time.monotonic() < deadline:
        tail.poll(timeout=0.05)
    tail.close()
    if lags.get("ferris.scheduler", 1):
        yield Finding(
            "failure",
            part,
            f"the gateway took no notice within {_ANSWER_SECONDS:.0f} s: it is not running",
            _START,
        )
        return
    behind = ", ".join(f"{group} is {lag:,} records behind" for group, lag in lags.items() if lag)
    if any(lag > _FAR_BEHIND for lag in lags.values()):
        yield Finding("warning", part, behind, "if the numbers do not fall, look at the engine's log")
    else:
        yield Finding("ok", part, f"the gateway answers, {behind or 'nothing waits on the log'}")


def _lags() -> dict[str, int]:
    lags: dict[str, int] = {}
    for topic in wiring.event_log().topics():
        for group, lag in topic.groups.items():
            lags[group] = lags.get(group, 0) + lag
    return lags


def _work(part: str, now: datetime) -> Iterator[Finding]:
    late = schedules_due(now - _LATE)
    unanswered = Q(rung_at=None) | Q(rung_at__lt=now - _LATE)
    waiting = Execution.objects.filter(unanswered, status="queued", created_at__lt=now - _LATE).count()
    letters = DeadLetter.objects.filter(created_at__gte=now - timedelta(days=1)).count()
    if late:
        text = f"{len(late)} schedules are overdue, the first since {late[0].next_due_at:%Y-%m-%d %H:%M} UTC"
        yield Finding("warning", part, text, "if the engine is running, look at its log for the scheduler")
    if waiting:
        text = f"{waiting} executions have waited for an executor for more than a minute"
        yield Finding("warning", part, text, "more executors, or a higher FERRIS_CONCURRENCY")
    if letters:
        yield Finding(
            "warning",
            part,
            f"{letters} dead letters in the last 24 hours",
            "the console shows each with its reason",
        )
    if not (late or waiting or letters):
        yield Finding("ok", part, "no schedule is late, no execution waits, no new dead letter")


def _programs(part: str, now: datetime) -> Iterator[Finding]:
    import uv

    for name, find, use in (
        ("git", lambda: shutil.which("git"), "projects from git URLs cannot be synced"),
        ("uv", uv.find_uv_bin, "services with a requirements.txt cannot run"),
    ):
        yield _program(part, name, find, use)


def _program(part: str, name: str, find: Callable[[], str | None], use: str) -> Finding:
    try:
        path = find()
    except FileNotFoundError:
        path = None
    if path is None:
        return Finding("failure", part, f"{name} is missing: {use}", f"install {name}")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
    if said.returncode:
        return Finding(
            "failure", part, f"{path} does not run: {said.stderr.strip()[:200]}", f"install {name} again"
        )
    return Finding("ok", part, said.stdout.strip())


_CHECKS: dict[str, Callable[[str, datetime], Iterator[Finding]]] = {
    "home": _home,
    "database": _database,
    "keys": _keys,
    "event log": _event_log,
    "object store": _object_store,
    "config store": _config_store,
    "ops store": _ops_store,
    "web": _web,
    "engine": _engine,
    "work": _work,
    "programs": _programs,
}
