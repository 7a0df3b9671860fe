"""Synchronises a project: each repository is read, checked, packed, and applied in one transaction.

source -> folders -> prepared -> rows. Whatever dies on the way leaves the old catalog whole: nothing of a
repository is applied before all of it was read, and then everything at once. The next sync starts afresh.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from django.db import DatabaseError, transaction

from ferris.adapters import git
from ferris.errors import BackendError, Conflict, FerrisError
from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.catalog.apply import apply, vanish
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.models import Project, Repository, SyncRun
from ferris_web.catalog.outcome import Outcome
from ferris_web.catalog.prepare import Prepared, prepare
from ferris_web.catalog.project_file import project_file_read, promises_apply
from ferris_web.catalog.repository_access import fetch
from ferris_web.catalog.source import folders, is_git_url

log = logging.getLogger(__name__)

Progress = Callable[[str], None]


def project_sync(
    project: Project, *, actor: User | None = None, now: datetime, progress: Progress | None = None
) -> list[SyncRun]:
    """Read all repositories of a project; a run for each, in the order they were added.

    A folder with a mistake is refused with messages and everything else is synced. A repository that cannot
    be read, or not be applied, has a run with status `failed` and an error; the catalog is then as it was.
    Conflict when one of the repositories is being synced already. `progress` is told what is being done.
    """
    tell = progress or (lambda line: None)
    repositories = list(project.repositories.order_by("pk"))
    if not repositories:
        raise Conflict(
            f"project {project.name} has no repository: add one (manage.py project add {project.name} SOURCE)"
        )
    with repositories_locked(repositories):
        return [_sync(repository, actor, now, tell) for repository in repositories]


def checkout_remove(repository: Repository) -> None:
    """Remove what was fetched of a git URL; the caller holds its lock."""
    shutil.rmtree(_checkout(repository), ignore_errors=True)


@contextlib.contextmanager
def repositories_locked(repositories: Sequence[Repository]) -> Iterator[None]:
    """Keep these repositories from being synced by anybody else; Conflict when one is right now."""
    with contextlib.ExitStack() as locks:
        for repository in repositories:
            locks.enter_context(_lock(repository))
        yield


@contextlib.contextmanager
def _lock(repository: Repository) -> Iterator[None]:
    """One sync of a repository at a time on this machine. The lock ends with its process."""
    path = _checkout(repository).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"{repository} is being synced already: wait until that is done, then sync again"
            ) from None
        yield


def _checkout(repository: Repository) -> Path:
    return wiring.config().home / "repositories" / str(repository.pk)


def _sync(repository: Repository, actor: User | None, now: datetime, tell: Progress) -> SyncRun:
    # We hold the lock: whoever left a run behind as running is dead.
    SyncRun.objects.filter(repository=repository, status=SyncRun.Status.RUNNING).update(
        status=SyncRun.Status.FAILED,
        finished_at=now,
        error="the process ended before the sync did; nothing was changed",
    )
    run = SyncRun.objects.create(repository=repository, actor=actor, started_at=now)
    try:
        _read_and_apply(repository, run, now, tell)
    except Exception as error:
        run.status, run.error, run.result = SyncRun.Status.FAILED, str(error) or type(error).__name__, {}
        run.finished_at = datetime.now(UTC)
        run.save()
        if not isinstance(error, (FerrisError, OSError, DatabaseError)):
            raise
        if not isinstance(error, FerrisError):
            log.exception("sync of %s failed", repository)
    return run


def _read_and_apply(repository: Repository, run: SyncRun, now: datetime, tell: Progress) -> None:
    root, commit = bring(repository, tell)
    run.commit, run.author, run.subject = commit.id, commit.author[:255], commit.subject[:500]
    outcome = Outcome()
    items = _prepare_all(root, outcome, tell)
    promises = project_file_read(root, outcome)
    tell("writing the catalog")
    with transaction.atomic():
        # Held to the end: on a database that many machines share, syncs of one repository wait here.
        Repository.objects.select_for_update().get(pk=repository.pk)
        if SyncRun.objects.filter(
            repository=repository, pk__gt=run.pk, status=SyncRun.Status.COMPLETED
        ).exists():
            raise Conflict("a sync that began later was applied first; this one was dropped")
        present = [item.name for item in items] + outcome.refused
        apply(repository.project, repository, items, outcome, commit=run.commit, now=now)
        vanish(repository, present, outcome, now)
        if promises is not None:
            promises_apply(repository, promises, outcome, now)
        run.status, run.result, run.finished_at = (
            SyncRun.Status.COMPLETED,
            outcome.to_json(),
            datetime.now(UTC),
        )
        run.save()
        repository.commit, repository.synced_at = run.commit, now
        repository.save(update_fields=["commit", "synced_at"])
        if outcome.moved:
            revision_bump()


def bring(repository: Repository, tell: Progress) -> tuple[Path, git.Commit]:
    """The folder to read, and the commit it is at; a folder that is under no version control has none."""
    if not is_git_url(repository.source):
        folder = Path(repository.source)
        if not folder.is_dir():
            raise BackendError(
                str(folder), "is no folder that can be read here", "bring it back, or remove the project"
            )
        return _inside(folder, repository.folder), git.describe(folder)
    tell(f"fetching {repository.source}" + (f", branch {repository.branch}" if repository.branch else ""))
    folder = _checkout(repository)
    commit = fetch(repository, folder)
    return _inside(folder, repository.folder), commit


def _inside(root: Path, folder: str) -> Path:
    """The sub-folder of a repository. BackendError when it is not there, or a link leads out of it."""
    found = (root / folder).resolve()
    if not found.is_dir() or not found.is_relative_to(root.resolve()):
        raise BackendError(
            "the repository", f"has no folder {folder!r}", "name one that it has, or leave the folder out"
        )
    return found


def _prepare_all(root: Path, outcome: Outcome, tell: Progress) -> list[Prepared]:
    store = wiring.object_store()
    items = []
    for folder in folders(root, outcome.say):
        tell(f"reading {folder.name}")
        prepared = prepare(folder, store)
        outcome.say_all(folder.name, folder.messages)
        if prepared is None:
            outcome.refused.append(folder.name)
        else:
            items.append(prepared)
    return items
