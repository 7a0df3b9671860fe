"""Services made without git: made, edited file by file, restored, removed. Every save is a version of its own.

A save takes the files of the version there is, changes them, and has the whole checked as a sync would. It is written
only if that version is still the one that holds: of two saves at once, the second is made from what the first left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from ferris.errors import Conflict, NotFound
from ferris.manifest import Message
from ferris_web import wiring
from ferris_web.catalog.apply import apply
from ferris_web.catalog.archive import SECRETS, SourceFile, is_packed
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.differences import Change, files_compared
from ferris_web.catalog.edits import Edit, Files, edited
from ferris_web.catalog.models import Project, Service, ServiceVersion
from ferris_web.catalog.outcome import Outcome
from ferris_web.catalog.prepare import Prepared, prepare
from ferris_web.catalog.selectors import version_files
from ferris_web.catalog.source import Folder, check_upload
from ferris_web.names import once

_ATTEMPTS: Final = 5  # of a save that others are always ahead of


@dataclass(frozen=True)
class Saved:
    """What came of a save. `version` is what holds now; with `refused` nothing was written, and `messages` say why."""

    version: ServiceVersion | None
    messages: tuple[Message, ...]
    refused: bool = False
    changed: bool = False

    @property
    def errors(self) -> list[Message]:
        """What must be mended before it can be saved."""
        return [message for message in self.messages if message.level == "error"]


def edit_refusal(service: Service) -> str:
    """Why its files are not changed here, or nothing."""
    if service.repository_id is not None:
        return (
            f"{service.name} comes from {service.repository}: change it there and sync the project, or copy it to a "
            "service without git"
        )
    return ""


def service_make(
    project: Project, name: str, files: Mapping[str, bytes], *, author: str, message: str = "", now: datetime
) -> Saved:
    """A new service of these files. Conflict when the name is taken, by a service that is gone as well."""
    folder = Folder(name, {path: SourceFile(content) for path, content in files.items()})
    _check(folder, folder.files)
    prepared = prepare(folder, wiring.object_store())
    if prepared is None:
        return Saved(None, tuple(folder.messages), refused=True)
    taken = f"there is a service {name} already: choose another name"
    with once(taken):
        Project.objects.select_for_update().get(pk=project.pk)
        if Service.objects.filter(name=name).exists():
            raise Conflict(taken)
        return _write(project, prepared, folder, author, message, now)


def service_edit(service: Service, edit: Edit, *, author: str, message: str = "", now: datetime) -> Saved:
    """Save an edit as a new version; without a difference there is none.

    Overtaken when a file is not as the author saw it. Conflict for a service that a repository holds, or that does not
    stand still. Secrets stay as they are.
    """
    return _save(service, lambda files: edited(files, edit), edit.put, author, message, now)


def service_restore(service: Service, number: int, *, author: str, message: str = "", now: datetime) -> Saved:
    """Make a version of old the newest again; a service that was removed is there again."""
    version = service.versions.filter(number=number).first()
    if version is None:
        raise NotFound(f"{service.name} has no version {number}")
    old = version_files(version)
    said = message or f"as v{number} was"
    return _save(service, lambda files: old, {}, author, said, now)


def service_remove(service: Service, *, now: datetime) -> None:
    """Keep it with its history, and trigger it no more. Restoring a version brings it back."""
    _refuse(service)
    with transaction.atomic():
        service.vanished_at = now
        service.save(update_fields=["vanished_at", "updated_at"])
        revision_bump()


@dataclass(frozen=True)
class Preview:
    """What a save would do."""

    changes: tuple[Change, ...]
    messages: tuple[Message, ...]
    refused: bool


def edit_preview(service: Service, edit: Edit) -> Preview:
    """The same checks, and what would be different; nothing is written. Raises as `service_edit` does."""
    _refuse(service)
    before = _files(service.version)
    folder = Folder(service.name, edited(before, edit))
    _check(folder, edit.put)
    refused = prepare(folder, None) is None
    return Preview(tuple(files_compared(before, folder.files)), tuple(folder.messages), refused)


def _files(version: ServiceVersion | None) -> dict[str, SourceFile]:
    return version_files(version) if version is not None else {}


def _refuse(service: Service) -> None:
    problem = edit_refusal(service)
    if problem:
        raise Conflict(problem)


def _check(folder: Folder, put: Mapping[str, object]) -> None:
    for path in put:
        if path.rpartition("/")[2] == SECRETS:
            text = "is kept in no version: set secrets on the page of the service's configuration and secrets"
            folder.say("error", text, path)
        elif not is_packed(path):
            folder.say("error", "is a file of tools or of local runs, and kept in no version", path)
    check_upload(folder)


def _save(
    service: Service,
    change: Callable[[Files], dict[str, SourceFile]],
    put: Mapping[str, object],
    author: str,
    message: str,
    now: datetime,
) -> Saved:
    for _ in range(_ATTEMPTS):
        service = Service.objects.select_related("version", "project", "repository").get(pk=service.pk)
        _refuse(service)
        folder = Folder(service.name, change(_files(service.version)))
        _check(folder, put)
        prepared = prepare(folder, wiring.object_store())
        if prepared is None:
            return Saved(service.version, tuple(folder.messages), refused=True)
        with transaction.atomic():
            locked = Service.objects.select_for_update(of=("self",)).get(pk=service.pk)
            if locked.version_id == service.version_id and locked.repository_id is None:
                return _write(service.project, prepared, folder, author, message, now)
    raise Conflict(f"{service.name} is being changed by others all the time: try again in a moment")


def _write(
    project: Project, prepared: Prepared, folder: Folder, author: str, message: str, now: datetime
) -> Saved:
    """In the caller's transaction."""
    outcome = Outcome()
    said = " ".join(message.replace("\0", "").split())
    kept = dataclasses.replace(prepared, secrets=None)
    apply(project, None, [kept], outcome, author=author, message=said, now=now)
    if outcome.refused:
        raise Conflict("; ".join(found["text"] for found in outcome.messages))
    if outcome.moved:
        revision_bump()
    told = [
        Message(found["level"], found["file"], found["key"], found["text"])  # type: ignore[arg-type]
        for found in outcome.messages
    ]
    row = Service.objects.select_related("version").get(name=folder.name)
    return Saved(row.version, (*folder.messages, *told), changed=outcome.moved)
