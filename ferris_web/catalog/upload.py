"""Services made on the platform itself, by uploading files instead of syncing a repository."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ferris.errors import Conflict
from ferris_web import wiring
from ferris_web.catalog.apply import apply
from ferris_web.catalog.archive import SourceFile
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.models import Project, Service
from ferris_web.catalog.outcome import Outcome
from ferris_web.catalog.prepare import prepare
from ferris_web.catalog.source import Folder, check_upload
from ferris_web.names import once


def service_upload(
    project: Project, name: str, files: Mapping[str, bytes], *, author: str = "", now: datetime
) -> Outcome:
    """Make a service of these files (path -> content), or its next version; nothing is written when refused.

    The outcome says which, with every message, as a sync does. Conflict when a repository holds the service.
    """
    held = Service.objects.filter(
        name=name, project=project, vanished_at=None, repository__isnull=False
    ).first()
    if held is not None:
        raise Conflict(f"{name} comes from {held.repository}: change it there and sync the project")
    folder = Folder(name, {path: SourceFile(content) for path, content in files.items()})
    check_upload(folder)
    outcome = Outcome()
    prepared = prepare(folder, wiring.object_store())
    outcome.say_all(name, folder.messages)
    if prepared is None:
        outcome.refused.append(name)
        return outcome
    with once(f"somebody else made a service {name} just now: look at it first"):
        apply(project, None, [prepared], outcome, author=author, now=now)
        if outcome.moved:
            revision_bump()
    return outcome
