"""Synchronisations that were asked for: by a person, a push, an interval. Gateways do them, one after the other.

A repository waits once, however often it was asked for. What a process that died left undone is found again.
"""

from __future__ import annotations

import secrets as random_secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction

from ferris.errors import Conflict
from ferris.pushes import genuine, pushes_of
from ferris.signatures import NotGenuine
from ferris_web.accounts.models import User
from ferris_web.catalog.changes import notify
from ferris_web.catalog.models import Project, Repository, RepositorySecret, SyncRun
from ferris_web.catalog.repositories import next_sync
from ferris_web.catalog.secrets import decrypted, encrypted
from ferris_web.catalog.sync import LEASE, dead, repositories_locked, run_queued

_Status, _Cause = SyncRun.Status, SyncRun.Cause
LATER: Final = timedelta(seconds=5)
"""When a repository is being synced already, it is looked at again after so long."""


def project_sync_request(project: Project, *, actor: User | None, now: datetime) -> Sequence[SyncRun]:
    """Ask for a sync of each repository of a project; Conflict when it has none."""
    repositories = list(project.repositories.order_by("pk"))
    if not repositories:
        raise Conflict(f"project {project.name} has no repository: add one first")
    return [sync_request(repository, _Cause.PERSON, actor=actor, now=now) for repository in repositories]


def sync_request(repository: Repository, cause: str, *, actor: User | None = None, now: datetime) -> SyncRun:
    """Ask for a sync. One that waits already is as good: it has not read anything yet."""
    for _ in range(5):
        waiting = SyncRun.objects.filter(repository=repository, status=_Status.QUEUED).first()
        if waiting is not None:
            return waiting
        try:
            with transaction.atomic():
                run = SyncRun.objects.create(
                    repository=repository, actor=actor, cause=cause, status=_Status.QUEUED, started_at=now
                )
                notify("sync")
                return run
        except IntegrityError:  # another asked at the same moment
            continue
    raise Conflict(f"{repository} is asked for too often at this moment; try again")


def syncs_due(now: datetime) -> int:
    """Ask for what its interval says; how many. Several schedulers at once ask once.

    A repository that stays at a commit, or whose host shows another key, is left alone.
    """
    asked = 0
    for repository in Repository.objects.filter(next_sync_at__lte=now).order_by("next_sync_at", "pk"):
        following = next_sync(repository.every_minutes, now) if repository.every_minutes else None
        with transaction.atomic():
            moved = Repository.objects.filter(pk=repository.pk, next_sync_at=repository.next_sync_at)
            if (
                moved.update(next_sync_at=following)
                and not repository.pinned
                and not repository.offered_hosts
            ):
                sync_request(repository, _Cause.INTERVAL, now=now)
                asked += 1
    return asked


def syncs_next() -> datetime | None:
    """When the next interval is over."""
    waiting = Repository.objects.filter(next_sync_at__isnull=False)
    return waiting.order_by("next_sync_at").values_list("next_sync_at", flat=True).first()


def sync_run_next(now: datetime) -> bool | None:
    """Do the sync that waits longest; True when there may be more, None when those that wait have to wait on."""
    busy = False
    for run in (
        SyncRun.objects.filter(status=_Status.QUEUED)
        .order_by("id")
        .select_related("repository__project")[:20]
    ):
        try:
            run_queued(run, now)
            return True
        except Conflict:
            busy = True  # being synced by another at this moment: the next in the queue
    return None if busy else False


def syncs_abandoned(now: datetime) -> int:
    """End runs of processes that died; those that nobody looks at are asked for again. How many there were."""
    found = 0
    for run in SyncRun.objects.filter(status=_Status.RUNNING).select_related("repository").order_by("id"):
        if not _left(run, now):
            continue
        if dead(SyncRun.objects.filter(pk=run.pk, status=_Status.RUNNING), now):
            found += 1
            if run.cause != _Cause.PERSON:
                sync_request(run.repository, run.cause, actor=run.actor, now=now)
    return found


def _left(run: SyncRun, now: datetime) -> bool:
    from ferris_web.catalog.sync import here

    if run.runner == here():
        try:
            with repositories_locked([run.repository]):
                return True
        except Conflict:
            return False
    return run.seen_at is not None and run.seen_at < now - LEASE


# --- pushes -------------------------------------------------------------------------------------------


def push_secret_make(repository: Repository) -> str:
    """A new secret for the host's webhook, in the place of the one before: told once."""
    made = random_secrets.token_urlsafe(32)
    RepositorySecret.objects.update_or_create(
        repository=repository, kind=RepositorySecret.Kind.PUSH, defaults={"ciphertext": encrypted(made)}
    )
    return made


def push_secret_drop(repository: Repository) -> None:
    """No push is taken any more."""
    repository.secrets.filter(kind=RepositorySecret.Kind.PUSH).delete()


def push_receive(
    pk: int, headers: Mapping[str, str], body: bytes, *, now: datetime
) -> tuple[SyncRun | None, str]:
    """The sync that a push asks for, or None and why there is none to do.

    NotGenuine for a repository that is not there or takes none, and a sender who does not know the secret;
    ValueError for a body that is no JSON.
    """
    kept = (
        RepositorySecret.objects.select_related("repository")
        .filter(repository=pk, kind=RepositorySecret.Kind.PUSH)
        .first()
    )
    secret = decrypted(kept.ciphertext, f"the {kept.name}") if kept else random_secrets.token_urlsafe(32)
    if not genuine(secret, headers, body) or kept is None:
        raise NotGenuine("signed with another secret, or not at all")
    pushes, repository = pushes_of(headers, body), kept.repository
    if not pushes:
        return None, "no push of a branch or tag"
    if not any(push.touches(repository.branch) for push in pushes):
        return None, "another branch is followed"
    if repository.pinned:
        return None, "the repository is kept at a commit"
    return sync_request(repository, _Cause.PUSH, now=now), ""
