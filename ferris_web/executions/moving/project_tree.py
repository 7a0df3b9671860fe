"""The folder of a service as it is on the platform now: the files of its version, and what was changed of them here.

What people changed on the platform and a file can say stands in that file: `active`, `priority` and
`allow_manual_triggering` in manifest.json, its configuration in config.json. A sync of the folder makes the same
service.
"""

from __future__ import annotations

import io
import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Final

from ferris.documents import Notes, read_object
from ferris.service_files import CONFIG, MANIFEST
from ferris_web import wiring
from ferris_web.catalog.apply import SWITCHES
from ferris_web.catalog.models import Project, Service
from ferris_web.catalog.secret_texts import hides
from ferris_web.catalog.secrets import SealedSecret, secrets_sealed
from ferris_web.catalog.selectors import version_members

HIDES: Final = "a secret stands in it"
_AT_ONCE: Final = 50  # services that are read together


@dataclass(frozen=True)
class Member:
    """One file to be: where it lies, what it holds, of when it is."""

    path: str
    content: IO[bytes]
    at: datetime
    executable: bool = False


@dataclass(frozen=True)
class Stored:
    """A service as it is, its configuration as it is stored, and the secrets that it may see."""

    service: Service
    config: bytes | None
    sealed: list[SealedSecret]


def services(project: Project) -> Iterator[Stored]:
    """Its services by name. Some of them are read together, each time in as many queries."""
    # Not one long query: it would stand open as long as somebody downloads.
    pks = list(Service.objects.filter(project=project).order_by("name").values_list("pk", flat=True))
    for first in range(0, len(pks), _AT_ONCE):
        few = Service.objects.filter(pk__in=pks[first : first + _AT_ONCE])
        found = list(few.select_related("project", "version").order_by("name"))
        configs = wiring.config_store().get_many([service.name for service in found])
        sealed = secrets_sealed((service.pk, project.pk) for service in found)
        for service in found:
            entry = configs.get(service.name)
            yield Stored(service, None if entry is None else entry.value, sealed)


def tree(stored: Stored, folder: str, now: datetime) -> Generator[Member, None, dict[str, Any]]:
    """The files of its folder; in the end what is to be told of it: its version, what was changed here, and what is
    left out and why."""
    service = stored.service
    version = service.version
    if version is None or service.vanished_at is not None:
        return {
            "left_out": [{"what": "all of it", "why": "its folder is gone: it is kept for its history alone"}]
        }
    changed = {
        name: getattr(service, name)
        for name in SWITCHES
        if getattr(service, name) != version.manifest.get(name, getattr(service, name))
    }
    said: dict[str, Any] = {"version": version.number, "commit": version.commit, "left_out": []}
    own = dict.fromkeys((MANIFEST, CONFIG), b"")
    for path, content, executable in version_members(version):
        if path in own:
            own[path] = content.read()
        elif unsafe(path):
            said["left_out"].append(
                {"what": path, "why": "programs that unpack may write it to another place"}
            )
        else:
            yield Member(f"{folder}/{path}", content, version.created_at, executable)
    manifest = _with(own[MANIFEST], changed) if changed else own[MANIFEST]
    if manifest:
        yield Member(f"{folder}/{MANIFEST}", io.BytesIO(manifest), now if changed else version.created_at)
    text, edited = _config(own[CONFIG], stored.config)
    if text and hides(service, text, stored.sealed):
        said["left_out"].append({"what": CONFIG, "why": HIDES})
    elif text:
        yield Member(f"{folder}/{CONFIG}", io.BytesIO(text), now if edited else version.created_at)
    return {**said, "changed": changed, "config_edited": edited}


def unsafe(path: str) -> bool:
    """True for a path that a program which unpacks might take for one outside of the folder, on any system."""
    return "\\" in path or not path.isprintable() or any(part in ("", ".", "..") for part in path.split("/"))


def _with(manifest: bytes, changed: dict[str, Any]) -> bytes:
    said = read_object(MANIFEST, manifest, Notes()) if manifest else {}
    return (json.dumps({**(said or {}), **changed}, indent=2, ensure_ascii=False) + "\n").encode()


def _config(file: bytes, stored: bytes | None) -> tuple[bytes, bool]:
    """config.json as it holds now, nothing without one, and whether that is another than its version's file."""
    if stored is None or (file and _same(file, stored)):
        return file, False
    return stored.rstrip() + b"\n", True


def _same(file: bytes, stored: bytes) -> bool:
    try:
        return bool(json.loads(file.decode("utf-8-sig")) == json.loads(stored))
    except ValueError:
        return False
