"""What hosts of git repositories send when somebody pushes: whether it is genuine, and what was pushed where."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

# Where the HMAC-SHA256 of the body stands: GitHub and Bitbucket, Gitea and Forgejo.
_SIGNATURES: Final = (
    ("X-Hub-Signature-256", "sha256="),
    ("X-Hub-Signature", "sha256="),
    ("X-Gitea-Signature", ""),
    ("X-Forgejo-Signature", ""),
)
_TOKEN: Final = "X-Gitlab-Token"  # noqa: S105 - the name of a header
_EVENTS: Final = ("X-GitHub-Event", "X-Gitea-Event", "X-Forgejo-Event", "X-Gitlab-Event", "X-Event-Key")
_PUSHES: Final = frozenset({"push", "create", "push hook", "tag push hook", "repo:push", "repo:refs_changed"})
_HEADS, _TAGS = "refs/heads/", "refs/tags/"


def genuine(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """True when the sender knows the secret. Takes the same time whatever is wrong."""
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    found = False
    for name, prefix in _SIGNATURES:
        given = headers.get(name, "")
        found |= hmac.compare_digest(given.encode(), f"{prefix}{expected}".encode())
    return found | hmac.compare_digest(headers.get(_TOKEN, "").encode(), secret.encode())


@dataclass(frozen=True, slots=True)
class Push:
    """A branch or tag that was moved. `main` is the repository's default branch, where the host says so."""

    name: str
    main: str = ""
    tag: bool = False

    def touches(self, branch: str) -> bool:
        """True when who follows this branch (empty: the default one) should look."""
        if branch:
            return self.name == branch
        return not self.tag and (not self.main or self.name == self.main)


def pushes_of(headers: Mapping[str, str], body: bytes) -> tuple[Push, ...]:
    """What was pushed; nothing for everything else a host sends, branches that were removed too. ValueError for no
    JSON, and for what nobody nests so deeply."""
    kind = next((headers[name] for name in _EVENTS if headers.get(name)), "push").lower()
    if headers.get("Content-Type", "").partition(";")[0].strip() == "application/x-www-form-urlencoded":
        body = parse_qs(body.decode("latin-1")).get("payload", ["{}"])[0].encode()
    try:
        said = json.loads(body or b"{}")
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    if not isinstance(said, dict) or kind not in _PUSHES:
        return ()
    main = _main(said)
    found = (_push(ref, main) for ref in (*_ref(said), *_refs_of_cloud(said), *_refs_of_data_center(said)))
    return tuple(push for push in found if push)


def _push(ref: str, main: str) -> Push | None:
    for start, tag in ((_HEADS, False), (_TAGS, True)):
        if ref.startswith(start):
            return Push(ref.removeprefix(start), main, tag)
    return None


def _main(said: Mapping[str, Any]) -> str:
    """The default branch: of GitHub, Gitea and Forgejo; of GitLab; of Bitbucket Cloud. Empty when nothing is said."""
    repository = _object(said.get("repository"))
    named = (
        repository.get("default_branch"),
        _object(said.get("project")).get("default_branch"),
        _object(repository.get("mainbranch")).get("name"),
    )
    return next((name for name in named if isinstance(name, str) and name), "")


def _ref(said: Mapping[str, Any]) -> Iterator[str]:
    """All but Bitbucket: one ref in a message."""
    ref, after = said.get("ref"), said.get("after")
    gone = said.get("deleted") is True or (isinstance(after, str) and not after.strip("0"))
    if isinstance(ref, str) and not gone:
        yield ref


def _refs_of_cloud(said: Mapping[str, Any]) -> Iterator[str]:
    """Bitbucket Cloud (repo:push): several changes, `new` is null for what was removed."""
    for change in _objects(_object(said.get("push")).get("changes")):
        new = _object(change.get("new"))
        start = {"branch": _HEADS, "tag": _TAGS}.get(str(new.get("type")))
        if start and isinstance(new.get("name"), str):
            yield start + new["name"]


def _refs_of_data_center(said: Mapping[str, Any]) -> Iterator[str]:
    """Bitbucket Data Center (repo:refs_changed)."""
    for change in _objects(said.get("changes")):
        ref = _object(change.get("ref")).get("id")
        if isinstance(ref, str) and change.get("type") != "DELETE":
            yield ref


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
