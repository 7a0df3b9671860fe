"""Opens a repository with what is kept for it, and keeps what was learned of its host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ferris.adapters import git
from ferris.adapters.git_access import Access, HostKeyChanged
from ferris.errors import BackendError
from ferris_web import wiring
from ferris_web.catalog.models import Repository, RepositorySecret
from ferris_web.catalog.secrets import decrypted

_Kind = RepositorySecret.Kind


def fetch(repository: Repository, folder: Path, *, branch: str | None = None, commit: str = "") -> git.Commit:
    """Bring a folder to the newest commit of its branch (or of another one), or to this commit. See `git.fetch`.

    The host key is pinned at the first use. Another one is kept aside for somebody to accept; until then nothing is
    fetched any more.
    """
    wanted = repository.branch if branch is None else branch
    return _asked(
        repository,
        lambda access: git.fetch(
            repository.source,
            wanted,
            folder,
            access,
            commit,
            most_bytes=wiring.config().repository_limit_bytes,
        ),
    )


def fetch_history(repository: Repository, folder: Path) -> None:
    """Bring the commits of its branch, without their files. As `fetch`; see `git.fetch_history`."""
    _asked(
        repository,
        lambda access: git.fetch_history(
            repository.source,
            repository.branch,
            folder,
            access,
            most_bytes=wiring.config().repository_limit_bytes,
        ),
    )


def _asked(repository: Repository, ask: Callable[[Access], git.Fetched]) -> git.Commit:
    if repository.offered_hosts:
        # Not asked again: an attacker who is in between now and then must not get lucky.
        raise HostKeyChanged(repository.source, repository.known_hosts, repository.offered_hosts)
    rows = Repository.objects.filter(pk=repository.pk)
    try:
        fetched = ask(access_of(repository))
    except HostKeyChanged as error:
        rows.filter(known_hosts=repository.known_hosts).update(offered_hosts=error.offered)
        raise
    if fetched.known_hosts and fetched.known_hosts != repository.known_hosts:
        # Whoever was first has pinned it: two that learn different keys at once do not both count.
        if not rows.filter(known_hosts=repository.known_hosts).update(known_hosts=fetched.known_hosts):
            raise BackendError(
                repository.source, "was asked by two at once for the first time", "sync it again"
            )
        repository.known_hosts = fetched.known_hosts
    return fetched.commit


def access_of(repository: Repository) -> Access:
    """What opens it. SecretUnreadable when no key of the platform does so with what is kept."""
    held = {one.kind: decrypted(one.ciphertext, f"the {one.name}") for one in repository.secrets.all()}
    token = held.get(_Kind.TOKEN, {})
    return Access(
        private_key=held.get(_Kind.DEPLOY_KEY, ""),
        token=token.get("token", ""),
        username=token.get("username", "git"),
        known_hosts=repository.known_hosts,
        hosts=wiring.config().git_hosts,
    )
