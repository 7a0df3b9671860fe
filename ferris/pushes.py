"""What hosts of git repositories send when somebody pushes: whether it is genuine, and what was pushed where."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
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
_EVENTS: Final = ("X-GitHub-Event", "X-Gitea-Event", "X-Forgejo-Event", "X-Gitlab-Event")
_PUSHES: Final = frozenset({"push", "create", "push hook", "tag push hook"})
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


def push_of(headers: Mapping[str, str], body: bytes) -> Push | None:
    """What was pushed; None for everything else a host sends, a branch that was removed too. ValueError for no JSON."""
    kind = next((headers[name] for name in _EVENTS if headers.get(name)), "push").lower()
    if headers.get("Content-Type", "").partition(";")[0].strip() == "application/x-www-form-urlencoded":
        body = parse_qs(body.decode("latin-1")).get("payload", ["{}"])[0].encode()
    said = json.loads(body or b"{}")
    if not isinstance(said, dict) or kind not in _PUSHES:
        return None
    ref, after = said.get("ref"), said.get("after")
    if (
        not isinstance(ref, str)
        or said.get("deleted") is True
        or (isinstance(after, str) and not after.strip("0"))
    ):
        return None
    about: Any = said.get("repository") or {}
    main = about.get("default_branch") if isinstance(about, dict) else ""
    project: Any = said.get("project") or {}
    main = main or (project.get("default_branch") if isinstance(project, dict) else "")
    for start, tag in ((_HEADS, False), (_TAGS, True)):
        if ref.startswith(start):
            return Push(ref.removeprefix(start), main if isinstance(main, str) else "", tag)
    return None
