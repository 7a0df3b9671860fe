"""Synchronises a project: each repository is read, checked, packed, and applied in one transaction.

source -> folders -> prepared -> rows. Whatever dies on the way leaves the old catalog whole: nothing of a
repository is applied before all of it was read, and then everything at once. The next sync starts afresh.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import shutil
import socket
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from django.db import DatabaseError, transaction
from django.db.models import Q, QuerySet

from ferris.adapters import git
from ferris.errors import BackendError, Conflict, FerrisError, SourceError
from ferris.ports import ObjectStore
from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.catalog.apply import apply, vanish
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.models import Project, Repository, SyncRun
from ferris_web.catalog.outcome import Outcome
from ferris_web.catalog.prepare import Prepared, prepare
from ferris_web.catalog.project_file import project_file_read, promises_apply
from ferris_web.catalog.repository_access import fetch, fetch_history
from ferris_web.catalog.source import folder_names, folders, is_git_url
from ferris_web.catalog.sync_progress import FETCHING, READING, SAVING, Progress, Teller
from ferris_web.names import once

log = logging.getLogger(__name__)

LEASE: Final = timedelta(minutes=15)
"""Longer than any step of a sync: a run on another machine that gave no sign for so long is dead."""


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
    for folder in (_checkout(repository), _checkout(repository, "preview"), _checkout(repository, "history")):
        shutil.rmtree(folder, ignore_errors=True)


def history_bring(repository: Repository) -> Path:
    """Where the commits of its branch are now, for `git.history` and `git.in_history`; the caller holds its lock."""
    folder = _checkout(repository, "history")
    fetch_history(repository, folder)
    return folder


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


def _checkout(repository: Repository, beside: str = "") -> Path:
    name = f"{repository.pk}.{beside}" if beside else str(repository.pk)
    return wiring.config().home / "repositories" / name


def here() -> str:
    """What this machine is called in runs."""
    return socket.gethostname()[:255]


def run_queued(run: SyncRun, now: datetime) -> None:
    """Do a sync that was asked for, unless another does it; Conflict while the repository is being synced."""
    with repositories_locked([run.repository]):
        _sync(run.repository, run.actor, now, lambda line: None, run)


def dead(runs: QuerySet[SyncRun], now: datetime) -> int:
    """End runs whose process is gone; how many."""
    return runs.update(
        status=SyncRun.Status.FAILED,
        finished_at=now,
        error="the process ended before the sync did; nothing was changed",
    )


def _sync(
    repository: Repository, actor: User | None, now: datetime, tell: Progress, queued: SyncRun | None = None
) -> SyncRun:
    run = _begin(repository, actor, now, queued)
    if run is None:
        assert queued is not None
        return queued
    try:
        repository.refresh_from_db()
        _read_and_apply(repository, run, now, Teller(run, tell))
    except Exception as error:
        run.status, run.error, run.result = SyncRun.Status.FAILED, str(error) or type(error).__name__, {}
        run.finished_at = datetime.now(UTC)
        run.save()
        if not isinstance(error, (FerrisError, OSError, DatabaseError)):
            raise
        if not isinstance(error, FerrisError):
            log.exception("sync of %s failed", repository)
    return run


def _begin(
    repository: Repository, actor: User | None, now: datetime, queued: SyncRun | None
) -> SyncRun | None:
    """The run that is under way now; None when another took the one that waited. Conflict while another machine
    syncs the repository."""
    with transaction.atomic():
        Repository.objects.select_for_update().get(pk=repository.pk)
        running = SyncRun.objects.filter(repository=repository, status=SyncRun.Status.RUNNING)
        # We hold the lock of this machine: whoever left a run behind here is dead.
        dead(running.filter(Q(runner__in=("", here())) | Q(seen_at__lt=now - LEASE)), now)
        if running.exists():
            raise Conflict(f"{repository} is being synced by another machine: wait until that is done")
        if queued is None:
            return SyncRun.objects.create(
                repository=repository, actor=actor, started_at=now, runner=here(), seen_at=now
            )
        taken = SyncRun.objects.filter(pk=queued.pk, status=SyncRun.Status.QUEUED).update(
            status=SyncRun.Status.RUNNING, started_at=now, runner=here(), seen_at=now
        )
    if not taken:
        return None
    queued.refresh_from_db()
    return queued


def _read_and_apply(repository: Repository, run: SyncRun, now: datetime, tell: Teller) -> None:
    tell.at(FETCHING)
    root, commit = bring(repository, tell)
    run.commit, run.author, run.subject = commit.id, commit.author[:255], commit.subject[:500]
    outcome = Outcome()
    items = prepare_all(root, outcome, tell, wiring.object_store())
    promises = project_file_read(root, outcome)
    tell("writing the catalog")
    tell.at(SAVING, len(items), len(items))
    with transaction.atomic():
        # Held to the end: on a database that many machines share, syncs of one repository wait here.
        Repository.objects.select_for_update().get(pk=repository.pk)
        later = SyncRun.objects.filter(repository=repository, started_at__gt=run.started_at)
        if later.filter(status=SyncRun.Status.COMPLETED).exists():
            raise Conflict("a sync that began later was applied first; this one was dropped")
        present = [item.name for item in items] + outcome.refused
        origin = {"commit": run.commit, "author": run.author, "message": run.subject}
        with once("somebody made a service of one of its names elsewhere just now: sync again"):
            apply(repository.project, repository, items, outcome, **origin, now=now)
        vanish(repository, present, outcome, now)
        if promises is not None:
            promises_apply(repository, promises, outcome, now)
        run.progress = {}
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


def bring(
    repository: Repository,
    tell: Progress,
    *,
    branch: str | None = None,
    commit: str = "",
    aside: bool = False,
) -> tuple[Path, git.Commit]:
    """The folder to read, and the commit it is at; a folder that is under no version control has none.

    Of another branch, or of that commit; else of the commit it is kept at, or the newest. `aside` leaves the checkout
    of syncs as it is.
    """
    if not is_git_url(repository.source):
        folder = Path(repository.source)
        if not folder.is_dir():
            raise BackendError(
                str(folder), "is no folder that can be read here", "bring it back, or remove the project"
            )
        if branch or commit:
            raise Conflict(
                f"{folder} is read as it is: give it as a git URL, file://{folder}, to read a branch of it"
            )
        return inside(folder, repository.folder), git.describe(folder)
    wanted = repository.branch if branch is None else branch
    tell(f"fetching {repository.source}" + (f", branch {wanted}" if wanted else ""))
    folder = _checkout(repository, "preview" if aside else "")
    if not commit and branch is None:
        commit = repository.pinned
    brought = fetch(repository, folder, branch=wanted, commit=commit)
    return inside(folder, repository.folder), brought


def inside(root: Path, folder: str) -> Path:
    """The sub-folder of a repository. BackendError when it is not there, or a link leads out of it."""
    found = (root / folder).resolve()
    if not found.is_dir() or not found.is_relative_to(root.resolve()):
        raise SourceError(
            "the repository", f"has no folder {folder!r}", "name one that it has, or leave the folder out"
        )
    return found


def prepare_all(root: Path, outcome: Outcome, tell: Teller, store: ObjectStore | None) -> list[Prepared]:
    """Every folder without a mistake; of the others `outcome` is told what is wrong."""
    items = []
    total = len(folder_names(root))
    for done, folder in enumerate(folders(root, outcome.say)):
        tell(f"reading {folder.name}")
        tell.at(READING, done, total)
        prepared = prepare(folder, store)
        outcome.say_all(folder.name, folder.messages)
        if prepared is None:
            outcome.refused.append(folder.name)
        else:
            items.append(prepared)
    return items
