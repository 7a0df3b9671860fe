"""Repositories of projects: where they are, and what opens them. What is secret goes in and never comes out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction

from ferris.adapters import git
from ferris.adapters.git_access import deploy_key
from ferris.errors import BackendError, Conflict, NotFound
from ferris.repositories import FILE, HTTPS, SSH, host_keys, is_commit, place_of
from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.accounts.permissions import Action, access_of
from ferris_web.catalog.changes import notify, revision_bump
from ferris_web.catalog.models import Project, Repository, RepositorySecret, Service
from ferris_web.catalog.secrets import encrypted
from ferris_web.catalog.source import folder_names, git_url_problem, is_git_url
from ferris_web.catalog.sync import checkout_remove, history_bring, inside, repositories_locked
from ferris_web.names import once

_Kind = RepositorySecret.Kind
JITTER: Final = 0.1
"""Of an interval: repositories that were added together are not all fetched in the same second for ever."""


def repository_add(
    project: str,
    source: str,
    branch: str = "",
    folder: str = "",
    *,
    every_minutes: int | None = None,
    token: str = "",
    username: str = "",
    own_key: bool = True,
    actor: User | None = None,
    now: datetime,
) -> Repository:
    """Add a repository to a project, which is made when there is none of that name. Nothing is read yet: sync it next.

    `source` is a folder of this machine (kept as an absolute path) or a git URL; branch, token and interval go with a
    URL. One at an ssh URL gets a deploy key of its own, unless `own_key` is false: then the keys of the user who runs
    the platform open it. Django's ValidationError names the field at fault; Conflict when the project has it already.
    """
    source, branch, folder = _source(source.strip(), branch.strip(), actor), branch.strip(), folder.strip()
    with once(f"project {project} is being changed by somebody else: try again"):
        owner = Project.objects.filter(name=project).first()
        if owner is None:
            owner = Project(name=project)
            owner.full_clean()
            owner.save()
        if Repository.objects.filter(project=owner, source=source, branch=branch, folder=folder).exists():
            raise Conflict(
                f"project {project} has this repository already: {source}; to read it again, sync the project"
            )
        repository = Repository(project=owner, source=source, branch=branch, folder=folder)
        _plan(repository, every_minutes, now)
        repository.full_clean()
        repository.save()
        if token:
            _token_set(repository, token, username)
        if own_key and scheme_of(repository) == SSH:
            deploy_key_make(repository)
        if every_minutes:
            notify("repository")
    return repository


def repository_get(project: Project, pk: int) -> Repository:
    """One repository of a project; NotFound."""
    found = Repository.objects.select_related("project").filter(project=project, pk=pk).first()
    if found is None:
        raise NotFound(f"project {project.name} has no repository {pk}")
    return found


def repository_list(project: Project) -> Sequence[Repository]:
    """A project's repositories in the order they were added."""
    return list(project.repositories.order_by("pk"))


def repository_change(
    repository: Repository,
    *,
    branch: str | None = None,
    folder: str | None = None,
    every_minutes: int | None = None,
    token: str | None = None,
    username: str = "",
    now: datetime,
) -> None:
    """Change what is given; `every_minutes` of 0 ends the interval, an empty `token` removes it.

    ValidationError names the field at fault. The next sync reads what was changed.
    """
    with transaction.atomic():
        repository = Repository.objects.select_for_update().get(pk=repository.pk)
        if branch is not None:
            if branch.strip() and not is_git_url(repository.source):
                raise ValidationError({"branch": ["a folder is read as it is; it has no branch here"]})
            repository.branch = branch.strip()
        if folder is not None:
            repository.folder = folder.strip()
        if every_minutes is not None and (every_minutes or None) != repository.every_minutes:
            _plan(repository, every_minutes, now)
            notify("repository")
        repository.full_clean()
        repository.save()
        if token:
            _token_set(repository, token, username)
        elif token is not None:
            repository.secrets.filter(kind=_Kind.TOKEN).delete()


@dataclass(frozen=True)
class Taken:
    """A service of another project, whose name a folder would need."""

    service: str
    project: str


def names_taken(repository: Repository) -> list[Taken]:
    """Folders that a sync would refuse, because services of other projects have their names.

    Of a folder of this machine, as it is now. What a git URL leads to is known once it was fetched, and a folder that
    cannot be read is the sync's to complain of: none.
    """
    if is_git_url(repository.source):
        return []
    try:
        names = folder_names(inside(Path(repository.source), repository.folder))
    except (BackendError, OSError):
        return []
    found = Service.objects.filter(name__in=names).exclude(project=repository.project).order_by("name")
    return [Taken(*row) for row in found.values_list("name", "project__name")]


def repository_remove(repository: Repository, *, now: datetime) -> list[str]:
    """Forget a repository; its services stay, with their history, but are triggered no more: their names.

    Conflict while it is being synced.
    """
    with repositories_locked([repository]), transaction.atomic():
        gone = list(repository.services.filter(vanished_at=None).order_by("name"))
        Service.objects.filter(pk__in=[service.pk for service in gone]).update(vanished_at=now)
        repository.promises.filter(vanished_at=None).update(vanished_at=now)
        checkout_remove(repository)
        repository.delete()
        revision_bump()
    return [service.name for service in gone]


def scheme_of(repository: Repository) -> str:
    """ssh, https, file; empty for a folder."""
    place = place_of(repository.source)
    return place.scheme if place else ""


# --- at which commit it is ----------------------------------------------------------------------------


def commits_list(repository: Repository, *, behind: str = "", limit: int) -> list[git.Logged]:
    """Commits of its branch as the host has it now, newest first; those behind one of them.

    Conflict for a folder, for a commit that the branch has not, and while the repository is being synced.
    """
    _check_git(repository)
    with repositories_locked([repository]):
        folder = history_bring(repository)
        if behind and not git.in_history(folder, behind):
            raise _no_commit(behind)
        return git.history(folder, behind=behind, limit=limit)


def commit_check(repository: Repository, commit: str) -> None:
    """Conflict for a commit that it cannot be kept at: it is one of its branch, or was synced before.

    What else its host gives out by an id is not taken: such as a commit of somebody's fork.
    """
    _check_git(repository)
    if not is_commit(commit):
        raise Conflict(f"{commit[:40] or 'nothing'} is no whole id of a commit")
    if repository.sync_runs.filter(status="completed", commit=commit).exists():
        return
    with repositories_locked([repository]):
        if not git.in_history(history_bring(repository), commit):
            raise _no_commit(commit)


def _check_git(repository: Repository) -> None:
    if not is_git_url(repository.source):
        raise Conflict("a folder is read as it is: it has no earlier commits here")


def _no_commit(commit: str) -> Conflict:
    return Conflict(f"the branch has no commit {commit[:40]}, and the repository was never synced at it")


def repository_pin(repository: Repository, commit: str, *, actor: User | None, now: datetime) -> None:
    """Keep it at this commit: neither a push nor an interval moves it on, until it follows its branch again.

    Conflict for another than `commit_check` takes. Its files are not read yet: sync it next.
    """
    commit_check(repository, commit)
    repository.pinned, repository.pinned_at = commit, now
    repository.pinned_by = actor.get_username() if actor else ""
    repository.save(update_fields=["pinned", "pinned_at", "pinned_by"])


def repository_follow(repository: Repository) -> None:
    """Let it follow its branch again. Sync it next."""
    repository.pinned, repository.pinned_at, repository.pinned_by = "", None, ""
    repository.save(update_fields=["pinned", "pinned_at", "pinned_by"])


# --- what opens it ------------------------------------------------------------------------------------


def deploy_key_make(repository: Repository) -> str:
    """A new deploy key in the place of the one before, which opens nothing from here on: its public half."""
    if scheme_of(repository) != SSH:
        raise Conflict(f"{repository.source} is no ssh URL: a deploy key opens nothing there")
    private, public = deploy_key()
    with transaction.atomic():
        _seal(repository, _Kind.DEPLOY_KEY, private)
        repository.public_key = f"{public} ferris-{repository.project.name}-{repository.pk}"
        repository.save(update_fields=["public_key"])
    return repository.public_key


def deploy_key_drop(repository: Repository) -> None:
    """Remove the deploy key: from now on the keys of the user who runs the platform open it, if any."""
    with transaction.atomic():
        repository.secrets.filter(kind=_Kind.DEPLOY_KEY).delete()
        repository.public_key = ""
        repository.save(update_fields=["public_key"])


def host_key_accept(repository: Repository, fingerprint: str) -> None:
    """Pin the key that the host showed, in the place of the known one.

    `fingerprint` is the one that somebody read; Conflict when the host has shown yet another since.
    """
    with transaction.atomic():
        repository = Repository.objects.select_for_update().get(pk=repository.pk)
        offered = host_keys(repository.offered_hosts)
        if fingerprint not in [key.fingerprint for key in offered]:
            raise Conflict("this key is not the one that the host shows; look at it again")
        repository.known_hosts, repository.offered_hosts = repository.offered_hosts, ""
        repository.save(update_fields=["known_hosts", "offered_hosts"])


def made_at(repository: Repository, kind: str) -> datetime:
    """When what opens it, or proves a push to it, was made; NotFound when there is none."""
    found = repository.secrets.filter(kind=kind).first()
    if found is None and kind == _Kind.PUSH:
        raise NotFound(f"the repository {repository.pk} takes no pushes")
    if found is None:
        raise NotFound(f"the repository {repository.pk} has no deploy key")
    return found.updated_at


def has_token(repository: Repository) -> bool:
    """True when it is opened with a token."""
    return repository.secrets.filter(kind=_Kind.TOKEN).exists()


def _token_set(repository: Repository, token: str, username: str) -> None:
    if scheme_of(repository) != HTTPS:
        raise ValidationError({"token": ["goes with an https URL; an ssh URL has a deploy key"]})
    if len(token) > 2000 or not token.isascii() or not token.isprintable():
        raise ValidationError({"token": ["is no token: printable characters of ASCII, at most 2000"]})
    if ":" in username or len(username) > 200 or not username.isprintable():
        raise ValidationError({"username": ["has no colon, and at most 200 characters"]})
    _seal(repository, _Kind.TOKEN, {"token": token, "username": username or "git"})


def _seal(repository: Repository, kind: str, value: Any) -> None:
    RepositorySecret.objects.update_or_create(
        repository=repository, kind=kind, defaults={"ciphertext": encrypted(value)}
    )


def _plan(repository: Repository, every_minutes: int | None, now: datetime) -> None:
    repository.every_minutes = every_minutes or None
    repository.next_sync_at = next_sync(every_minutes, now) if every_minutes else None


def next_sync(every_minutes: int, now: datetime) -> datetime:
    """When an interval is over, give or take a little."""
    spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    return now + timedelta(minutes=every_minutes * spread)


def _source(source: str, branch: str, actor: User | None) -> str:
    if not source or source.startswith("-") or not source.isprintable():
        raise ValidationError({"source": "give a folder of this machine, or a git URL"})
    if is_git_url(source):
        problem = git_url_problem(source)
        if problem:
            raise ValidationError({"source": problem})
        place = place_of(source)
        if place is not None and place.scheme == FILE:
            _may_read(Path(unquote(urlsplit(source).path)), actor)
        return source
    folder = Path(source).expanduser().absolute()
    if branch:
        raise ValidationError(
            {
                "branch": f"a folder is read as it is; to read a branch of it, give it as a git URL: file://{folder}"
            }
        )
    _may_read(folder, actor)
    if not folder.is_dir():
        raise ValidationError({"source": f"there is no folder {folder} on this machine"})
    return str(folder.resolve())


def _may_read(folder: Path, actor: User | None) -> None:
    """Folders of this machine are for its administrators, but for those that they named."""
    if actor is None or access_of(actor).may(Action.ADMINISTER):
        return
    real = folder.resolve()
    if not any(real.is_relative_to(Path(allowed).resolve()) for allowed in wiring.config().source_folders):
        raise ValidationError(
            {
                "source": "folders of the platform's machine are for administrators; give an https or ssh URL, or ask "
                "one to name the folder in FERRIS_SOURCE_FOLDERS"
            }
        )
