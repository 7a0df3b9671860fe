"""What a sync of another branch or commit would do: done as far as the last step, and then not at all.

The same code reads, checks and applies as in a sync; the transaction is undone at its end, and neither the object
store nor the configuration store is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from ferris.adapters import git
from ferris.errors import Conflict, NoBranch
from ferris_web.catalog.apply import apply, vanish
from ferris_web.catalog.models import Project, Repository
from ferris_web.catalog.outcome import Outcome
from ferris_web.catalog.project_file import project_file_read, promises_apply
from ferris_web.catalog.source import is_git_url
from ferris_web.catalog.sync import bring, prepare_all, repositories_locked
from ferris_web.catalog.sync_progress import Progress, Teller


@dataclass(frozen=True)
class Preview:
    """What a sync of one repository would do; `result` as a run keeps it."""

    repository: Repository
    branch: str
    commit: git.Commit
    result: dict[str, Any]

    @property
    def clean(self) -> bool:
        """True when nothing would be refused."""
        return not self.result["refused"]

    @property
    def changes(self) -> bool:
        """True when a sync would change something."""
        return any(self.result[kind] for kind in ("added", "changed", "removed"))


def sync_preview(
    repository: Repository,
    *,
    branch: str | None = None,
    commit: str = "",
    now: datetime,
    progress: Progress | None = None,
) -> Preview:
    """What a sync of this branch (None: its own), or of this commit, would do. Nothing is changed.

    Errors are those of a sync: BackendError when it cannot be read, Conflict while it is being synced.
    """
    tell = Teller(None, progress or (lambda line: None))
    with repositories_locked([repository]):
        root, found = bring(repository, tell, branch=branch, commit=commit, aside=True)
        outcome = Outcome()
        items = prepare_all(root, outcome, tell, None)
        promises = project_file_read(root, outcome)
    with transaction.atomic():
        apply(repository.project, repository, items, outcome, commit=found.id, now=now, dry=True)
        vanish(repository, [item.name for item in items] + outcome.refused, outcome, now)
        if promises is not None:
            promises_apply(repository, promises, outcome, now)
        result = outcome.to_json()
        transaction.set_rollback(True)
    wanted = repository.branch if branch is None else branch
    return Preview(repository, "" if commit else wanted, found, result)


def project_preview(
    project: Project, *, branch: str | None = None, now: datetime, progress: Progress | None = None
) -> list[Preview]:
    """Of every repository of a project; of another branch, of those that have it. NoBranch when none has."""
    repositories = list(project.repositories.order_by("pk"))
    if not repositories:
        raise Conflict(f"project {project.name} has no repository: add one first")
    if branch is not None:
        # A folder that is read as it is has no branches: it is asked where it stands alone, and says so.
        repositories = [one for one in repositories if is_git_url(one.source)] or repositories[:1]
    found, without = [], []
    for one in repositories:
        try:
            found.append(sync_preview(one, branch=branch, now=now, progress=progress))
        except NoBranch as error:
            without.append(error)
    if not found:
        raise without[0]
    return found
