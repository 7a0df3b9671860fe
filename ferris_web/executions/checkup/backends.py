"""Log, stores and broker: each does what the platform asks of it, and tells of itself what its adapter can ask."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from datetime import datetime

from ferris.config import CONTROL, PACKAGES_BUCKET
from ferris.findings import Examined, Finding
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.catalog.models import Service
from ferris_web.catalog.selectors import package_key


def _examined(backend: object) -> Iterator[Finding]:
    if isinstance(backend, Examined):
        yield from backend.examine()


def event_log(part: str, now: datetime) -> Iterator[Finding]:
    """A record appended can be read."""
    log = wiring.event_log()
    yield from _examined(log)
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


def object_store(part: str, now: datetime) -> Iterator[Finding]:
    """An object stored can be read and removed; every service's package is there."""
    store, key, content = wiring.object_store(), f"doctor/{uuid.uuid4().hex}", os.urandom(1024)
    yield from _examined(store)
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
    yield _packages(part)


def _packages(part: str) -> Finding:
    store = wiring.object_store()
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
        text = f"the packages of {len(lost)} services are missing: {names}"
        return Finding("failure", part, text, f"manage.py sync {projects}")
    text = f"an object was stored, read and removed; packages of {len(services)} services are there"
    return Finding("ok", part, text)


def config_store(part: str, now: datetime) -> Iterator[Finding]:
    """A value set can be read and removed."""
    store, key = wiring.config_store(), f"ferris.doctor.{uuid.uuid4().hex}"
    yield from _examined(store)
    wrote = store.put(key, b"1", cas=0)
    entry = store.get(key)
    store.delete(key)
    if not wrote or entry is None or entry.value != b"1" or store.get(key) is not None:
        yield Finding("failure", part, "a value just set reads differently", "look at FERRIS_CONFIG_STORE")
    else:
        yield Finding("ok", part, "a value was set, read and removed")


def ops_store(part: str, now: datetime) -> Iterator[Finding]:
    """It can be searched."""
    yield from _examined(wiring.ops_store())
    newest = wiring.ops_store().search("logs", limit=1).records
    yield Finding(
        "ok",
        part,
        f"can be searched; newest log line at {newest[0]['time']}"
        if newest
        else "can be searched, no log line yet",
    )


def broker(part: str, now: datetime) -> Iterator[Finding]:
    """What waits in the lanes; nothing to look at when the doorbells stay inside the engine process."""
    yield from _examined(wiring.broker())
